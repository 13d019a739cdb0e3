// Step 9: the anchor in the ledger, the milestone that confirms it, and the witnesses who saw the ledger grow.

import { verifyConfirmed } from "./block.js";
import { EvidenceError } from "./errors.js";
import { verifyConsistency } from "./merkle.js";
import { cosignedAt, verifyNote } from "./note.js";
import { bridgeIn, ledgerIn } from "./policy.js";
import { failure, some } from "./state.js";

// ledger.inclusion, ledger.milestone
export async function checkAnchor(v) {
  const { anchor } = v.proof;
  if (!anchor) {
    v.add("ledger.inclusion", "pending", "not anchored yet");
    v.add("ledger.milestone", "pending", "not anchored yet");
    return;
  }
  v.add("ledger.inclusion", ...(await ledgerInclusionOf(anchor)));
  v.add("ledger.milestone", ...(await milestoneOf(v, anchor.milestone)));
  if (!bridgeIn(v.policy, anchor.milestone.ledger)) return;
  // a page asks no network: what the other ledger says, and so the verdict, stays open
  const found = v.proof.transaction ? "this page asks no other ledger; tally verify --rpc URL does" : "no transaction in the file";
  v.add("ledger.transaction", "undecided", found);
}

// ledger.witness, if the policy asks for witnesses
export async function checkWitnesses(v) {
  const code = "ledger.witness";
  const { quorum, witnesses } = v.policy;
  const { anchor, cosigned } = v.proof;
  if (!quorum) return;
  if (!anchor) {
    v.add(code, "pending", "not anchored yet");
    return;
  }
  if (!cosigned) {
    v.add(code, "undecided", `no cosigned checkpoint, ${quorum} witness(es) required`);
    return;
  }
  const { milestone } = anchor;
  const note = cosigned.checkpoint;
  const [names, absent] = [[], []];
  const wrong = await failure(async () => {
    if (note.origin !== `tallystick-ledger/${milestone.ledger}`) {
      throw new EvidenceError("checkpoint.origin", `the cosigned checkpoint is one of ${note.origin}`);
    }
    const { size, root } = milestone;
    await verifyConsistency(size, root, note.size, note.root, cosigned.path);
    const ledger = ledgerIn(v.policy, milestone.ledger);
    // whoever signs for a ledger that nobody trusts
    if (ledger) await verifyNote(note.note, ledger.vkey);
    for (const one of witnesses) {
      const seen = await cosignedAt(note.note, one.vkey);
      (seen ? names : absent).push(one.name || one.vkey.name);
    }
  });
  if (wrong) v.add(code, "failed", wrong.detail);
  else if (names.length < quorum) {
    v.add(code, "undecided", `${names.length} of ${quorum} witnesses; no line of ${some(absent)}`);
  } else v.add(code, "ok", `cosigned by ${some(names)} at ${note.size} blocks`);
}

// [result, detail]: did a ledger of the policy sign this milestone?
export async function milestoneOf(v, milestone) {
  const ledger = ledgerIn(v.policy, milestone.ledger);
  if (!ledger) return ["untrusted", `ledger ${milestone.ledger} is not in the policy`];
  const wrong = await failure(() => milestone.block.signed.verify(ledger.vkey.key));
  if (wrong) return ["failed", wrong.detail];
  const by = ledger.operator ? `, operated by ${ledger.operator}` : "";
  return ["ok", `milestone ${milestone.index} of ledger ${milestone.ledger}${by}`];
}

// [result, detail]: does the block's path lead to the root of its milestone?
export async function ledgerInclusionOf(confirmed) {
  const wrong = await failure(() => verifyConfirmed(confirmed));
  if (wrong) return ["failed", wrong.detail];
  return ["ok", `position ${confirmed.position} of ${confirmed.milestone.size} blocks`];
}
