// Verification of a proof, step by step; the numbers are those of docs/format.md, section 12. It needs
// the file and a policy and nothing else: no network, no clock. A check that could not be made says so.

import { checkAgents, checkAnchorAge, checkBoard, checkTail } from "./asked.js";
import { checkTransaction, lookAtBridge } from "./bridge.js";
import { checkCredential, checkDeviceKeys } from "./device.js";
import { TallyError } from "./errors.js";
import { checkAnchor, checkWitnesses } from "./ledger.js";
import { checkChain, checkForks } from "./links.js";
import { checkCheckpoint, checkInclusion } from "./log.js";
import { parseProof } from "./proof.js";
import { checkOpens, checkSignatures } from "./signatures.js";
import { checkStatements, checkStatusLists } from "./standing.js";
import { Verification, statusOf } from "./state.js";
import { checkWindow } from "./window.js";

// {status, checks: [{code, result, detail}], ...} of a proof file's bytes. `options`: see `Verification`.
// Throws only what is a fault of this page.
export async function verifyProof(data, policy, options = {}) {
  // 1. the form
  let proof;
  try {
    proof = await parseProof(data, options.progress);
  } catch (error) {
    if (!(error instanceof TallyError)) throw error;
    const checks = [{ code: "proof.format", result: "undecided", detail: error.message }];
    return { status: statusOf(checks), checks, notes: [], warnings: [], proof: null };
  }
  return verifyParsed(proof, policy, options);
}

// The same of a proof that is taken apart already.
export async function verifyParsed(proof, policy, options = {}) {
  const v = new Verification(proof, policy, options);
  if (proof.credential === null) {
    v.add("device.credential", "undecided", "no credential in the file");
    return v.verdict();
  }
  await lookAtBridge(v);
  const firstKey = proof.credential.deviceKey;
  // 2. and 3. whose record is it, and with which keys that device signs
  await checkCredential(v);
  if (await checkDeviceKeys(v, firstKey)) {
    // 4. and 5. signatures, and what the readings mean
    await checkSignatures(v);
    checkOpens(v);
    // 6. the chain
    await checkChain(v, firstKey);
    checkForks(v);
    checkTail(v);
  }
  // 7. and 8. the log
  await checkInclusion(v);
  await checkCheckpoint(v);
  // 9. the ledger
  await checkAnchor(v);
  await checkWitnesses(v);
  checkTransaction(v);
  // 10. the standing of the device
  await checkStatements(v, firstKey);
  await checkStatusLists(v);
  // 11. between which two moments
  await checkWindow(v);
  // what the policy asks for besides
  checkBoard(v);
  checkAgents(v);
  checkAnchorAge(v);
  return v.verdict();
}
