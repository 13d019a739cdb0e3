// Signed objects: COSE_Sign1 (RFC 9052) in the one shape of docs/format.md, section 3. Reading one says
// nothing about its signature: call `verify` with a key that you trust.

import { hex, joined, sameBytes, sha256 } from "./bytes.js";
import { Tagged, decodeCbor, encodeCbor, isBytes, isInt } from "./cbor.js";
import { EvidenceError, TallyError } from "./errors.js";
import { ED25519, ESP256 } from "./keys.js";
import { LIMITS } from "./limits.js";

export const TYP = Object.freeze({
  credential: 61,
  record: 65000,
  possession: 65001,
  acknowledgement: 65002,
  command: 65003,
  challenge: 65004,
  grant: 65005,
  block: 65006,
  statement: 65007,
});

const CONTEXT = Uint8Array.of(0x84, 0x6a, ...new TextEncoder().encode("Signature1"));

export class Signed {
  constructor(raw, header, payload, signature, signedBytes, id) {
    this.raw = raw;
    this.alg = header.alg;
    this.kid = header.kid;
    this.kidName = hex(header.kid);
    this.payload = payload;
    this.signature = signature;
    this.signedBytes = signedBytes; // the Sig_structure
    this.id = id; // SHA-256 of what was signed
  }

  async verify(key) {
    // stops algorithm confusion: the enrolled key fixes the algorithm, the header does not choose it
    if (this.alg !== key.alg || !sameBytes(this.kid, key.kid)) {
      throw new EvidenceError("signature.key", `signed by key ${this.kidName}, not by ${key.name}`);
    }
    await key.verify(this.signature, this.signedBytes);
  }
}

export async function parseSigned(raw, typ, limit = LIMITS.signed) {
  if (raw.length > limit) {
    throw new TallyError("cbor.too-long", `${raw.length} bytes, the limit is ${limit}`);
  }
  const value = decodeCbor(raw);
  if (!(value instanceof Tagged)) throw new TallyError("cose.tag", "not a COSE_Sign1: no tag 18");
  if (!Array.isArray(value.value) || value.value.length !== 4) {
    throw new TallyError("cose.shape", "a COSE_Sign1 has four elements");
  }
  const [protectedHeader, unprotectedHeader, payload, signature] = value.value;
  // stops keys, certificates or algorithms that nobody signed from having any effect
  if (!(unprotectedHeader instanceof Map) || unprotectedHeader.size) {
    throw new TallyError("cose.unprotected", "the unprotected header must be empty");
  }
  if (!isBytes(payload)) throw new TallyError("cose.payload", "the payload must be attached");
  if (!isBytes(signature) || signature.length !== 64) {
    throw new TallyError("cose.signature", "the signature must have 64 bytes");
  }
  if (!isBytes(protectedHeader)) {
    throw new TallyError("cose.protected", "the protected header must be a byte string");
  }
  const header = parseHeader(protectedHeader);
  if (header.typ !== typ) {
    throw new TallyError("cose.typ", `typ ${header.typ} where ${typ} is expected`);
  }
  const signedBytes = sigStructure(protectedHeader, payload);
  return new Signed(raw, header, payload, signature, signedBytes, await sha256(signedBytes));
}

// RFC 9052, 4.4: ["Signature1", protected, h'', payload]
export function sigStructure(protectedHeader, payload) {
  return joined(CONTEXT, encodeCbor(protectedHeader), Uint8Array.of(0x40), encodeCbor(payload));
}

export function protectedBytes(alg, kid, typ) {
  return encodeCbor(
    new Map([
      [1, alg],
      [4, kid],
      [16, typ],
    ]),
  );
}

function parseHeader(bytes) {
  const header = decodeCbor(bytes);
  const fits = header instanceof Map && header.size === 3 && [1, 4, 16].every((l) => header.has(l));
  if (!fits) {
    throw new TallyError("cose.protected", "the protected header holds alg, kid, typ and no more");
  }
  const [alg, kid, typ] = [header.get(1), header.get(4), header.get(16)];
  if (alg !== ED25519 && alg !== ESP256) {
    throw new TallyError("cose.algorithm", "an algorithm other than -19 and -9");
  }
  if (!isBytes(kid) || kid.length !== 8) throw new TallyError("cose.kid", "a kid has 8 bytes");
  if (!isInt(typ)) throw new TallyError("cose.typ", "typ is not a number");
  return { alg, kid, typ };
}
