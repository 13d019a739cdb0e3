// Steps 7 and 8: the records in the log of a gateway, and who signed the checkpoint.

import { leafHash, verifyInclusion, verifyShared } from "./merkle.js";
import { verifyNote } from "./note.js";
import { gatewayIn } from "./policy.js";
import { failure, some } from "./state.js";

export async function checkLog(v) {
  const p = v.proof;
  const { checkpoint } = p;
  if (p.shared) {
    const wrong = await failure(async () => {
      const leaves = await Promise.all(p.records.map((one) => leafHash(one.raw)));
      const { indices, hashes } = p.shared;
      await verifyShared(indices, leaves, checkpoint.size, hashes, checkpoint.root);
    });
    if (wrong) v.add("log.inclusion", "failed", wrong.detail);
    else {
      const detail = `${p.records.length} together, in a log of ${checkpoint.size}`;
      v.add("log.inclusion", "ok", detail);
    }
  } else if (!p.inclusions.length) v.add("log.inclusion", "undecided", "no inclusion in the file");
  else {
    const bad = [];
    for (const [i, { index, path }] of p.inclusions.entries()) {
      const wrong = await failure(async () => {
        const leaf = await leafHash(p.records[i].raw);
        await verifyInclusion(leaf, index, checkpoint.size, path, checkpoint.root);
      });
      if (wrong) bad.push(`seq ${p.records[i].seq}: ${wrong.detail}`);
      v.progress("log", i + 1, p.inclusions.length);
    }
    if (bad.length) v.add("log.inclusion", "failed", some(bad));
    else v.add("log.inclusion", "ok", `in a log of ${checkpoint.size}`);
  }
  const code = "checkpoint.signature";
  const gateway = gatewayIn(v.policy, checkpoint.origin);
  if (!gateway) {
    v.add(code, "untrusted", `log ${JSON.stringify(checkpoint.origin)} is not in the policy`);
    return;
  }
  const wrong = await failure(() => verifyNote(checkpoint.note, gateway.vkey));
  if (wrong) v.add(code, "failed", wrong.detail);
  else {
    const strangers = checkpoint.note.signatures.length - 1;
    if (strangers) v.notes.push(`${strangers} signature line(s) of other keys were ignored`);
    v.add(code, "ok", `signed by ${gateway.name || checkpoint.origin}`);
  }
}
