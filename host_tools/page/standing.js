// Step 10: the standing of the device at the anchor, by its statements and by the issuer's status lists.

import { didOf } from "./did.js";
import { verifyDocument } from "./integrity.js";
import { ledgerInclusionOf, milestoneOf } from "./ledger.js";
import { issuerIn } from "./policy.js";
import { failure } from "./state.js";
import { History } from "./statement.js";
import { bitOf, parseStatusList } from "./statuslist.js";
import { momentMs } from "./words.js";

const BARRED = new Set(["suspended", "stolen", "retired"]);

// device.status
export async function checkStatements(v, firstKey) {
  const p = v.proof;
  const code = "device.status";
  if (!p.statements.length) {
    v.add(code, "skipped", "no statements about the device in the file");
    return;
  }
  const issuer = issuerIn(v.policy, p.credential.issuer);
  let newest = (p.anchor ?? p.statements[0].confirmed).milestone;
  const { ledger } = newest;
  const history = new History(didOf(firstKey), ledger, issuer ? [issuer.key] : []);
  let atAnchor = "unknown";
  let missing = false;
  for (const { confirmed, statement } of p.statements) {
    if (confirmed.milestone.ledger !== ledger) {
      v.add(code, "undecided", "a statement in another ledger than the anchor");
      return;
    }
    for (const [result, detail] of [
      await ledgerInclusionOf(confirmed),
      await milestoneOf(v, confirmed.milestone),
    ]) {
      if (result !== "ok") {
        v.add(code, result, `statement at ${confirmed.position}: ${detail}`);
        return;
      }
    }
    missing = missing || (await history.misses(statement));
    const reason = await history.apply(statement, confirmed.milestone.time);
    if (reason) {
      v.notes.push(`statement '${statement.kind}' at ${confirmed.position} had no effect: ${reason}`);
    }
    // what no path ties to the anchor may be as young as the newest statement
    const early = !p.anchor || confirmed.position < p.anchor.position;
    if (early || !v.anchored()) atAnchor = history.status;
    if (confirmed.milestone.index > newest.index) newest = confirmed.milestone;
  }
  v.history = history;
  if (history.status !== atAnchor) {
    v.notes.push(`after the anchor the device became ${history.status}`);
  }
  if (BARRED.has(atAnchor)) v.add(code, "untrusted", `${atAnchor} before the anchor's position`);
  else if (missing) {
    // stops whoever hands over the file from leaving out the one statement that matters
    v.add(code, "undecided", "a statement names one that is not in the file");
  } else v.add(code, "ok", `${atAnchor}, as of milestone ${newest.index}`);
}

// credential.status: of a credential that refers to status lists, by those at hand (`v.lists`: JSON documents)
export async function checkStatusLists(v) {
  const code = "credential.status";
  const reference = v.proof.credential.status;
  if (!reference) return;
  const issuer = issuerIn(v.policy, v.proof.credential.issuer);
  const place = `status list ${reference.list}, index ${reference.index}`;
  const found = [];
  const wrong = await failure(async () => {
    for (const document of v.lists) {
      const list = await parseStatusList(document);
      if (list.number !== reference.list || !issuer) continue;
      // whatever name the issuer has in it: the policy's key must have signed the list
      await verifyDocument(document, issuer.key);
      found.push({ ...list, bit: bitOf(list, reference.index) });
    }
  });
  if (wrong) v.add(code, "undecided", `a status list that says nothing: ${wrong.detail}`);
  else if (!found.length) v.add(code, "skipped", `${place} is not at hand`);
  else judgeLists(v, place, found);
}

function judgeLists(v, place, found) {
  const code = "credential.status";
  const oldest = (lists) => lists.reduce((a, b) => (b.validFrom < a.validFrom ? b : a));
  const barring = found.filter((one) => one.bit);
  if (!barring.length) {
    const said = found.map((one) => one.purpose).sort().join(" or ");
    v.add(code, "ok", `no ${said} in ${place}, as of ${momentMs(1000 * oldest(found).validFrom)}`);
    return;
  }
  const { purpose, validFrom } = oldest(barring);
  const detail = `${purpose} in ${place}, as of ${momentMs(1000 * validFrom)}`;
  if (!v.anchored() || v.proof.anchor.milestone.time >= validFrom) v.add(code, "untrusted", detail);
  else if (v.outcome("device.status") === "ok") {
    v.notes.push(`${detail}; at the anchor the device's statements count`);
  } else {
    // a list says that it is so, not since when
    v.add(code, "undecided", `${detail}: later than the anchor; since when is not said`);
  }
}
