// What the steps of a verification share: the file, the policy, the checks so far.

import { KIND } from "./body.js";
import { TallyError } from "./errors.js";
import { OPTIONAL, REQUIRABLE } from "./policy.js";

// from the worst to the best
const STATUSES = Object.entries({
  failed: "TAMPERED",
  undecided: "UNDECIDED",
  untrusted: "UNTRUSTED",
  pending: "PENDING",
});

export class Verification {
  // `options`: {progress(what, done, all), now: Unix seconds or null, heads: [{seq, id}] that are known}
  constructor(proof, policy, options) {
    this.proof = proof;
    this.policy = policy;
    this.progress = options.progress ?? (() => {});
    this.now = options.now ?? null;
    this.heads = options.heads ?? [];
    this.checks = [{ code: "proof.format", result: "ok", detail: "" }];
    this.notes = [];
    this.warnings = [];
    this.notBefore = null;
    this.forked = []; // forks among links and records
    this.periods = [];
    this.keys = new Map(); // kid to key
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
    if (this.outcome("ledger.transaction") === "undecided") return false;
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
      warnings: this.warnings,
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

// The worst of the checks in one word.
export function statusOf(checks) {
  const worst = STATUSES.find(([result]) => checks.some((check) => check.result === result));
  return worst ? worst[1] : "VERIFIED";
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
