// Public keys (docs/format.md, section 2). A `PublicKey` that exists is one that may be trusted with
// a signature: keys of low order and encodings that are not canonical never become one. WebCrypto
// alone does not refuse them.

import { hex, sha256 } from "./bytes.js";
import { isBytes } from "./cbor.js";
import { EvidenceError, TallyError } from "./errors.js";

export const ED25519 = -19; // RFC 9864
export const ESP256 = -9; // RFC 9864
export const KEY_BYTES = new Map([
  [ED25519, 32],
  [ESP256, 33],
]);

const P = 2n ** 255n - 19n;
// y of the points whose order divides 8: a "signature" by such a key verifies for every message
const Y8 = 0x05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826n;
const LOW_ORDER_Y = new Set([0n, 1n, P - 1n, Y8, P - Y8]);
const D = mod(-121665n * power(121666n, P - 2n, P), P);

const P256 = 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n;
const P256_B = 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn;
const P256_ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

const made = new Map(); // alg and key bytes to a promise of the key; a device has one all its life
const KEPT = 1024;

export class PublicKey {
  constructor(alg, raw, kid, key) {
    this.alg = alg;
    this.raw = raw;
    this.kid = kid; // SHA-256(raw)[:8], a hint which key is meant
    this.name = hex(kid);
    this.key = key;
  }

  // `raw`: 32 bytes for Ed25519, 33 compressed for P-256.
  static async from(raw, alg) {
    if (!KEY_BYTES.has(alg)) throw new TallyError("key.algorithm", `COSE algorithm ${alg}`);
    if (!isBytes(raw) || raw.length !== KEY_BYTES.get(alg)) {
      throw new TallyError("key.length", `a key of algorithm ${alg} has ${KEY_BYTES.get(alg)} bytes`);
    }
    const name = `${alg}:${hex(raw)}`;
    if (!made.has(name)) {
      if (made.size >= KEPT) made.clear();
      made.set(name, PublicKey.#make(raw.slice(), alg));
    }
    return made.get(name);
  }

  static async #make(raw, alg) {
    const kid = (await sha256(raw)).slice(0, 8);
    if (alg === ED25519) {
      checkEd25519(raw);
      const key = await crypto.subtle.importKey("raw", raw, { name: "Ed25519" }, false, ["verify"]);
      return new PublicKey(alg, raw, kid, key);
    }
    const algorithm = { name: "ECDSA", namedCurve: "P-256" };
    const key = await crypto.subtle.importKey("raw", uncompressed(raw), algorithm, false, ["verify"]);
    return new PublicKey(alg, raw, kid, key);
  }

  equals(other) {
    return this.alg === other.alg && hex(this.raw) === hex(other.raw);
  }

  // Return if `signature` over `message` is this key's, else throw an EvidenceError.
  async verify(signature, message) {
    if (signature.length !== 64) {
      throw new EvidenceError("signature.length", `${signature.length} bytes, expected 64`);
    }
    // stops a second valid signature made by anyone from the first: (r, n - s)
    if (this.alg === ESP256 && bigEndian(signature.subarray(32)) > P256_ORDER / 2n) {
      throw new EvidenceError("signature.high-s", "s is in the upper half of the order");
    }
    const algorithm =
      this.alg === ED25519 ? { name: "Ed25519" } : { name: "ECDSA", hash: "SHA-256" };
    if (!(await crypto.subtle.verify(algorithm, this.key, signature, message))) {
      throw new EvidenceError("signature.wrong", "the signature does not verify");
    }
  }
}

function checkEd25519(raw) {
  const y = bigEndian(raw.slice().reverse()) & (2n ** 255n - 1n);
  if (y >= P || ((y === 1n || y === P - 1n) && raw[31] & 0x80)) {
    throw new TallyError("key.not-canonical", "this point has another encoding (RFC 8032, 5.1.3)");
  }
  if (LOW_ORDER_Y.has(y)) {
    throw new TallyError("key.low-order", "signatures of this key say nothing about the message");
  }
  // is there an x with -x^2 + y^2 = 1 + d x^2 y^2 (RFC 8032, 5.1.3)?
  const x2 = mod((y * y - 1n) * power(mod(D * y * y + 1n, P), P - 2n, P), P);
  if (power(x2, (P - 1n) / 2n, P) > 1n) {
    throw new TallyError("key.point", "not a point of Ed25519");
  }
}

// 04 || x || y of a compressed point (SEC 1, 2.3.4): browsers do not all read the short form.
function uncompressed(raw) {
  const x = bigEndian(raw.subarray(1));
  const y2 = mod(x * x * x - 3n * x + P256_B, P256);
  let y = power(y2, (P256 + 1n) / 4n, P256);
  if ((raw[0] !== 2 && raw[0] !== 3) || x >= P256 || mod(y * y, P256) !== y2) {
    throw new TallyError("key.point", "not a compressed point of P-256");
  }
  if ((y & 1n) !== BigInt(raw[0] & 1)) y = P256 - y;
  const out = new Uint8Array(65);
  out[0] = 4;
  out.set(raw.subarray(1), 1);
  for (let i = 64; i > 32; i--) {
    out[i] = Number(y & 255n);
    y >>= 8n;
  }
  return out;
}

function bigEndian(bytes) {
  return bytes.length ? BigInt(`0x${hex(bytes)}`) : 0n;
}

function mod(value, modulus) {
  const rest = value % modulus;
  return rest < 0n ? rest + modulus : rest;
}

function power(base, exponent, modulus) {
  let out = 1n;
  let square = mod(base, modulus);
  for (let left = exponent; left > 0n; left >>= 1n) {
    if (left & 1n) out = (out * square) % modulus;
    square = (square * square) % modulus;
  }
  return out;
}
