// Blocks and milestones of the ledger, and why a block is in it (docs/format.md, section 8).

import { hex, sameBytes, sha256 } from "./bytes.js";
import { decodeCbor, isBytes, isInt } from "./cbor.js";
import { TYP, parseSigned } from "./cose.js";
import { EvidenceError, TallyError } from "./errors.js";
import { octets, textField, uint } from "./fields.js";
import { LIMITS } from "./limits.js";
import { leafHash, verifyInclusion } from "./merkle.js";
import { transactionOf } from "./transaction.js";

export const BLOCK = Object.freeze({ genesis: 0, milestone: 1, anchor: 2, statement: 3 });

export async function parseBlock(raw) {
  const signed = await parseSigned(raw, TYP.block, LIMITS.block);
  const fields = decodeCbor(signed.payload);
  if (!Array.isArray(fields) || fields.length !== 4) {
    throw new TallyError("block.shape", "a block is [parents, time, kind, body]");
  }
  const [named, time, kind, body] = fields;
  if (!isInt(kind) || kind < 0 || kind > BLOCK.statement) {
    throw new TallyError("block.kind", `block kind ${kind} is not known`);
  }
  if (!Array.isArray(named) || named.length > LIMITS.parents) {
    throw new TallyError("block.parents", "a block has at most 4 parents");
  }
  const parents = named.map((parent) => octets(parent, "parent", 32));
  const different = new Set(parents.map(hex)).size === parents.length;
  if (!different || (kind === BLOCK.genesis) !== (parents.length === 0)) {
    throw new TallyError("block.parents", "1 to 4 different parents, none for genesis");
  }
  if (kind === BLOCK.genesis) {
    textField(body, "ledger name", LIMITS.ledgerName);
  } else if (kind === BLOCK.milestone) {
    if (!Array.isArray(body) || body.length !== 6) {
      throw new TallyError("block.body", "a milestone has six fields");
    }
  } else if (!isBytes(body)) {
    throw new TallyError("block.body", "the body is not a byte string");
  }
  return { signed, raw, parents, time: uint(time, "time", LIMITS.time), kind, body, id: await sha256(raw) };
}

export async function parseMilestone(raw) {
  const block = await parseBlock(raw);
  if (block.kind !== BLOCK.milestone) throw new TallyError("milestone.kind", "not a milestone block");
  const [ledger, index, previous, first, size, root] = block.body;
  const milestone = {
    block,
    id: hex(block.id),
    time: block.time,
    ledger: hex(octets(ledger, "ledger id", 8)),
    index: uint(index, "index", LIMITS.treeSize, 1),
    previous: octets(previous, "previous milestone", 32),
    first: uint(first, "first position", LIMITS.treeSize),
    size: uint(size, "size", LIMITS.treeSize, 1),
    root: octets(root, "root", 32),
  };
  if (milestone.first >= milestone.size) {
    throw new TallyError("milestone.position", "a milestone confirms at least one block");
  }
  if (!sameBytes(block.parents[0], milestone.previous)) {
    throw new TallyError("milestone.parents", "the first parent is not the previous milestone");
  }
  return milestone;
}

// [block, position, path, milestone, ? transaction]
export async function parseConfirmed(raw) {
  const value = decodeCbor(raw, LIMITS.receipt);
  if (!Array.isArray(value) || (value.length !== 4 && value.length !== 5)) {
    throw new TallyError("confirmed.shape", "not [block, position, path, milestone]");
  }
  const [block, position, path, milestone, ...rest] = value;
  if (!isBytes(block) || !isBytes(milestone)) {
    throw new TallyError("confirmed.shape", "block and milestone are byte strings");
  }
  return {
    block: await parseBlock(block),
    position: uint(position, "position", LIMITS.treeSize),
    path: hashes(path, "path"),
    milestone: await parseMilestone(milestone),
    transaction: rest.length ? transactionOf(rest[0]) : null,
  };
}

// Return if this milestone confirmed the block at this position.
export async function verifyConfirmed(confirmed) {
  const { block, position, path, milestone } = confirmed;
  // stops a later milestone, with a later time, from standing in for the one that confirmed it
  if (position < milestone.first) {
    throw new EvidenceError("milestone.position", "another milestone confirmed this position");
  }
  await verifyInclusion(await leafHash(block.id), position, milestone.size, path, milestone.root);
}

export function hashes(value, what, limit = LIMITS.pathHashes) {
  if (!Array.isArray(value) || value.length > limit) {
    throw new TallyError("field.range", `${what} is not an array of at most ${limit} hashes`);
  }
  return value.map((item) => octets(item, what, 32));
}
