// Steps 4 and 5: who signed each record, and what its readings mean.

import { inBatches } from "./batches.js";
import { KIND } from "./body.js";
import { hex } from "./bytes.js";
import { keyInForce } from "./chain.js";
import { failure, opensOf, some } from "./state.js";

// 4. record.signature
export async function checkSignatures(v) {
  const p = v.proof;
  const [bad, unknown] = [[], []];
  const everything = [...p.links, ...p.opens, ...p.records, ...p.forks.flat()];
  const check = async (one) => {
    const key = v.keys.get(one.kid);
    return key ? failure(() => one.signed.verify(key)) : undefined;
  };
  const step = (done, all) => v.progress("signatures", done, all);
  const found = await inBatches(everything, check, step);
  for (const [i, one] of everything.entries()) {
    if (found[i]) v.bad.add(one.seq);
    if (found[i] === undefined) unknown.push(`seq ${one.seq}: key ${one.kid} is not the device's`);
    else if (found[i]) bad.push(`seq ${one.seq}: ${found[i].detail}`);
    else v.good.add(hex(one.raw));
  }
  const code = "record.signature";
  if (bad.length) v.add(code, "failed", some(bad));
  else if (unknown.length) v.add(code, "undecided", some(unknown));
  else v.add(code, "ok", `${p.records.length} record(s) signed by the device`);
}

export function isGood(v, record) {
  return v.good.has(hex(record.raw));
}

// 5. record.open
export function checkOpens(v) {
  const p = v.proof;
  const opens = opensOf(p);
  const [missing, wrong] = [[], []];
  // stops who holds a replaced key from giving the columns another meaning
  const replaced = p.opens.filter((one) => one.kid !== keyInForce(v.periods, one.seq).name);
  const readings = p.records.filter((one) => one.kind === KIND.readings);
  for (const { seq, body } of readings) {
    const opened = opens.get(body.boot);
    if (!opened) missing.push(`seq ${seq}: open ${body.boot} is not in the file`);
    else if (opened.body.channels.length !== body.columns.length) {
      v.bad.add(seq);
      wrong.push(`seq ${seq}: columns do not fit open ${body.boot}`);
    }
  }
  const code = "record.open";
  if (wrong.length) v.add(code, "failed", some(wrong));
  else if (missing.length) v.add(code, "undecided", some(missing));
  else if (replaced.length) {
    v.add(code, "untrusted", `open ${replaced[0].seq}: its key is not in force there`);
  } else if (readings.length) {
    v.add(code, "ok", `${readings.length} readings record(s) with their open`);
  } else v.add(code, "skipped", "no readings in the file");
}
