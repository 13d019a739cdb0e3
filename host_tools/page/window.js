// Step 11: between which two moments, and whether the board's clock agrees.

import { KIND } from "./body.js";
import { hex } from "./bytes.js";
import { milestoneOf } from "./ledger.js";
import { gatewayIn, ledgerIn } from "./policy.js";
import { CLOCK_UNSET_BELOW } from "./record.js";

// time.window
export async function checkWindow(v) {
  const p = v.proof;
  const code = "time.window";
  const notAfter = p.anchor && v.anchored() ? p.anchor.milestone.time : null;
  if (p.before && !(await provesBefore(v, p.before))) return;
  if (v.notBefore === null && notAfter === null) {
    v.add(code, "skipped", "no milestone before or after");
    return;
  }
  if (v.notBefore !== null && notAfter !== null && v.notBefore > notAfter) {
    // two clocks, the bridge's own and that of the other ledger, may contradict each other in good faith
    const result = v.bridged ? "undecided" : "failed";
    v.add(code, result, "the milestone before is later than the one after");
    return;
  }
  if (v.notBefore !== null && v.bridged) {
    v.notes.push("'not before' rests on the bridge's own clock alone");
  }
  reportClock(v, notAfter);
  reportOneParty(v);
  if (v.policy.required.includes(code) && (v.notBefore === null || notAfter === null)) {
    v.add(code, "undecided", `required: no milestone ${v.notBefore === null ? "before" : "after"}`);
    return;
  }
  v.add(code, "ok", "");
}

// Does the chain embed `before`, so that the records are younger? Adds the check if not.
async function provesBefore(v, before) {
  const p = v.proof;
  const code = "time.window";
  const walk = [...p.links, ...p.records];
  const first = walk[0];
  const embeds = [KIND.beacon, KIND.open].includes(first.kind) ? first.body.milestone : null;
  if (!embeds || hex(embeds.ledger) !== before.ledger || hex(embeds.id) !== before.id) {
    v.add(code, "undecided", "the milestone before is not the one in the chain");
    return false;
  }
  if (p.anchor && p.anchor.milestone.ledger !== before.ledger) {
    // two ledgers are two clocks
    v.add(code, "undecided", "the milestone before is of another ledger");
    return false;
  }
  const whole = v.outcome("chain.link") === "ok" && v.outcome("chain.gap") === "ok";
  if (!whole || walk.at(-1).seq - first.seq !== walk.length - 1) {
    v.add(code, "undecided", "the chain back to the milestone is broken");
    return false;
  }
  const [result, detail] = await milestoneOf(v, before);
  if (result !== "ok") {
    v.add(code, result, `milestone before: ${detail}`);
    return false;
  }
  v.notBefore = before.time;
  return true;
}

// What the board's own clock claims is shown as a claim; one that contradicts the ledger's is reported.
function reportClock(v, notAfter) {
  const timed = v.proof.records.filter((one) => one.time >= CLOCK_UNSET_BELOW);
  const early = timed.filter((one) => v.notBefore !== null && one.time < v.notBefore);
  const late = timed.filter((one) => notAfter !== null && one.time > notAfter);
  if (early.length) {
    const by = v.notBefore - early[0].time;
    v.warnings.push(contradiction(early.length, early[0].seq, `${by} s before the window begins`));
  }
  if (late.length) {
    const by = late.at(-1).time - notAfter;
    v.warnings.push(contradiction(late.length, late.at(-1).seq, `${by} s after the window ends`));
  }
}

function contradiction(count, seq, where) {
  const records = count === 1 ? "1 record" : `${count} records`;
  return `the board's clock at seq ${seq} lies ${where}; so it is with ${records}: its times are wrong`;
}

// The window rests on the ledger alone, and on nobody if the gateway's owner runs it.
function reportOneParty(v) {
  const gateway = gatewayIn(v.policy, v.proof.checkpoint.origin);
  const ledger = v.proof.anchor ? ledgerIn(v.policy, v.proof.anchor.milestone.ledger) : null;
  if (!gateway || !ledger) return;
  const words = (text) => text.toLowerCase().split(/\s+/).filter(Boolean).join(" ");
  if (gateway.operator && words(gateway.operator) === words(ledger.operator)) {
    const who = gateway.operator;
    v.warnings.push(`${who} runs both the gateway and the ledger: the time bounds are one party's word`);
  } else if (gateway.vkey.key.equals(ledger.vkey.key)) {
    v.warnings.push("one key signs for the gateway and for the ledger: the time bounds are one party's word");
  }
}
