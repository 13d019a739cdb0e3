// Runs the page's own modules under Node: one JSON question a line in, one JSON answer a line out.
//
//   {"proof": hex, "policy": toml}   -> {"status", "checks": [[code, result], ...], ...}; the policy may be a table in
//                                      JSON as well; "now", "heads" and "lists" (texts) may stand beside it
//   {"object": kind, "bytes": hex}   -> {"code": null} or the code of the error
//   {"policy": toml}                 -> the same
//   {"keccak": hex}                  -> {"hash": hex}
//   {"secp256k1": [key, digest], "r": hex, "s": hex}  -> {"code": null} or the code of the error

import { createInterface } from "node:readline";

const folder = new URL("../../../host_tools/page/", import.meta.url);
const load = (name) => import(new URL(`${name}.js`, folder));
const { fromHex, hex } = await load("bytes");
const { TallyError } = await load("errors");
const { verifyProof } = await load("verify");
const { parsePolicy, policyOf } = await load("policy");
const { parseJson } = await load("json");
const { parsers } = await load("parsers");
const { keccak256 } = await load("keccak");
const { verifySecp256k1 } = await load("secp256k1");
const { notProven, sentenceOf } = await load("words");

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  console.log(JSON.stringify(await answer(asked)));
}

async function answer(asked) {
  if (asked.keccak !== undefined) return { hash: hex(keccak256(fromHex(asked.keccak))) };
  if (asked.proof === undefined) return { code: await refusal(asked) };
  const { now, heads } = asked;
  const lists = (asked.lists ?? []).map((text) => parseJson(new TextEncoder().encode(text)));
  const options = { now, heads, lists };
  const verdict = await verifyProof(fromHex(asked.proof), await policyIn(asked), options);
  return {
    status: verdict.status,
    checks: verdict.checks.map((check) => [check.code, check.result]),
    details: verdict.checks.map((check) => check.detail),
    notes: verdict.notes,
    warnings: verdict.warnings,
    sentence: sentenceOf(verdict),
    open: notProven(verdict),
    bad: verdict.bad ?? [],
    window: [verdict.notBefore ?? null, verdict.notAfter ?? null],
    span: [verdict.first ?? null, verdict.last ?? null, verdict.readings ?? 0],
  };
}

function policyIn({ policy }) {
  if (typeof policy === "string") return parsePolicy(new TextEncoder().encode(policy));
  return policyOf(table(policy));
}

// As the reader of TOML makes tables: objects without a prototype.
function table(value) {
  if (Array.isArray(value)) return value.map(table);
  if (typeof value !== "object" || value === null) return value;
  return Object.assign(
    Object.create(null),
    Object.fromEntries(Object.entries(value).map(([name, one]) => [name, table(one)])),
  );
}

async function refusal(asked) {
  try {
    if (asked.secp256k1) {
      const [r, s] = [asked.r, asked.s].map((one) => BigInt(`0x${one}`));
      verifySecp256k1(...asked.secp256k1.map(fromHex), r, s);
    } else if (asked.object) await parsers[asked.object](fromHex(asked.bytes));
    else await parsePolicy(new TextEncoder().encode(asked.policy));
    return null;
  } catch (error) {
    if (error instanceof TallyError) return error.code;
    return `not ours: ${error.stack}`;
  }
}
