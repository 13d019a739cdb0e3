// Steps 2 and 3: whose record is it, and with which keys that device signs.

import { KIND } from "./body.js";
import { hex } from "./bytes.js";
import { keyPeriods } from "./chain.js";
import { validAt } from "./credential.js";
import { LIMITS } from "./limits.js";
import { issuerIn } from "./policy.js";
import { failure } from "./state.js";

// 2. device.credential
export async function checkCredential(v) {
  const { credential, anchor } = v.proof;
  const code = "device.credential";
  const issuer = issuerIn(v.policy, credential.issuer);
  if (!issuer) {
    v.add(code, "untrusted", `issuer ${credential.issuer} is not in the policy`);
    return;
  }
  const wrong = await failure(() => credential.signed.verify(issuer.key));
  if (wrong) v.add(code, "failed", wrong.detail);
  else if (credential.role !== null) {
    v.add(code, "untrusted", `a credential for a person: ${credential.role}`);
  } else if (anchor && !validAt(credential, anchor.milestone.time)) {
    v.add(code, "untrusted", "not valid at the time of the anchor");
  } else v.add(code, "ok", `issued by ${issuer.name || issuer.did}`);
}

// 3. device.key; false if no key can be relied on
export async function checkDeviceKeys(v, first) {
  const p = v.proof;
  const turns = new Map();
  for (const one of [...p.rotations, ...p.links, ...p.records]) {
    if (one.kind === KIND.rotate) turns.set(hex(one.raw), one);
  }
  const rotations = [...turns.values()].sort((a, b) => a.seq - b.seq);
  const named = namedPeriod(p, first, rotations);
  const wrong = await failure(async () => {
    v.periods = await keyPeriods(first, rotations, named);
  });
  if (wrong) {
    // a rotation by a key that nothing in the file introduces: one before it was left out
    const missing = wrong.code === "signature.key";
    v.add("device.key", missing ? "undecided" : "failed", wrong.detail);
    return false;
  }
  v.keys = new Map(v.periods.map((period) => [period.key.name, period.key]));
  const count = v.periods.length - 1;
  v.add("device.key", "ok", count ? `first key, ${count} later` : "first key");
  return true;
}

// From where on the key is in force that the credential names and no rotation led to.
function namedPeriod(p, first, rotations) {
  const { key } = p.credential;
  if (!key || key.equals(first) || rotations.some((one) => one.body.key.equals(key))) return null;
  const used = [...p.links, ...p.opens, ...p.records, ...rotations].filter((one) => one.kid === key.name);
  if (!used.length) return { start: LIMITS.seq, key };
  const at = used.reduce((a, b) => (b.seq < a.seq ? b : a));
  // its `open` need not be in the file: the key was in force before what is
  return { start: at.kind === KIND.open ? at.seq : Math.max(at.seq - 1, 1), key };
}
