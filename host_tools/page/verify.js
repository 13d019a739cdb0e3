// Verification of a proof, step by step; the numbers are those of docs/format.md, section 12. It needs
// the file and a policy and nothing else: no network, no clock. A check that could not be made says so.

import { verifyConfirmed } from "./block.js";
import { KIND } from "./body.js";
import { hex } from "./bytes.js";
import { Chain, keyInForce, keyPeriods } from "./chain.js";
import { validAt } from "./credential.js";
import { didOf } from "./did.js";
import { TallyError } from "./errors.js";
import { LIMITS } from "./limits.js";
import { leafHash, verifyInclusion } from "./merkle.js";
import { verifyNote } from "./note.js";
import { REQUIRABLE, gatewayIn, issuerIn, ledgerIn } from "./policy.js";
import { parseProof } from "./proof.js";
import { CLOCK_UNSET_BELOW } from "./record.js";
import { History } from "./statement.js";

const BARRED = new Set(["suspended", "stolen", "retired"]);
// from the worst to the best
const STATUS = Object.entries({
  failed: "TAMPERED",
  undecided: "UNDECIDED",
  untrusted: "UNTRUSTED",
  pending: "PENDING",
});

// {status, checks: [{code, result, detail}], ...} of a proof file's bytes. `progress(what, done, all)`
// is called on the way. Throws only what is a fault of this page.
export async function verifyProof(data, policy, progress = () => {}) {
  // 1. the form
  let proof;
  try {
    proof = await parseProof(data, progress);
  } catch (error) {
    if (!(error instanceof TallyError)) throw error;
    const checks = [{ code: "proof.format", result: "undecided", detail: error.message }];
    return { status: "UNDECIDED", checks, notes: [], proof: null };
  }
  return new Verification(proof, policy, progress).run();
}

export function statusOf(checks) {
  const worst = STATUS.find(([result]) => checks.some((check) => check.result === result));
  return worst ? worst[1] : "VERIFIED";
}

class Verification {
  constructor(proof, policy, progress) {
    this.proof = proof;
    this.policy = policy;
    this.progress = progress;
    this.checks = [{ code: "proof.format", result: "ok", detail: "" }];
    this.notes = [];
    this.notBefore = null;
    this.forked = []; // forks among links and records
    this.periods = [];
    this.keys = new Map(); // kid to key
    this.goodBytes = new Set();
  }

  async run() {
    const { credential } = this.proof;
    if (credential === null) {
      this.add("device.credential", "undecided", "no credential in the file");
      return this.verdict();
    }
    await this.credential();
    if (await this.deviceKeys(credential.deviceKey)) {
      await this.signatures();
      this.opens();
      await this.chain(credential.deviceKey);
      this.forks();
    }
    await this.log();
    await this.anchor();
    await this.statements(credential.deviceKey);
    this.statusLists();
    await this.time();
    return this.verdict();
  }

  // ---- 2. whose record is it

  async credential() {
    const { credential, anchor } = this.proof;
    const code = "device.credential";
    const issuer = issuerIn(this.policy, credential.issuer);
    if (!issuer) {
      this.add(code, "untrusted", `issuer ${credential.issuer} is not in the policy`);
      return;
    }
    const wrong = await failure(() => credential.signed.verify(issuer.key));
    if (wrong) this.add(code, "failed", wrong.detail);
    else if (credential.role !== null) {
      this.add(code, "untrusted", `a credential for a person: ${credential.role}`);
    } else if (anchor && !validAt(credential, anchor.milestone.time)) {
      this.add(code, "untrusted", "not valid at the time of the anchor");
    } else this.add(code, "ok", `issued by ${issuer.name || issuer.did}`);
  }

  // ---- 3. the keys of the device

  async deviceKeys(first) {
    const p = this.proof;
    const turns = new Map();
    for (const one of [...p.rotations, ...p.links, ...p.records]) {
      if (one.kind === KIND.rotate) turns.set(hex(one.raw), one);
    }
    const rotations = [...turns.values()].sort((a, b) => a.seq - b.seq);
    const named = namedPeriod(p, first, rotations);
    const wrong = await failure(async () => {
      this.periods = await keyPeriods(first, rotations, named);
    });
    if (wrong) {
      // a rotation by a key that nothing in the file introduces: one before it was left out
      const missing = wrong.code === "signature.key";
      this.add("device.key", missing ? "undecided" : "failed", wrong.detail);
      return false;
    }
    this.keys = new Map(this.periods.map((period) => [period.key.name, period.key]));
    const count = this.periods.length - 1;
    this.add("device.key", "ok", count ? `first key, ${count} later` : "first key");
    return true;
  }

  // ---- 4. signatures

  async signatures() {
    const p = this.proof;
    const [bad, unknown] = [[], []];
    const everything = [...p.links, ...p.opens, ...p.records, ...p.forks.flat()];
    for (const [i, one] of everything.entries()) {
      const key = this.keys.get(one.kid);
      if (!key) {
        unknown.push(`seq ${one.seq}: key ${one.kid} is not the device's`);
        continue;
      }
      const wrong = await failure(() => one.signed.verify(key));
      if (wrong) bad.push(`seq ${one.seq}: ${wrong.detail}`);
      else this.goodBytes.add(hex(one.raw));
      this.progress("signatures", i + 1, everything.length);
    }
    const code = "record.signature";
    if (bad.length) this.add(code, "failed", some(bad));
    else if (unknown.length) this.add(code, "undecided", some(unknown));
    else this.add(code, "ok", `${p.records.length} record(s) signed by the device`);
  }

  isGood(record) {
    return this.goodBytes.has(hex(record.raw));
  }

  // ---- 5. what the readings mean

  opens() {
    const p = this.proof;
    const opens = opensOf(p);
    const [missing, wrong] = [[], []];
    // stops who holds a replaced key from giving the columns another meaning
    const replaced = p.opens.filter((one) => one.kid !== keyInForce(this.periods, one.seq).name);
    const readings = p.records.filter((one) => one.kind === KIND.readings);
    for (const { seq, body } of readings) {
      const opened = opens.get(body.boot);
      if (!opened) missing.push(`seq ${seq}: open ${body.boot} is not in the file`);
      else if (opened.body.channels.length !== body.columns.length) {
        wrong.push(`seq ${seq}: columns do not fit open ${body.boot}`);
      }
    }
    const code = "record.open";
    if (wrong.length) this.add(code, "failed", some(wrong));
    else if (missing.length) this.add(code, "undecided", some(missing));
    else if (replaced.length) {
      this.add(code, "untrusted", `open ${replaced[0].seq}: its key is not in force there`);
    } else if (readings.length) {
      this.add(code, "ok", `${readings.length} readings record(s) with their open`);
    } else this.add(code, "skipped", "no readings in the file");
  }

  // ---- 6. the chain

  async chain(firstKey) {
    const walk = [...this.proof.links, ...this.proof.records];
    if (walk.some((one) => !this.isGood(one))) {
      this.add("chain.link", ...this.rawLinks(walk));
      this.add("chain.gap", "skipped", "needs all signatures");
      return;
    }
    const start = walk[0].seq;
    const state = new Chain(firstKey, start, this.periods.filter((one) => one.start <= start));
    const turns = new Set(walk.filter((one) => one.kind === KIND.rotate).map((one) => one.seq + 1));
    state.periods.push(...this.periods.filter((one) => one.start > start && !turns.has(one.start)));
    const [refused, forked, disowned] = [[], [], []];
    for (const one of walk) {
      const wrong = await failure(async () => {
        const found = await state.admit(one);
        if (found.result === "fork") forked.push(`seq ${one.seq}: ${found.detail}`);
        if (found.result === "disowned") disowned.push(`seq ${one.seq}`);
      });
      if (wrong) refused.push(`seq ${one.seq}: ${wrong.detail}`);
    }
    if (refused.length) this.add("chain.link", "failed", some(refused));
    else if (forked.length) {
      this.add("chain.link", "untrusted", some(forked));
      this.forked.push(...forked);
    } else this.add("chain.link", "ok", linked(walk));
    if (disowned.length) this.add("chain.disowned", "untrusted", some(disowned));
    this.gaps(state);
  }

  gaps(state) {
    const named = (holes) => holes.slice(0, 8).map(span).join(", ");
    if (state.missing.length) {
      this.add("chain.gap", "undecided", `missing, and no event explains it: ${named(state.missing)}`);
    } else if (state.givenUp.length) {
      this.add("chain.gap", "ok", `missing, and the board says so itself: ${named(state.givenUp)}`);
    } else this.add("chain.gap", "ok", "none");
  }

  // What can be said of the links when a signature failed.
  rawLinks(walk) {
    for (let i = 1; i < walk.length; i++) {
      const [before, after] = [walk[i - 1], walk[i]];
      const broken = after.seq === before.seq + 1 && after.prev !== before.id;
      if (broken && !(this.isGood(before) && this.isGood(after))) {
        return ["failed", `seq ${after.seq} does not continue seq ${before.seq}`];
      }
    }
    return ["skipped", "needs all signatures"];
  }

  forks() {
    const p = this.proof;
    const marked = [...this.forked];
    const places = new Map([...p.links, ...p.records].map((one) => [one.seq, one]));
    const pairOf = (seq, a, b) => `fork at seq ${seq}: ${a.id.slice(0, 16)} and ${b.id.slice(0, 16)}`;
    for (const one of [...p.opens, ...p.rotations]) {
      const other = places.get(one.seq);
      if (other && other.id !== one.id && this.isGood(other)) marked.push(pairOf(one.seq, other, one));
    }
    let useless = 0;
    for (const [first, second] of p.forks) {
      const seq = forkSeq(first, second);
      if (seq === null || !this.isGood(first) || !this.isGood(second)) {
        useless += 1;
        continue;
      }
      const hit = p.records.some((one) => one.seq >= seq && one.kid === second.kid);
      if (hit) marked.push(pairOf(seq, first, second));
      else this.notes.push(`a later ${pairOf(seq, first, second)}`);
    }
    const code = "chain.fork";
    if (marked.length) this.add(code, "untrusted", `${some(marked)} (a cloned or restored key)`);
    else if (useless) this.add(code, "undecided", `${useless} fork part(s) that prove no fork`);
    else this.add(code, "ok", "none in the file");
  }

  // ---- 7 and 8. the log

  async log() {
    const p = this.proof;
    const { checkpoint } = p;
    if (!p.inclusions.length) this.add("log.inclusion", "undecided", "no inclusion in the file");
    else {
      const bad = [];
      for (const [i, { index, path }] of p.inclusions.entries()) {
        const wrong = await failure(async () => {
          const leaf = await leafHash(p.records[i].raw);
          await verifyInclusion(leaf, index, checkpoint.size, path, checkpoint.root);
        });
        if (wrong) bad.push(`seq ${p.records[i].seq}: ${wrong.detail}`);
        this.progress("log", i + 1, p.inclusions.length);
      }
      if (bad.length) this.add("log.inclusion", "failed", some(bad));
      else this.add("log.inclusion", "ok", `in a log of ${checkpoint.size}`);
    }
    const code = "checkpoint.signature";
    const gateway = gatewayIn(this.policy, checkpoint.origin);
    if (!gateway) {
      this.add(code, "untrusted", `log ${JSON.stringify(checkpoint.origin)} is not in the policy`);
      return;
    }
    const wrong = await failure(() => verifyNote(checkpoint.note, gateway.vkey));
    if (wrong) this.add(code, "failed", wrong.detail);
    else {
      const strangers = checkpoint.note.signatures.length - 1;
      if (strangers) this.notes.push(`${strangers} signature line(s) of other keys were ignored`);
      this.add(code, "ok", `signed by ${gateway.name || checkpoint.origin}`);
    }
  }

  // ---- 9. the ledger

  async anchor() {
    const { anchor } = this.proof;
    if (!anchor) {
      this.add("ledger.inclusion", "pending", "not anchored yet");
      this.add("ledger.milestone", "pending", "not anchored yet");
      return;
    }
    this.add("ledger.inclusion", ...(await confirmation(anchor)));
    this.add("ledger.milestone", ...(await this.milestone(anchor.milestone)));
  }

  async milestone(milestone) {
    const ledger = ledgerIn(this.policy, milestone.ledger);
    if (!ledger) return ["untrusted", `ledger ${milestone.ledger} is not in the policy`];
    const wrong = await failure(() => milestone.block.signed.verify(ledger.vkey.key));
    if (wrong) return ["failed", wrong.detail];
    const by = ledger.operator ? `, operated by ${ledger.operator}` : "";
    return ["ok", `milestone ${milestone.index} of ledger ${milestone.ledger}${by}`];
  }

  // ---- 10. the standing of the device

  async statements(firstKey) {
    const p = this.proof;
    const code = "device.status";
    if (!p.statements.length) {
      this.add(code, "skipped", "no statements about the device in the file");
      return;
    }
    const issuer = issuerIn(this.policy, p.credential.issuer);
    let newest = (p.anchor ?? p.statements[0].confirmed).milestone;
    const { ledger } = newest;
    const history = new History(didOf(firstKey), ledger, issuer ? [issuer.key] : []);
    let atAnchor = "unknown";
    let missing = false;
    for (const { confirmed, statement } of p.statements) {
      if (confirmed.milestone.ledger !== ledger) {
        this.add(code, "undecided", "a statement in another ledger than the anchor");
        return;
      }
      for (const [result, detail] of [
        await confirmation(confirmed),
        await this.milestone(confirmed.milestone),
      ]) {
        if (result !== "ok") {
          this.add(code, result, `statement at ${confirmed.position}: ${detail}`);
          return;
        }
      }
      missing = missing || (await history.misses(statement));
      const reason = await history.apply(statement, confirmed.milestone.time);
      if (reason) {
        this.notes.push(`statement '${statement.kind}' at ${confirmed.position} had no effect: ${reason}`);
      }
      // what no path ties to the anchor may be as young as the newest statement
      const early = !p.anchor || confirmed.position < p.anchor.position;
      if (early || !this.anchored()) atAnchor = history.status;
      if (confirmed.milestone.index > newest.index) newest = confirmed.milestone;
    }
    this.history = history;
    if (history.status !== atAnchor) {
      this.notes.push(`after the anchor the device became ${history.status}`);
    }
    if (BARRED.has(atAnchor)) this.add(code, "untrusted", `${atAnchor} before the anchor's position`);
    else if (missing) {
      // stops whoever hands over the file from leaving out the one statement that matters
      this.add(code, "undecided", "a statement names one that is not in the file");
    } else this.add(code, "ok", `${atAnchor}, as of milestone ${newest.index}`);
  }

  // ---- 10, for a credential that refers to status lists: this page reads none

  statusLists() {
    const reference = this.proof.credential.status;
    if (!reference) return;
    const place = `status list ${reference.list}, index ${reference.index}`;
    this.add("credential.status", "skipped", `${place} is not at hand`);
  }

  // ---- 11. between which two moments

  async time() {
    const p = this.proof;
    const code = "time.window";
    const notAfter = p.anchor && this.anchored() ? p.anchor.milestone.time : null;
    if (p.before && !(await this.provesBefore(p.before))) return;
    if (this.notBefore === null && notAfter === null) {
      this.add(code, "skipped", "no milestone before or after");
      return;
    }
    if (this.notBefore !== null && notAfter !== null && this.notBefore > notAfter) {
      this.add(code, "failed", "the milestone before is later than the one after");
      return;
    }
    for (const one of p.records) {
      const early = this.notBefore !== null && one.time < this.notBefore;
      const late = notAfter !== null && one.time > notAfter;
      if (one.time >= CLOCK_UNSET_BELOW && (early || late)) {
        this.notes.push(`the board's clock at seq ${one.seq} lies outside the window`);
        break;
      }
    }
    this.add(code, "ok", "");
  }

  // Does the chain embed `before`, so that the records are younger? Adds the check if not.
  async provesBefore(before) {
    const p = this.proof;
    const code = "time.window";
    const walk = [...p.links, ...p.records];
    const first = walk[0];
    const embeds = [KIND.beacon, KIND.open].includes(first.kind) ? first.body.milestone : null;
    if (!embeds || hex(embeds.ledger) !== before.ledger || hex(embeds.id) !== before.id) {
      this.add(code, "undecided", "the milestone before is not the one in the chain");
      return false;
    }
    if (p.anchor && p.anchor.milestone.ledger !== before.ledger) {
      // two ledgers are two clocks
      this.add(code, "undecided", "the milestone before is of another ledger");
      return false;
    }
    const whole = this.outcome("chain.link") === "ok" && this.outcome("chain.gap") === "ok";
    if (!whole || walk.at(-1).seq - first.seq !== walk.length - 1) {
      this.add(code, "undecided", "the chain back to the milestone is broken");
      return false;
    }
    const [result, detail] = await this.milestone(before);
    if (result !== "ok") {
      this.add(code, result, `milestone before: ${detail}`);
      return false;
    }
    this.notBefore = before.time;
    return true;
  }

  // ---- the end

  add(code, result, detail) {
    const left = REQUIRABLE.includes(code) && !this.policy.required.includes(code);
    if (left && result !== "ok" && result !== "failed") {
      this.checks.push({ code, result: "skipped", detail: `not required: ${detail}` });
    } else this.checks.push({ code, result, detail });
  }

  outcome(code) {
    return this.checks.find((check) => check.code === code)?.result ?? null;
  }

  // Is every record tied to the milestone of a trusted ledger?
  anchored() {
    const codes = ["log.inclusion", "ledger.inclusion", "ledger.milestone"];
    return codes.every((code) => this.outcome(code) === "ok");
  }

  verdict() {
    const p = this.proof;
    const readings = p.records.filter((one) => one.kind === KIND.readings);
    return {
      status: statusOf(this.checks),
      checks: this.checks,
      notes: this.notes,
      proof: p,
      device: p.credential?.subject ?? null,
      issuer: p.credential?.issuer ?? null,
      first: p.records[0].seq,
      last: p.records.at(-1).seq,
      readings: readings.reduce((sum, one) => sum + one.body.count, 0),
      notBefore: this.notBefore,
      notAfter: p.anchor && this.anchored() ? p.anchor.milestone.time : null,
      gateway: p.checkpoint.origin,
      ledger: p.anchor ? p.anchor.milestone.ledger : null,
    };
  }
}

// Every `open` in a proof, by its seq.
export function opensOf(proof) {
  const all = [...proof.opens, ...proof.links, ...proof.records];
  return new Map(all.filter((one) => one.kind === KIND.open).map((one) => [one.seq, one]));
}

// From where on the key is in force that the credential names and no rotation led to.
function namedPeriod(p, first, rotations) {
  const { key } = p.credential;
  if (!key || key.equals(first) || rotations.some((one) => one.body.key.equals(key))) return null;
  const used = [...p.links, ...p.opens, ...p.records, ...rotations].filter((one) => one.kid === key.name);
  if (!used.length) return { start: LIMITS.seq, key };
  const at = used.reduce((a, b) => (b.seq < a.seq ? b : a));
  // its `open` need not be in the file: the key was in force before what is
  return { start: at.kind === KIND.open ? at.seq : Math.max(at.seq - 1, 1), key };
}

async function confirmation(confirmed) {
  const wrong = await failure(() => verifyConfirmed(confirmed));
  if (wrong) return ["failed", wrong.detail];
  return ["ok", `position ${confirmed.position} of ${confirmed.milestone.size} blocks`];
}

// Where the two records fork, null if they do not.
function forkSeq(a, b) {
  if (a.kid !== b.kid) return null;
  const [first, second] = a.seq > b.seq ? [b, a] : [a, b];
  if (first.seq === second.seq && first.id !== second.id) return first.seq;
  if (first.seq + 1 === second.seq && second.prev !== first.id) return first.seq;
  // signed by the key that it replaced
  if (first.kind === KIND.rotate && first.seq < second.seq) return first.seq + 1;
  return null;
}

// The TallyError of `work`, null if there was none.
async function failure(work) {
  try {
    await work();
  } catch (error) {
    if (error instanceof TallyError) return error;
    throw error;
  }
  return null;
}

function linked(walk) {
  const pairs = walk.filter((one, i) => i && one.seq === walk[i - 1].seq + 1).length;
  return walk.length > 1 ? `${pairs} link(s)` : "one record, nothing to link";
}

function span([start, stop]) {
  return stop - start === 1 ? `${start}` : `${start}..${stop - 1}`;
}

function some(reasons) {
  const more = reasons.length > 3 ? ` (and ${reasons.length - 3} more)` : "";
  return reasons.slice(0, 3).join("; ") + more;
}
