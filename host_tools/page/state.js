// What the steps of a verification share: the file, the policy, the checks so far.

import { KIND } from "./body.js";
import { TallyError } from "./errors.js";
import { OPTIONAL, REQUIRABLE, ledgerIn } from "./policy.js";

// from the worst to the best
const STATUSES = Object.entries({
  failed: "TAMPERED",
  undecided: "UNDECIDED",
  untrusted: "UNTRUSTED",
  pending: "PENDING",
});

export class Verification {
  // `options`: progress(what, done, all) is called on the way and waited for; now: Unix seconds, for a policy that
  // limits the age of the anchor; heads: later records of the device that are known, [{seq, id, source}]; lists:
  // status lists of the issuer that are at hand, JSON documents.
  constructor(proof, policy, options) {
    this.proof = proof;
    this.policy = policy;
    this.progress = options.progress ?? (() => {});
    this.now = options.now ?? null;
    this.heads = options.heads ?? [];
    this.lists = options.lists ?? [];
    this.checks = [{ code: "proof.format", result: "ok", detail: "" }];
    this.notes = [];
    this.warnings = [];
    this.gaps = []; // {first, last, reason: the board's own word or null, event}
    this.notBefore = null;
    this.bridged = null; // {result, detail} of the transaction, if the policy wants the anchor on another ledger
    this.forked = []; // forks among links and records
    this.periods = [];
    this.keys = new Map(); // kid to key
    this.bad = new Set(); // seqs of the records that a check found wrong
    this.good = new Set(); // bytes (hex) of the records whose signature verified
  }

  // One that the policy does not require counts only if it ran and failed; one of OPTIONAL that it
  // requires may not be skipped.
  add(code, result, detail = "") {
    const required = this.policy.required.includes(code);
    if (REQUIRABLE.includes(code) && !required && result !== "ok" && result !== "failed") {
      this.checks.push({ code, result: "skipped", detail: `not required: ${detail}` });
    } else if (result === "skipped" && OPTIONAL.includes(code) && required) {
      this.checks.push({ code, result: "undecided", detail: `required: ${detail}` });
    } else this.checks.push({ code, result, detail });
  }

  outcome(code) {
    return this.checks.find((check) => check.code === code)?.result ?? null;
  }

  // Is every record tied to the milestone of a trusted ledger?
  anchored() {
    if (this.bridged && this.bridged.result !== "ok") return false;
    const codes = ["log.inclusion", "ledger.inclusion", "ledger.milestone"];
    return codes.every((code) => this.outcome(code) === "ok");
  }

  // When the board says that it took the first and the last reading, where its signatures are good.
  claimed() {
    const readings = this.proof.records.filter((one) => one.kind === KIND.readings);
    if (!readings.length || this.outcome("record.signature") !== "ok") return null;
    const last = readings.at(-1);
    const tickMs = opensOf(this.proof).get(last.body.boot)?.body.tickMs ?? 0;
    const ticks = last.body.steps.reduce((sum, step) => sum + step, 0);
    return [readings[0].time, Math.floor(last.time + (ticks * tickMs) / 1000)];
  }

  verdict() {
    const p = this.proof;
    const readings = p.records.filter((one) => one.kind === KIND.readings);
    return {
      status: statusOf(this.checks),
      checks: this.checks,
      notes: this.notes,
      warnings: this.warnings,
      gaps: this.gaps,
      claimed: this.claimed(),
      operator: p.anchor ? (ledgerIn(this.policy, p.anchor.milestone.ledger)?.operator ?? "") : "",
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
      bad: [...this.bad].sort((a, b) => a - b),
    };
  }
}

// The worst of the checks in one word.
export function statusOf(checks) {
  const worst = STATUSES.find(([result]) => checks.some((one) => countsAs(one) === result));
  return worst ? worst[1] : "VERIFIED";
}

// What the verdict makes of a check: one that it hangs on leaves it undecided when it is skipped.
export function countsAs(check) {
  return check.needed && check.result === "skipped" ? "undecided" : check.result;
}

// The TallyError of `work`, null if there was none.
export async function failure(work) {
  try {
    await work();
  } catch (error) {
    if (error instanceof TallyError) return error;
    throw error;
  }
  return null;
}

// The first three reasons and how many more there are.
export function some(reasons) {
  const more = reasons.length > 3 ? ` (and ${reasons.length - 3} more)` : "";
  return reasons.slice(0, 3).join("; ") + more;
}

// Every `open` in a proof, by its seq.
export function opensOf(proof) {
  const all = [...proof.opens, ...proof.links, ...proof.records];
  return new Map(all.filter((one) => one.kind === KIND.open).map((one) => [one.seq, one]));
}
