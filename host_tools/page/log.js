// Steps 7 and 8: the records in the log of a gateway, and who signed the checkpoint.

import { inBatches } from "./batches.js";
import { leafHash, verifyInclusion, verifyShared } from "./merkle.js";
import { verifyNote } from "./note.js";
import { gatewayIn } from "./policy.js";
import { failure, some } from "./state.js";

// 7. log.inclusion: does each record's path lead to the root of the checkpoint?
export async function checkInclusion(v) {
  const p = v.proof;
  const code = "log.inclusion";
  const { checkpoint } = p;
  if (p.shared) {
    const wrong = await failure(() => checkShared(v, p.shared, checkpoint));
    const detail = `${p.records.length} together, in a log of ${checkpoint.size}`;
    v.add(code, wrong ? "failed" : "ok", wrong ? wrong.detail : detail);
    return;
  }
  if (!p.inclusions.length) {
    v.add(code, "undecided", "no inclusion in the file");
    return;
  }
  const places = p.inclusions.map((one, i) => ({ ...one, record: p.records[i] }));
  const check = ({ record, index, path }) =>
    failure(async () => {
      const leaf = await leafHash(record.raw);
      await verifyInclusion(leaf, index, checkpoint.size, path, checkpoint.root);
    });
  const step = (done, all) => v.progress("log", done, all);
  const found = await inBatches(places, check, step);
  for (const [i, wrong] of found.entries()) if (wrong) v.bad.add(p.records[i].seq);
  const bad = found.flatMap((wrong, i) => (wrong ? [`seq ${p.records[i].seq}: ${wrong.detail}`] : []));
  if (bad.length) v.add(code, "failed", some(bad));
  else v.add(code, "ok", `in a log of ${checkpoint.size}`);
}

async function checkShared(v, { indices, hashes }, checkpoint) {
  const step = (done, all) => v.progress("log", done, all);
  const leaves = await inBatches(v.proof.records, (one) => leafHash(one.raw), step);
  await verifyShared(indices, leaves, checkpoint.size, hashes, checkpoint.root);
}

// 8. checkpoint.signature: did a gateway of the policy sign the checkpoint?
export async function checkCheckpoint(v) {
  const { checkpoint } = v.proof;
  const code = "checkpoint.signature";
  const gateway = gatewayIn(v.policy, checkpoint.origin);
  if (!gateway) {
    v.add(code, "untrusted", `log '${checkpoint.origin}' is not in the policy`);
    return;
  }
  const wrong = await failure(() => verifyNote(checkpoint.note, gateway.vkey));
  if (wrong) {
    v.add(code, "failed", wrong.detail);
    return;
  }
  const strangers = checkpoint.note.signatures.length - 1;
  if (strangers) v.notes.push(`${strangers} signature line(s) of other keys were ignored`);
  v.add(code, "ok", `signed by ${gateway.name || checkpoint.origin}`);
}
