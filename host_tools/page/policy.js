// A policy: whom the reader trusts, and for what. Trust starts here and nowhere else.

import { decodeText } from "./bytes.js";
import { keyOfDid } from "./did.js";
import { TallyError } from "./errors.js";
import { LIMITS } from "./limits.js";
import { parseVerifierKey } from "./note.js";
import { isTable, parseToml } from "./toml.js";

export const REQUIRABLE = Object.freeze([
  "record.signature",
  "chain.link",
  "device.credential",
  "log.inclusion",
  "checkpoint.signature",
  "ledger.inclusion",
  "ledger.milestone",
]);

const LEDGER_NAME = /^tallystick-ledger\/([0-9a-f]{16})$/;

export async function parsePolicy(bytes) {
  if (bytes.length > LIMITS.policy) {
    throw new TallyError("policy.too-long", `${bytes.length} bytes, the limit is ${LIMITS.policy}`);
  }
  const text = decodeText(bytes);
  if (text === null) throw new TallyError("policy.toml", "not TOML: not UTF-8");
  const given = parseToml(text);
  // stops a misspelt table from silently trusting less, or requiring less, than its author meant
  known(given, ["version", "issuers", "gateways", "ledgers", "witnesses", "require"], "the policy");
  if (given.version !== 1) throw new TallyError("policy.version", "version is not 1");
  const require = given.require ?? Object.create(null);
  known(require, ["checks"], "[require]");
  const policy = { issuers: [], gateways: [], ledgers: [], witnesses: [] };
  for (const [i, one] of tables(given, "issuers")) policy.issuers.push(await issuerOf(one, i));
  for (const [i, one] of tables(given, "gateways")) policy.gateways.push(await gatewayOf(one, i));
  for (const [i, one] of tables(given, "ledgers")) policy.ledgers.push(await ledgerOf(one, i));
  for (const [i, one] of tables(given, "witnesses")) {
    policy.witnesses.push(await logOf(one, `witnesses[${i}]`));
  }
  policy.required = requiredOf(require.checks ?? [...REQUIRABLE]);
  return policy;
}

export function issuerIn(policy, did) {
  return policy.issuers.find((one) => one.did === did) ?? null;
}

export function gatewayIn(policy, origin) {
  return policy.gateways.find((one) => one.vkey.name === origin) ?? null;
}

export function ledgerIn(policy, ledger) {
  return policy.ledgers.find((one) => one.ledger === ledger) ?? null;
}

function tables(given, name) {
  const value = given[name] ?? [];
  if (!Array.isArray(value) || !value.every(isTable)) {
    throw new TallyError("policy.table", `${name} is not a list of [[${name}]] tables`);
  }
  return value.entries();
}

function known(given, allowed, where) {
  if (!isTable(given)) throw new TallyError("policy.table", `${where} is not a table`);
  for (const key of Object.keys(given)) {
    if (!allowed.includes(key)) {
      throw new TallyError("policy.unknown", `${where}: ${JSON.stringify(key)} is not known`);
    }
  }
}

function string(given, key, where) {
  const value = given[key] ?? "";
  if (typeof value !== "string") throw new TallyError("policy.type", `${where}.${key} is not a string`);
  return value;
}

async function issuerOf(given, index) {
  const where = `issuers[${index}]`;
  known(given, ["did", "name"], where);
  const did = string(given, "did", where);
  const key = await otherCode("policy.did", where, () => keyOfDid(did));
  return { did, key, name: string(given, "name", where) };
}

async function logOf(given, where) {
  known(given, ["vkey", "name", "operator"], where);
  const line = string(given, "vkey", where);
  const vkey = await otherCode("policy.vkey", where, () => parseVerifierKey(line));
  return { vkey, name: string(given, "name", where), operator: string(given, "operator", where) };
}

async function gatewayOf(given, index) {
  const log = await logOf(given, `gateways[${index}]`);
  if (log.vkey.name !== `tallystick/${log.vkey.key.name}`) {
    throw new TallyError("policy.vkey", `gateways[${index}]: not a gateway's name`);
  }
  return log;
}

async function ledgerOf(given, index) {
  const log = await logOf(given, `ledgers[${index}]`);
  const match = LEDGER_NAME.exec(log.vkey.name);
  if (!match) throw new TallyError("policy.vkey", `ledgers[${index}]: not a ledger's name`);
  return { ...log, ledger: match[1] };
}

async function otherCode(code, where, work) {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof TallyError)) throw error;
    throw new TallyError(code, `${where}: ${error.detail}`);
  }
}

function requiredOf(value) {
  if (!Array.isArray(value) || !value.every((one) => REQUIRABLE.includes(one))) {
    throw new TallyError("policy.require", "[require] checks names unknown checks");
  }
  return value;
}
