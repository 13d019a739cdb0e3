// How facts are written for people: times, numbers, a verdict in one sentence.

import { CLOCK_UNSET_BELOW } from "./record.js";
import { countsAs } from "./state.js";

const LAST_MS = 253_402_300_799_999; // the end of the year 9999, where RFC 3339 ends
const REASON = { TAMPERED: "failed", UNDECIDED: "undecided", UNTRUSTED: "untrusted" };
const OPEN = new Set(["skipped", "pending", "undecided"]);
// what no signature can say
const NEVER_PROVEN = [
  "where the sensor was, and that it measured what it should",
  "that the board's clock was right before the anchor",
  "that nobody opened the case",
];

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

// Ascending numbers as ranges: 2, 3, 5 are "seq 2..3, 5".
export function runsOf(seqs) {
  const runs = [];
  for (const seq of seqs) {
    if (runs.length && runs.at(-1)[1] === seq - 1) runs.at(-1)[1] = seq;
    else runs.push([seq, seq]);
  }
  return `seq ${runs.map(([first, last]) => (first === last ? first : `${first}..${last}`)).join(", ")}`;
}

export function deviceName(verdict) {
  const key = verdict.proof?.credential?.deviceKey;
  return key ? `board ${key.name}` : "an unknown board";
}

// The same words as `tally verify` has, and never more than the checks that ran.
export function sentenceOf(verdict) {
  const what = whatIs(verdict);
  if (verdict.status === "VERIFIED") return `${what} ${goodOf(verdict)}`;
  if (verdict.status === "PENDING") return `${what} ${goodOf(verdict)}; no ledger confirms it yet`;
  const check = verdict.checks.find((one) => countsAs(one) === REASON[verdict.status]);
  const reason = check.detail ? `${check.code}: ${check.detail}` : check.code;
  if (verdict.status === "TAMPERED") return `something was changed: ${reason}`;
  if (verdict.status === "UNTRUSTED") return `${what}: signatures and hashes fit, but ${reason}`;
  return `could not be decided: ${reason}`;
}

export function notProven(verdict) {
  const left = verdict.checks.filter((one) => {
    const window = one.code === "time.window" && one.result === "skipped";
    return OPEN.has(one.result) && one.code !== "proof.format" && !window;
  });
  const lines = left.map((one) => `${one.code}: ${one.detail}`);
  if (verdict.first === undefined || verdict.status === "TAMPERED") return lines;
  if (verdict.notAfter === null && !left.some((one) => one.code.startsWith("ledger."))) {
    lines.push("by when the readings existed: no trusted ledger says so");
  }
  if (verdict.notBefore === null) {
    lines.push("that the readings are not older than the board's clock says");
  }
  return [...lines, ...NEVER_PROVEN];
}

function whatIs(verdict) {
  if (verdict.first === undefined) return "a record of an unknown board";
  const { first, last, readings } = verdict;
  const seqs = first === last ? `seq ${first}` : `seq ${first}..${last}`;
  const who = deviceName(verdict);
  if (!readings) return `${first === last ? "a record" : "records"} of ${who} (${seqs})`;
  const what = `${plural(readings, "reading")} of ${who} (${seqs})`;
  if (!verdict.claimed) return what;
  const [start, end] = verdict.claimed.map(moment);
  return `${what} ${start === end ? `at ${start}` : `between ${start} and ${end}`}`;
}

// What was proven: unmodified, complete, and between which moments.
function goodOf(verdict) {
  const single = verdict.readings === 1 || (!verdict.readings && verdict.first === verdict.last);
  const clauses = [];
  if (isOk(verdict, "record.signature")) {
    clauses.push(`unmodified since the board signed ${single ? "it" : "them"}`);
  }
  const complete = completeOf(verdict);
  if (complete) clauses.push(complete);
  if (verdict.notAfter !== null) clauses.push(`in existence before ${moment(verdict.notAfter)}`);
  if (verdict.notBefore !== null) clauses.push(`signed after ${moment(verdict.notBefore)}`);
  if (!clauses.length) return single ? "passes what the policy requires" : "passed what the policy requires";
  const said =
    clauses.length > 1 ? `${clauses.slice(0, -1).join(", ")} and ${clauses.at(-1)}` : clauses[0];
  return `${single ? "is" : "are"} ${said}${clockOf(verdict)}`;
}

// Of more than one record: nothing between them is missing, or the board says what.
function completeOf(verdict) {
  const whole = isOk(verdict, "chain.link") && isOk(verdict, "chain.gap");
  if (verdict.first === verdict.last || !whole) return "";
  if (!verdict.gaps.length) return "complete";
  const missing = verdict.gaps.reduce((sum, gap) => sum + gap.last - gap.first + 1, 0);
  const gaps = plural(verdict.gaps.length, "gap");
  return `complete except for ${gaps} (${plural(missing, "record")}) that the board declares`;
}

function clockOf(verdict) {
  if (verdict.notAfter === null && verdict.notBefore === null) return "";
  const ledger = verdict.ledger ? ` ${verdict.ledger}` : "";
  const operator = verdict.operator ? ` operated by ${verdict.operator}` : "";
  return `, by the clock of ledger${ledger}${operator}`;
}

function isOk(verdict, code) {
  return verdict.checks.find((one) => one.code === code)?.result === "ok";
}

// A sentence as it stands on a page.
export function capital(text) {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}.`;
}
