// How facts are written for people: times, numbers, a verdict in one sentence.

import { CLOCK_UNSET_BELOW } from "./record.js";

const LAST_MS = 253_402_300_799_999; // the end of the year 9999, where RFC 3339 ends
const REASON = { TAMPERED: "failed", UNDECIDED: "undecided", UNTRUSTED: "untrusted" };
const OPEN = new Set(["skipped", "pending", "undecided"]);

export function moment(seconds) {
  return seconds < CLOCK_UNSET_BELOW ? `start + ${seconds} s` : momentMs(seconds * 1000);
}

export function momentMs(ms) {
  if (ms > LAST_MS) return `${Math.floor(ms / 1000)} s`;
  return new Date(ms).toISOString().replace(".000Z", "Z");
}

// value x 10^exponent, exactly and without an exponent: (215n, -1) is "21.5".
export function scaled(value, exponent) {
  if (exponent >= 0) return `${value * 10n ** BigInt(exponent)}`;
  const sign = value < 0n ? "-" : "";
  const digits = `${value < 0n ? -value : value}`.padStart(1 - exponent, "0");
  return `${sign}${digits.slice(0, exponent)}.${digits.slice(exponent)}`;
}

export function plural(count, noun) {
  return count === 1 ? `1 ${noun}` : `${count} ${noun}s`;
}

export function deviceName(verdict) {
  const key = verdict.proof?.credential?.deviceKey;
  return key ? `board ${key.name}` : "an unknown board";
}

// Never says more than the checks that ran.
export function sentenceOf(verdict) {
  const what = whatIs(verdict);
  if (verdict.status === "VERIFIED") return `${what} ${goodOf(verdict)}.`;
  if (verdict.status === "PENDING") return `${what} ${goodOf(verdict)}; no ledger confirms it yet.`;
  const check = verdict.checks.find((one) => one.result === REASON[verdict.status]);
  const reason = check.detail ? `${check.code}: ${check.detail}` : check.code;
  if (verdict.status === "TAMPERED") return `Something was changed: ${reason}.`;
  if (verdict.status === "UNTRUSTED") return `${what}: signatures and hashes fit, but ${reason}.`;
  return `It could not be decided: ${reason}.`;
}

export function notProven(verdict) {
  const left = verdict.checks.filter((one) => {
    const window = one.code === "time.window" && one.result === "skipped";
    return OPEN.has(one.result) && one.code !== "proof.format" && !window;
  });
  const lines = left.map((one) => `${one.code}: ${one.detail}`);
  if (verdict.first === undefined || verdict.status === "TAMPERED") return lines;
  if (verdict.notAfter === null && !left.some((one) => one.code.startsWith("ledger."))) {
    lines.push("By when the readings existed: no trusted ledger says so.");
  }
  if (verdict.notBefore === null) {
    lines.push("That the readings are not older than the board's clock says.");
  }
  return [...lines, "Where the sensor was, that it measured what it should, and that nobody opened the case."];
}

function whatIs(verdict) {
  if (verdict.first === undefined) return "A record";
  const { first, last, readings } = verdict;
  const seqs = first === last ? `seq ${first}` : `seq ${first}..${last}`;
  const who = deviceName(verdict);
  if (readings) return `${plural(readings, "reading")} of ${who} (${seqs})`;
  return `${first === last ? "A record" : "Records"} of ${who} (${seqs})`;
}

function goodOf(verdict) {
  const single = verdict.readings === 1 || (!verdict.readings && verdict.first === verdict.last);
  const signed = verdict.checks.find((one) => one.code === "record.signature");
  const clauses = [];
  if (signed?.result === "ok") clauses.push(`unmodified since the board signed ${single ? "it" : "them"}`);
  if (verdict.notAfter !== null) clauses.push(`in existence by ${moment(verdict.notAfter)}`);
  if (verdict.notBefore !== null) clauses.push(`not made before ${moment(verdict.notBefore)}`);
  if (!clauses.length) return single ? "passes what the policy requires" : "pass what the policy requires";
  const gap = verdict.checks.find((one) => one.code === "chain.gap");
  const declared = gap?.result === "ok" && gap.detail !== "none" ? "; the board declares gaps" : "";
  return `${single ? "is" : "are"} ${clauses.join(", ")}${declared}`;
}
