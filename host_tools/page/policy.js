// A policy: whom the reader trusts, and for what. Trust starts here and nowhere else.

import { decodeText } from "./bytes.js";
import { keyOfDid } from "./did.js";
import { TallyError } from "./errors.js";
import { LIMITS } from "./limits.js";
import { parseVerifierKey, parseWitnessKey } from "./note.js";
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
// what may be skipped unless the policy requires it
export const OPTIONAL = Object.freeze(["record.open", "device.status", "credential.status", "time.window"]);

const LEDGER_NAME = /^tallystick-ledger\/([0-9a-f]{16})$/;

export async function parsePolicy(bytes) {
  if (bytes.length > LIMITS.policy) {
    throw new TallyError("policy.too-long", `${bytes.length} bytes, the limit is ${LIMITS.policy}`);
  }
  const text = decodeText(bytes);
  if (text === null) throw new TallyError("policy.toml", "not TOML: not UTF-8");
  return policyOf(parseToml(text));
}

// The policy that a decoded table means.
export async function policyOf(given) {
  // stops a misspelt table from silently trusting less, or requiring less, than its author meant
  known(given, ["version", "issuers", "gateways", "ledgers", "bridges", "witnesses", "require"], "the policy");
  if (given.version !== 1) throw new TallyError("policy.version", "version is not 1");
  const require = given.require ?? Object.create(null);
  known(require, ["checks", "witnesses", "boards", "agents", "anchor_age"], "[require]");
  const witnesses = await entries(given, "witnesses", witnessOf);
  const ledgers = await entries(given, "ledgers", ledgerOf);
  const bridges = await entries(given, "bridges", bridgeOf);
  // stops the entry that asks for less from being the one that counts
  if (bridges.some((one) => ledgers.some((other) => other.ledger === one.ledger))) {
    throw new TallyError("policy.bridge", "a ledger stands under ledgers and under bridges");
  }
  return {
    ledgers,
    bridges,
    witnesses,
    issuers: await entries(given, "issuers", issuerOf),
    gateways: await entries(given, "gateways", gatewayOf),
    required: requiredOf(require.checks ?? [...REQUIRABLE]),
    quorum: quorumOf(require.witnesses ?? 0, witnesses.length),
    boards: strings(require, "boards", /^[A-Za-z0-9._-]{1,32}$/),
    agents: strings(require, "agents", /^[0-9a-f]{32}$/),
    anchorAgeS: ageOf(require.anchor_age),
  };
}

export function issuerIn(policy, did) {
  return policy.issuers.find((one) => one.did === did) ?? null;
}

export function gatewayIn(policy, origin) {
  return policy.gateways.find((one) => one.vkey.name === origin) ?? null;
}

export function ledgerIn(policy, ledger) {
  return [...policy.ledgers, ...policy.bridges].find((one) => one.ledger === ledger) ?? null;
}

// The same if its anchors need a transaction on another ledger.
export function bridgeIn(policy, ledger) {
  return policy.bridges.find((one) => one.ledger === ledger) ?? null;
}

// What the tables [[name]] mean, each under another name.
async function entries(given, name, make) {
  const value = given[name] ?? [];
  if (!Array.isArray(value) || !value.every(isTable)) {
    throw new TallyError("policy.table", `${name} is not a list of [[${name}]] tables`);
  }
  const made = [];
  const names = new Set();
  for (const [i, one] of value.entries()) {
    const entry = await make(one, `${name}[${i}]`);
    const called = entry.did ?? entry.vkey.name;
    // stops a second key under one name, of which a verifier would take the first
    if (names.has(called)) throw new TallyError("policy.duplicate", `${called} is trusted twice`);
    names.add(called);
    made.push(entry);
  }
  return made;
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

async function issuerOf(given, where) {
  known(given, ["did", "name"], where);
  const did = string(given, "did", where);
  const key = await otherCode("policy.did", where, () => keyOfDid(did));
  return { did, key, name: string(given, "name", where) };
}

async function logOf(given, where, parse = parseVerifierKey, more = []) {
  known(given, ["vkey", "name", "operator", ...more], where);
  const line = string(given, "vkey", where);
  const vkey = await otherCode("policy.vkey", where, () => parse(line));
  return { vkey, name: string(given, "name", where), operator: string(given, "operator", where) };
}

function witnessOf(given, where) {
  return logOf(given, where, parseWitnessKey);
}

async function gatewayOf(given, where) {
  const log = await logOf(given, where);
  if (log.vkey.name !== `tallystick/${log.vkey.key.name}`) {
    throw new TallyError("policy.vkey", `${where}: not a gateway's name`);
  }
  return log;
}

async function bridgeOf(given, where) {
  const account = string(given, "account", where);
  const [state, depth] = [given.state ?? "safe", given.depth ?? 0];
  if (!/^eip155:[1-9][0-9]{0,15}:0x[0-9A-Fa-f]{40}$/.test(account)) {
    throw new TallyError("policy.bridge", `${where}: not eip155:<chain>:0x<40 hex digits>`);
  }
  if (!["executed", "safe", "final"].includes(state) || !(Number(depth) >= 0 && Number(depth) <= 1000000)) {
    throw new TallyError("policy.bridge", `${where}: no such state, or no number of blocks`);
  }
  return { ...(await ledgerOf(given, where, ["account", "state", "depth"])), account };
}

async function ledgerOf(given, where, more = []) {
  const log = await logOf(given, where, parseVerifierKey, more);
  const match = LEDGER_NAME.exec(log.vkey.name);
  if (!match) throw new TallyError("policy.vkey", `${where}: not a ledger's name`);
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
  if (!Array.isArray(value) || !value.every((one) => [...REQUIRABLE, ...OPTIONAL].includes(one))) {
    throw new TallyError("policy.require", "[require] checks names unknown checks");
  }
  return value;
}

function quorumOf(value, witnesses) {
  if (typeof value !== "number" || value < 0 || value > witnesses) {
    throw new TallyError("policy.quorum", `witnesses = ${value}, ${witnesses} are named`);
  }
  return value;
}

function strings(given, name, form) {
  const value = given[name] ?? [];
  const empty = name in given && !value.length;
  if (!Array.isArray(value) || empty || !value.every((one) => typeof one === "string" && form.test(one))) {
    throw new TallyError("policy.type", `[require] ${name} is not a list of what it should be`);
  }
  return value;
}

function ageOf(value) {
  if (value === undefined) return null;
  const match = typeof value === "string" ? /^([1-9][0-9]{0,8})([smhd])$/.exec(value) : null;
  if (!match) throw new TallyError("policy.duration", 'anchor_age is no duration like "36h" or "400d"');
  return Number(match[1]) * { s: 1, m: 60, h: 3600, d: 86_400 }[match[2]];
}
