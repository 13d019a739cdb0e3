// Step 9, for a ledger that the policy trusts as a bridge: its anchor's transaction on another ledger. This page asks no
// node, so that at best the check is skipped, and the verdict UNDECIDED: it hangs on what the other ledger says.

import { bridgeIn } from "./policy.js";
import { failure } from "./state.js";
import { accountOf, transactionName, verifyTransaction } from "./transaction.js";

// What can be said of the transaction; other steps need to know that the anchor hangs on it.
export async function lookAtBridge(v) {
  const { anchor, transaction, checkpoint } = v.proof;
  const bridge = anchor ? bridgeIn(v.policy, anchor.milestone.ledger) : null;
  if (!bridge) return;
  if (!transaction) {
    const detail = "no transaction in the file; the bridge has its reference";
    v.bridged = { result: "undecided", detail };
    return;
  }
  const wrong = await failure(() => verifyTransaction(transaction, anchor.milestone, checkpoint.note));
  if (wrong) {
    v.bridged = { result: "failed", detail: wrong.detail };
    return;
  }
  const account = accountOf(transaction);
  if (account !== bridge.account) {
    v.bridged = { result: "untrusted", detail: `sent by ${account}, not by ${bridge.account}` };
    return;
  }
  v.bridged = { result: "skipped", detail: `${transactionName(transaction)} was not looked up` };
}

// ledger.transaction
export function checkTransaction(v) {
  if (v.bridged) v.checks.push({ code: "ledger.transaction", ...v.bridged, needed: true });
  else if (v.proof.transaction) {
    v.notes.push("the anchor has a transaction on another ledger; the policy asks for none");
  }
}
