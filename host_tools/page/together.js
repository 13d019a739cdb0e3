// Many files judged together, as `tally verify` judges them: proofs and reports each by itself, and then what only
// all of them show. Beside them may lie the issuer's status lists, and acknowledgements of a gateway, which know how far
// a chain goes on.

import { Tagged, decodeCbor, isBytes } from "./cbor.js";
import { TYP } from "./cose.js";
import { isHtml, proofInReport } from "./embedded.js";
import { TallyError } from "./errors.js";
import { deviceKeys, forksAmong, whereIs } from "./forks.js";
import { parseJson } from "./json.js";
import { LIMITS } from "./limits.js";
import { parseProof } from "./proof.js";
import { Reach, headOf } from "./reach.js";
import { statusOf } from "./state.js";
import { parseStatusList } from "./statuslist.js";
import { verifyParsed } from "./verify.js";

const FORK = "chain.fork";
const TYP_LABEL = 16;

// What a file is, by its first bytes: "list", "acknowledgement", or "proof" for everything else.
export function kindOf(bytes) {
  if (bytes === null) return "proof";
  // a list begins with a brace, a signed object with tag 18
  const first = bytes.find((byte) => ![0x20, 0x09, 0x0a, 0x0d].includes(byte));
  if (first === 0x7b) return "list";
  return bytes[0] === 0xd2 && typOf(bytes) === TYP.acknowledgement ? "acknowledgement" : "proof";
}

// Yields the verdict on each proof of `given` ([{name, bytes, or null if it is too long}]) as {number, name, verdict,
// data}, or {number, name, error} for a list or an acknowledgement that cannot be used; then once more those of which
// the others say more; at the end {summary: lines}. `progressOf(number)`: see `Verification`.
export async function* judgedTogether(given, policy, { now, progressOf = () => undefined } = {}) {
  const lists = [];
  const heads = [];
  const proofs = [];
  for (const [number, { name, bytes }] of given.entries()) {
    const kind = kindOf(bytes);
    if (kind === "proof") {
      proofs.push({ number, name, bytes });
      continue;
    }
    try {
      if (kind === "list") lists.push(await listIn(bytes));
      else heads.push(await headOf(bytes, policy));
    } catch (error) {
      yield { number, name, error };
    }
  }
  const reach = new Reach();
  for (const [at, one] of proofs.entries()) {
    const { number, name } = one;
    const options = { now, lists, progress: progressOf(number) };
    try {
      Object.assign(one, await read(one.bytes, options.progress));
      const verdict = one.proof ? await verifyParsed(one.proof, policy, options) : unreadable(one.trouble);
      await reach.see(at, verdict);
      yield { number, name, verdict, data: one.data };
    } catch (error) {
      // a fault of this page: the other files are judged all the same
      one.proof = null;
      yield { number, name, error };
    }
  }
  const forks = await forksAmong(proofs);
  const tails = reach.tails(heads);
  const again = new Set([...tails.keys(), ...[...forks.values()].flatMap((fork) => [...fork.holders])]);
  for (const at of [...again].sort((a, b) => a - b)) {
    const { number, name, data, proof } = proofs[at];
    const options = { now, lists, heads: tails.get(at), progress: progressOf(number) };
    const verdict = await judgedAgain(proof, policy, options, forks, proofs);
    yield { number, name, verdict, data };
  }
  yield { summary: reach.summary() };
}

// The verdict on a proof of which other files, or a known head, say more.
async function judgedAgain(proof, policy, options, forks, proofs) {
  const keys = await deviceKeys(proof);
  const own = [...forks].filter(([kid, { key }]) => keys.get(kid)?.equals(key)).map(([, fork]) => fork);
  const pairs = own.map(({ first, second }) => [first, second]);
  const verdict = await verifyParsed({ ...proof, forks: [...proof.forks, ...pairs] }, policy, options);
  if (!own.length) return verdict;
  const detail = own.map((fork) => whereIs(fork, proofs)).join("; ");
  const told = (one) => (one.code === FORK && one.result === "untrusted" ? { ...one, detail } : one);
  return { ...verdict, proof, checks: verdict.checks.map(told) };
}

async function listIn(bytes) {
  const document = parseJson(bytes);
  await parseStatusList(document);
  return document;
}

// {proof, data}, or {trouble}: the words why there is no proof.
async function read(bytes, progress) {
  try {
    if (bytes === null) throw new TallyError("proof.too-long", `the limit is ${LIMITS.proof} bytes`);
    const data = isHtml(bytes) ? proofInReport(bytes) : bytes;
    return { data, proof: await parseProof(data, progress) };
  } catch (error) {
    if (!(error instanceof TallyError)) throw error;
    return { data: bytes, proof: null, trouble: error.message };
  }
}

function unreadable(detail) {
  const checks = [{ code: "proof.format", result: "undecided", detail }];
  return { status: statusOf(checks), checks, notes: [], warnings: [], proof: null };
}

// The `typ` of a signed object, null of anything else.
function typOf(bytes) {
  try {
    const value = decodeCbor(bytes, LIMITS.signed);
    const first = value instanceof Tagged && Array.isArray(value.value) ? value.value[0] : null;
    const header = isBytes(first) ? decodeCbor(first) : null;
    return header instanceof Map ? (header.get(TYP_LABEL) ?? null) : null;
  } catch (error) {
    if (!(error instanceof TallyError)) throw error;
    return null;
  }
}
