// ECDSA over secp256k1 (SEC 2, 2.4.1), to verify alone: the curve of the ledgers that speak EVM, which browsers do not
// know. Nothing here is secret, so nothing needs to take the same time.

import { hex } from "./bytes.js";
import { EvidenceError, TallyError } from "./errors.js";

const PRIME = 2n ** 256n - 2n ** 32n - 977n;
const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const BASE = [
  0x79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798n,
  0x483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8n,
];

// [x, y] of a compressed key of 33 bytes.
export function pointOf(key) {
  const x = BigInt(`0x${hex(key.subarray(1))}`);
  const y2 = over(x * x * x + 7n, PRIME);
  let y = raised(y2, (PRIME + 1n) / 4n);
  if (x >= PRIME || over(y * y, PRIME) !== y2) {
    throw new TallyError("transaction.key", "not a point of secp256k1");
  }
  if ((y & 1n) !== BigInt(key[0] & 1)) y = PRIME - y;
  return [x, y];
}

// Return if (r, s) is a signature of `key` over the digest of 32 bytes.
export function verifySecp256k1(key, digest, r, s) {
  // the chain refuses a high s (EIP-2): one transaction must not have two hashes
  if (!(r > 0n && r < ORDER && s > 0n && s <= ORDER / 2n)) {
    throw new EvidenceError("signature.high-s", "r or s of the transaction is out of range");
  }
  let point;
  try {
    point = pointOf(key);
  } catch {
    throw new EvidenceError("signature.wrong", "the transaction is not signed by its key");
  }
  const inverse = inverted(s, ORDER);
  const z = BigInt(`0x${hex(digest)}`);
  const sum = added(times(BASE, over(z * inverse, ORDER)), times(point, over(r * inverse, ORDER)));
  if (sum === null || sum[0] % ORDER !== r) {
    throw new EvidenceError("signature.wrong", "the transaction is not signed by its key");
  }
}

function times(point, count) {
  let out = null;
  let doubled = point;
  for (let left = count; left > 0n; left >>= 1n) {
    if (left & 1n) out = added(out, doubled);
    doubled = added(doubled, doubled);
  }
  return out;
}

// The sum of two points; null is the point at infinity.
function added(a, b) {
  if (a === null) return b;
  if (b === null) return a;
  const [[x1, y1], [x2, y2]] = [a, b];
  if (x1 === x2 && y1 !== y2) return null;
  const slope =
    x1 === x2 ? 3n * x1 * x1 * inverted(2n * y1, PRIME) : (y2 - y1) * inverted(over(x2 - x1, PRIME), PRIME);
  const x = over(slope * slope - x1 - x2, PRIME);
  return [x, over(slope * (x1 - x) - y1, PRIME)];
}

function over(value, modulus) {
  const rest = value % modulus;
  return rest < 0n ? rest + modulus : rest;
}

function inverted(value, modulus) {
  let [a, b, u, w] = [over(value, modulus), modulus, 1n, 0n];
  while (b) {
    const q = a / b;
    [a, b, u, w] = [b, a - q * b, w, u - q * w];
  }
  return over(u, modulus);
}

function raised(base, exponent) {
  let out = 1n;
  let square = base;
  for (let left = exponent; left > 0n; left >>= 1n) {
    if (left & 1n) out = (out * square) % PRIME;
    square = (square * square) % PRIME;
  }
  return out;
}
