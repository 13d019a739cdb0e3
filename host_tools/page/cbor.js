// Deterministic CBOR (RFC 8949, 4.2.1) and nothing else: docs/format.md, section 1.
//
// Integers come out as numbers, those beyond 2^53 - 1 as BigInt; byte strings as Uint8Array, maps as
// Map. What is decoded must be what `encodeCbor` would make of it, or it is refused.

import { hex, joined, encodeText, decodeText, sameBytes } from "./bytes.js";
import { TallyError } from "./errors.js";
import { LIMITS } from "./limits.js";

const SIGN1_TAG = 18;
const READ_DEPTH = 64; // above our own limit, so that a little too deep is told apart from malformed

export class Tagged {
  constructor(tag, value) {
    this.tag = tag;
    this.value = value;
  }
}

// what has no place in our formats: floats, simple values, tags that change what they hold
class Foreign {
  constructor(name) {
    this.name = name;
  }
}

export function isInt(value) {
  return typeof value === "number" || typeof value === "bigint";
}

export function isBytes(value) {
  return value instanceof Uint8Array;
}

export function decodeCbor(data, limit = LIMITS.proof) {
  if (data.length > limit) {
    throw new TallyError("cbor.too-long", `${data.length} bytes, the limit is ${limit}`);
  }
  const value = new Reader(data).item(0);
  checkValue(value, 0);
  if (!sameBytes(encodeCbor(value), data)) {
    throw new TallyError(
      "cbor.not-deterministic",
      "not the shortest, ordered form, or bytes are left over",
    );
  }
  return value;
}

export function encodeCbor(value) {
  const pieces = [];
  write(value, pieces);
  return joined(...pieces);
}

class Reader {
  constructor(data) {
    this.data = data;
    this.at = 0;
  }

  item(depth) {
    if (depth > READ_DEPTH) malformed("nested too deep");
    const [initial] = this.take(1);
    const [major, info] = [initial >> 5, initial & 31];
    if (major === 7) return this.simple(info);
    const count = this.argument(info);
    switch (major) {
      case 0:
        return count;
      case 1:
        return plain(-1n - BigInt(count));
      case 2:
        return this.take(count);
      case 3: {
        const text = decodeText(this.take(count));
        return text ?? malformed("text that is not UTF-8");
      }
      case 4:
        return this.items(count, depth);
      case 5:
        return this.map(count, depth);
      default: {
        const value = this.item(depth + 1);
        return REFUSED_TAGS.has(count) ? foreignTag() : new Tagged(count, value);
      }
    }
  }

  items(count, depth) {
    if (count > this.data.length - this.at) malformed("cut off");
    const out = [];
    for (let i = 0; i < count; i++) out.push(this.item(depth + 1));
    return out;
  }

  map(count, depth) {
    if (count > this.data.length - this.at) malformed("cut off");
    const [out, seen] = [new Map(), new Set()];
    for (let i = 0; i < count; i++) {
      const from = this.at;
      const key = this.item(depth + 1);
      // what is one key in two spellings is a key that stands twice
      const spelt = hex(this.data.subarray(from, this.at));
      const named = isInt(key) || typeof key === "string" ? `${typeof key === "string"} ${key}` : spelt;
      if (seen.has(named)) malformed("a key stands twice");
      seen.add(named);
      out.set(key, this.item(depth + 1));
    }
    return out;
  }

  simple(info) {
    switch (info) {
      case 20:
        return false;
      case 21:
        return true;
      case 22:
        return null;
      case 24:
        if (this.take(1)[0] < 32) malformed("a simple value in two bytes");
        return new Foreign("simple value");
      case 25:
      case 26:
      case 27:
        this.take(2 ** (info - 24));
        return new Foreign("float");
      default:
        if (info > 27) malformed("an indefinite length or a reserved head");
        return new Foreign("simple value");
    }
  }

  argument(info) {
    if (info < 24) return info;
    if (info > 27) malformed("an indefinite length or a reserved head");
    let value = 0n;
    for (const byte of this.take(2 ** (info - 24))) value = (value << 8n) | BigInt(byte);
    return plain(value);
  }

  take(count) {
    if (count > this.data.length - this.at) malformed("cut off");
    this.at += Number(count);
    return this.data.subarray(this.at - Number(count), this.at);
  }
}

// tags that CBOR libraries turn into something else
const REFUSED_TAGS = new Set([
  0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 43, 52, 54, 100, 256, 258, 260, 261, 1004, 43000,
  55799,
]);

function foreignTag() {
  throw new TallyError("cbor.type", "a tag other than 18");
}

function malformed(why) {
  throw new TallyError("cbor.malformed", `not CBOR: ${why}`);
}

function plain(big) {
  const small = Number(big);
  return Number.isSafeInteger(small) ? small : big;
}

function checkValue(value, depth) {
  if (value === null || isInt(value) || isBytes(value)) return;
  if (typeof value === "string" || typeof value === "boolean") return;
  if (depth >= LIMITS.cborDepth) {
    throw new TallyError("cbor.too-deep", `more than ${LIMITS.cborDepth} levels`);
  }
  if (Array.isArray(value)) {
    for (const one of value) checkValue(one, depth + 1);
  } else if (value instanceof Map) {
    for (const key of value.keys()) {
      if (!isInt(key) && typeof key !== "string") throw new TallyError("cbor.type", "map key");
    }
    for (const one of value.values()) checkValue(one, depth + 1);
  } else if (value instanceof Tagged && value.tag === SIGN1_TAG) {
    checkValue(value.value, depth + 1);
  } else {
    throw new TallyError("cbor.type", `${value.name ?? "this"} has no place in our formats`);
  }
}

function write(value, pieces) {
  if (isInt(value)) {
    pieces.push(value >= 0 ? head(0, value) : head(1, plain(-1n - BigInt(value))));
  } else if (isBytes(value)) {
    pieces.push(head(2, value.length), value);
  } else if (typeof value === "string") {
    const text = encodeText(value);
    pieces.push(head(3, text.length), text);
  } else if (Array.isArray(value)) {
    pieces.push(head(4, value.length));
    for (const one of value) write(one, pieces);
  } else if (value instanceof Map) {
    const entries = [...value].map(([key, one]) => [encodeCbor(key), one]);
    entries.sort(([a], [b]) => (hex(a) < hex(b) ? -1 : 1));
    pieces.push(head(5, entries.length));
    for (const [key, one] of entries) {
      pieces.push(key);
      write(one, pieces);
    }
  } else if (value instanceof Tagged) {
    pieces.push(head(6, value.tag));
    write(value.value, pieces);
  } else {
    pieces.push(Uint8Array.of(value === false ? 0xf4 : value === true ? 0xf5 : 0xf6));
  }
}

function head(major, count) {
  const start = major << 5;
  if (count < 24) return Uint8Array.of(start | Number(count));
  const width = count < 2 ** 8 ? 1 : count < 2 ** 16 ? 2 : count < 2 ** 32 ? 4 : 8;
  const out = new Uint8Array(1 + width);
  out[0] = start | (24 + Math.log2(width));
  let rest = BigInt(count);
  for (let i = width; i > 0; i--) {
    out[i] = Number(rest & 255n);
    rest >>= 8n;
  }
  return out;
}
