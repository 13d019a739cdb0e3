// Step 10: the standing of the device at the anchor, by its statements. Status lists are no part of a proof.

import { didOf } from "./did.js";
import { ledgerInclusionOf, milestoneOf } from "./ledger.js";
import { issuerIn } from "./policy.js";
import { History } from "./statement.js";

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

// credential.status, of a credential that refers to status lists: this page reads none
export function checkStatusLists(v) {
  const reference = v.proof.credential.status;
  if (!reference) return;
  const place = `status list ${reference.list}, index ${reference.index}`;
  v.add("credential.status", "skipped", `${place} is not at hand`);
}
