// A record: one signed message of a board, a link of its chain (docs/format.md, section 4).

import { hex, joined, sha256 } from "./bytes.js";
import { EVENT, KIND, parseBody } from "./body.js";
import { decodeCbor, encodeCbor, isBytes, isInt } from "./cbor.js";
import { TYP, parseSigned, protectedBytes, sigStructure } from "./cose.js";
import { TallyError } from "./errors.js";
import { octets, uint } from "./fields.js";
import { LIMITS } from "./limits.js";

const GENESIS_LABEL = new TextEncoder().encode("tallystick/v1/genesis\n");
export const CLOCK_UNSET_BELOW = 2 ** 30; // a smaller `time` means seconds since boot

export async function parseRecord(raw) {
  const signed = await parseSigned(raw, TYP.record, LIMITS.record);
  const payload = decodeCbor(signed.payload);
  if (!Array.isArray(payload) || payload.length < 5) {
    throw new TallyError("record.shape", "a payload is an array [seq, prev, time, kind, ...]");
  }
  onlyPlain(payload, 0);
  const seq = uint(payload[0], "seq", LIMITS.seq);
  const prev = octets(payload[1], "prev", 32);
  const time = uint(payload[2], "time", LIMITS.time);
  const kind = payload[3];
  if (!isInt(kind) || kind < 0 || kind > KIND.rotate) {
    throw new TallyError("record.kind", `record kind ${kind} is not known`);
  }
  if (kind === KIND.open && raw.length > LIMITS.open) {
    throw new TallyError("record.open-length", `an open of ${raw.length} bytes, the limit is 256`);
  }
  const body = await parseBody(kind, payload.slice(4), seq);
  // `prev` and `id` in hex, so that they can be compared
  return { signed, raw, seq, prev: hex(prev), time, kind, body, id: hex(signed.id), kid: signed.kidName };
}

// The seqs [from, to] that this event declares gone, or null.
export function givesUp(record) {
  const gone = record.kind === KIND.event && [EVENT.dropped, EVENT.pruned].includes(record.body.code);
  return gone ? record.body.args : null;
}

export function isAdopted(record) {
  return record.kind === KIND.event && record.body.code === EVENT.adopted;
}

// The `prev` of seq 0, in hex.
export async function genesisOf(key) {
  return hex(await sha256(joined(GENESIS_LABEL, key.raw)));
}

// What the new key signs to show that it is there, when a `rotate` names it.
export function possessionBytes(device, rotate) {
  const { key } = rotate.body;
  const prev = Uint8Array.from(rotate.prev.match(/../g), (pair) => parseInt(pair, 16));
  const payload = encodeCbor([device, rotate.seq, prev, rotate.time, key.alg, key.raw]);
  return sigStructure(protectedBytes(key.alg, key.kid, TYP.possession), payload);
}

// Integers, byte strings, null and arrays at most three deep: no maps, text, booleans, tags.
function onlyPlain(value, depth) {
  if (depth >= LIMITS.payloadDepth) {
    throw new TallyError("record.depth", "arrays nested deeper than 3");
  }
  for (const item of value) {
    if (item !== null && !isInt(item) && !isBytes(item) && !Array.isArray(item)) {
      throw new TallyError("record.type", "a type that has no place in a record");
    }
  }
  for (const item of value) if (Array.isArray(item)) onlyPlain(item, depth + 1);
}
