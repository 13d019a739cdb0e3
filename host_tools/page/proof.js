// The proof file taken apart (docs/format.md, section 11). Nothing is verified here.

import { decodeCbor, isBytes, isInt } from "./cbor.js";
import { BLOCK, hashes, parseConfirmed, parseMilestone } from "./block.js";
import { KIND } from "./body.js";
import { parseCredential } from "./credential.js";
import { TallyError } from "./errors.js";
import { uint } from "./fields.js";
import { LIMITS } from "./limits.js";
import { parseCheckpoint } from "./note.js";
import { parseRecord } from "./record.js";
import { parseStatement } from "./statement.js";

const PART = Object.freeze({
  record: 1,
  open: 2,
  rotation: 3,
  inclusion: 4,
  checkpoint: 5,
  anchor: 6,
  transaction: 7,
  credential: 8,
  statement: 9,
  link: 10,
  before: 11,
  fork: 12,
  cosigned: 13,
  shared: 14,
});
const AT_MOST_ONE = ["checkpoint", "anchor", "transaction", "credential", "before", "cosigned", "shared"];

export async function parseProof(data, progress = () => {}) {
  if (data.length > LIMITS.proof) {
    throw new TallyError("proof.too-long", `${data.length} bytes, the limit is ${LIMITS.proof}`);
  }
  const value = decodeCbor(data);
  if (!Array.isArray(value) || value.length !== 3 || value[0] !== "tally") {
    throw new TallyError("proof.magic", "not a proof file: it starts otherwise");
  }
  if (value[1] !== 1) {
    throw new TallyError("proof.version", "another version: this page reads version 1");
  }
  const parts = sortedParts(value[2]);
  const records = await chainRecords(parts.get(PART.record), progress);
  if (!records.length) throw new TallyError("proof.no-record", "a proof holds at least one record");
  const inclusions = parts.get(PART.inclusion).map(inclusionOf);
  if (inclusions.length && inclusions.length !== records.length) {
    throw new TallyError("proof.inclusions", `${inclusions.length} inclusions for ${records.length} records`);
  }
  const anchor = await one(parts.get(PART.anchor), parseConfirmed);
  const bare = await one(parts.get(PART.checkpoint), parseCheckpoint);
  if ((anchor === null) === (bare === null)) {
    throw new TallyError("proof.checkpoint", "a checkpoint, or an anchor that carries it: one of them");
  }
  if (anchor && anchor.block.kind !== BLOCK.anchor) {
    throw new TallyError("proof.anchor", "the anchor's block carries no checkpoint");
  }
  const transaction = await one(parts.get(PART.transaction), transactionOf);
  if (transaction && !anchor) {
    throw new TallyError("proof.transaction", "a transaction without the anchor it carries");
  }
  const cosigned = await one(parts.get(PART.cosigned), cosignedOf);
  if (cosigned && !anchor) {
    throw new TallyError("proof.cosigned", "a cosigned checkpoint without the anchor it speaks of");
  }
  const shared = await one(parts.get(PART.shared), sharedOf);
  if (shared && (inclusions.length || shared.indices.length !== records.length)) {
    throw new TallyError("proof.shared", "a shared inclusion is for all records, or not there");
  }
  return {
    records,
    inclusions,
    anchor,
    transaction,
    cosigned,
    shared,
    opens: await ofKind(parts.get(PART.open), KIND.open),
    rotations: await ofKind(parts.get(PART.rotation), KIND.rotate),
    checkpoint: bare ?? (await parseCheckpoint(anchor.block.body)),
    credential: await one(parts.get(PART.credential), parseCredential),
    statements: await statementsOf(parts.get(PART.statement)),
    links: await linksOf(parts.get(PART.link), records, progress),
    before: await one(parts.get(PART.before), parseMilestone),
    forks: await Promise.all(parts.get(PART.fork).map(forkOf)),
  };
}

function sortedParts(value) {
  if (!Array.isArray(value)) throw new TallyError("proof.parts", "the parts are not an array");
  if (value.length > LIMITS.parts) throw new TallyError("proof.parts", `${value.length} parts`);
  const parts = new Map(Object.values(PART).map((number) => [number, []]));
  let last = 0;
  for (const item of value) {
    if (!Array.isArray(item) || item.length !== 2 || !isBytes(item[1])) {
      throw new TallyError("proof.parts", "a part is [type, bytes]");
    }
    const [number, raw] = item;
    if (!isInt(number) || !parts.has(number)) {
      throw new TallyError("proof.part-type", `part type ${number} is not known`);
    }
    if (number < last) throw new TallyError("proof.order", `part type ${number} after ${last}`);
    last = number;
    parts.get(number).push(raw);
  }
  for (const name of AT_MOST_ONE) {
    if (parts.get(PART[name]).length > 1) throw new TallyError("proof.count", `more than one ${name}`);
  }
  return parts;
}

// The form only: whether another ledger has it, this page cannot ask, and so does not judge what it says.
function transactionOf(raw) {
  const value = decodeCbor(raw);
  const form = Array.isArray(value) && value.length === 3 && isBytes(value[0]) && isBytes(value[1]);
  if (!form || value[1].length !== 33 || (value[2] !== null && !Array.isArray(value[2]))) {
    throw new TallyError("transaction.shape", "a transaction is [raw, key, later]");
  }
  return value;
}

async function one(raws, read) {
  return raws.length ? read(raws[0]) : null;
}

async function chainRecords(raws, progress = () => {}) {
  const records = [];
  for (const raw of raws) {
    records.push(await parseRecord(raw));
    progress("reading", records.length, raws.length);
  }
  for (let i = 1; i < records.length; i++) {
    if (records[i].seq <= records[i - 1].seq) {
      throw new TallyError("proof.order", `seq ${records[i].seq} after ${records[i - 1].seq}`);
    }
  }
  return records;
}

async function ofKind(raws, kind) {
  const records = await chainRecords(raws);
  for (const record of records) {
    if (record.kind !== kind) throw new TallyError("proof.kind", `seq ${record.seq} is another kind`);
  }
  return records;
}

async function linksOf(raws, records, progress) {
  const links = await chainRecords(raws, progress);
  if (links.length && links.at(-1).seq >= records[0].seq) {
    throw new TallyError("proof.order", "a link lies after the first record");
  }
  return links;
}

function inclusionOf(raw) {
  const value = decodeCbor(raw);
  if (!Array.isArray(value) || value.length !== 2) {
    throw new TallyError("proof.inclusion", "an inclusion is [index, path]");
  }
  return { index: uint(value[0], "index", LIMITS.treeSize), path: hashes(value[1], "path") };
}

async function cosignedOf(raw) {
  const value = decodeCbor(raw);
  if (!Array.isArray(value) || value.length !== 2 || !isBytes(value[0])) {
    throw new TallyError("proof.cosigned", "a cosigned checkpoint is [note, path]");
  }
  const path = hashes(value[1], "path", LIMITS.consistencyHashes);
  return { checkpoint: await parseCheckpoint(value[0]), path };
}

function sharedOf(raw) {
  const value = decodeCbor(raw);
  if (!Array.isArray(value) || value.length !== 2 || !Array.isArray(value[0])) {
    throw new TallyError("proof.shared", "a shared inclusion is [indices, hashes]");
  }
  const indices = value[0].map((index) => uint(index, "index", LIMITS.treeSize));
  if (new Set(indices.map(String)).size !== indices.length) {
    throw new TallyError("proof.shared", "two records at one place of the log");
  }
  return { indices, hashes: hashes(value[1], "hashes", LIMITS.parts) };
}

async function statementsOf(raws) {
  const found = [];
  for (const raw of raws) {
    const confirmed = await parseConfirmed(raw);
    if (confirmed.block.kind !== BLOCK.statement) {
      throw new TallyError("proof.statement", "the block carries no statement");
    }
    if (found.length && confirmed.position <= found.at(-1).confirmed.position) {
      throw new TallyError("proof.order", "statements stand in the order of their positions");
    }
    found.push({ confirmed, statement: await parseStatement(confirmed.block.body) });
  }
  return found;
}

async function forkOf(raw) {
  const value = decodeCbor(raw);
  if (!Array.isArray(value) || value.length !== 2 || !value.every(isBytes)) {
    throw new TallyError("proof.fork", "a fork is a pair of records");
  }
  return [await parseRecord(value[0]), await parseRecord(value[1])];
}
