// The transaction on another ledger that carries an anchor (docs/format.md, section 8.1). Offline it shows who signed
// these bytes and for which chain; whether the chain has taken them only a node of it can say.

import { base64, encodeText, hex, joined, sha256 } from "./bytes.js";
import { decodeCbor, isBytes } from "./cbor.js";
import { EvidenceError, TallyError } from "./errors.js";
import { octets, uint } from "./fields.js";
import { keccak256 } from "./keccak.js";
import { LIMITS } from "./limits.js";
import { verifyConsistency } from "./merkle.js";
import { pointOf, verifySecp256k1 } from "./secp256k1.js";

const TAG = encodeText("TLY1");
const RLP_FIELDS = 9;
const LONG = 56; // RLP: from this length on, the length stands in bytes of its own

// Part 7 of a proof file.
export function parseTransaction(raw) {
  return transactionOf(decodeCbor(raw, LIMITS.transaction));
}

// The decoded CBOR [raw, key, later / null].
export function transactionOf(value) {
  if (!Array.isArray(value) || value.length !== 3) {
    throw new TallyError("transaction.shape", "a transaction is [raw, key, later]");
  }
  const [raw, key, later] = value;
  if (!isBytes(raw)) throw new TallyError("transaction.shape", "the transaction is not a byte string");
  return signedTransaction(raw, octets(key, "sender's key", 33), laterOf(later));
}

function signedTransaction(raw, key, later) {
  if (raw.length > LIMITS.transactionRaw) {
    throw new TallyError("transaction.too-long", `${raw.length} bytes in one transaction`);
  }
  if (key[0] !== 2 && key[0] !== 3) {
    throw new TallyError("transaction.key", "not a compressed secp256k1 key");
  }
  const fields = rlpItems(raw);
  if (fields.length !== RLP_FIELDS) {
    throw new TallyError("transaction.rlp", `${fields.length} fields, a transaction has nine`);
  }
  const [, , , , v, r, s] = [0, 1, 2, 4, 6, 7, 8].map((i) => rlpInteger(fields[i]));
  if (fields[3].length !== 20) throw new TallyError("transaction.rlp", "the receiver is not 20 bytes");
  // EIP-155: a signature without the chain's id would count on every chain
  if (v < 37n) throw new TallyError("transaction.chain", "the signature names no chain (EIP-155)");
  const chain = (v - 35n) / 2n;
  if (chain > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new TallyError("transaction.chain", "the chain's id is above the limit");
  }
  const nothing = new Uint8Array(0);
  const digest = keccak256(rlpList([...fields.slice(0, 6), rlpBytes(chain), nothing, nothing]));
  return { raw, key, later, chain, data: fields[5], digest, r, s };
}

// Who sent it, as CAIP-10 writes it.
export function accountOf(transaction) {
  const [x, y] = pointOf(transaction.key);
  const point = [x, y].map((one) => one.toString(16).padStart(64, "0")).join("");
  const bytes = Uint8Array.from(point.match(/../g), (pair) => parseInt(pair, 16));
  return `eip155:${transaction.chain}:0x${hex(keccak256(bytes).subarray(12))}`;
}

export function transactionName(transaction) {
  return `transaction 0x${hex(keccak256(transaction.raw))} of eip155:${transaction.chain}`;
}

// Return if the transaction is signed by its key and carries this anchor, whose checkpoint is `note`.
export async function verifyTransaction(transaction, milestone, note) {
  const { key, digest, r, s, later } = transaction;
  verifySecp256k1(key, digest, r, s);
  if (later) {
    await verifyConsistency(milestone.size, milestone.root, later.size, later.root, later.path);
  }
  const { ledger } = milestone;
  const text = later
    ? `tallystick-ledger/${ledger}\n${later.size}\n${base64(later.root)}\n`
    : note.text;
  // stops the transaction of one anchor from being shown for another
  if (hex(transaction.data) !== hex(joined(TAG, await sha256(encodeText(text))))) {
    throw new EvidenceError("transaction.data", "it carries another note's hash");
  }
}

function laterOf(value) {
  if (value === null) return null;
  if (!Array.isArray(value) || value.length !== 3) {
    throw new TallyError("transaction.shape", "a later checkpoint is [size, root, path]");
  }
  const [size, root, path] = value;
  if (!Array.isArray(path) || path.length > LIMITS.consistencyHashes) {
    throw new TallyError("transaction.shape", "the path is not an array of at most 126 hashes");
  }
  return {
    size: uint(size, "size", LIMITS.treeSize, 1),
    root: octets(root, "root", 32),
    path: path.map((one) => octets(one, "path", 32)),
  };
}

// ---- RLP, only as far as one flat list of byte strings, in its one canonical form

function rlpItems(raw) {
  const data = rlpPayload(raw);
  const items = [];
  for (let at = 0; at < data.length; ) {
    if (data[at] < 0x80) {
      items.push(data.subarray(at, at + 1));
      at += 1;
      continue;
    }
    if (data[at] >= 0xc0) badRlp("a list inside the transaction");
    const [start, length] = rlpHead(data.subarray(at), 0x80);
    const item = data.subarray(at + start, at + start + length);
    if (item.length !== length) badRlp("the transaction is cut off");
    if (length === 1 && item[0] < 0x80) badRlp("a byte in its longer form");
    items.push(item);
    at += start + length;
  }
  return items;
}

function rlpPayload(raw) {
  if (!raw.length || raw[0] < 0xc0) badRlp("not a transaction of the form with an EIP-155 chain");
  const [start, length] = rlpHead(raw, 0xc0);
  if (raw.length !== start + length) badRlp("bytes are missing or left over");
  return raw.subarray(start);
}

// [bytes of the head, bytes that follow it]
function rlpHead(data, base) {
  const short = data[0] - base;
  if (short < LONG) return [1, short];
  const count = short - LONG + 1;
  const digits = data.subarray(1, 1 + count);
  const length = Number(`0x${hex(digits) || "0"}`);
  if (digits.length !== count || digits[0] === 0 || length < LONG) badRlp("a length in its longer form");
  return [1 + count, length];
}

function rlpList(items) {
  const body = joined(
    ...items.flatMap((one) =>
      one.length === 1 && one[0] < 0x80 ? [one] : [rlpPrefix(one.length, 0x80), one],
    ),
  );
  return joined(rlpPrefix(body.length, 0xc0), body);
}

function rlpPrefix(length, base) {
  if (length < LONG) return Uint8Array.of(base + length);
  const digits = rlpBytes(BigInt(length));
  return Uint8Array.of(base + LONG - 1 + digits.length, ...digits);
}

function rlpInteger(field) {
  if (field.length > 32 || field[0] === 0) badRlp("a number in its longer form");
  return BigInt(`0x${hex(field) || "0"}`);
}

function rlpBytes(number) {
  const digits = number.toString(16);
  const even = number === 0n ? "" : digits.padStart(digits.length + (digits.length % 2), "0");
  return Uint8Array.from(even.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

function badRlp(why) {
  throw new TallyError("transaction.rlp", why);
}
