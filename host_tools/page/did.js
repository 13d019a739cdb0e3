// did:key: a key written as a name, and back, without a network (docs/format.md, section 2).

import { joined } from "./bytes.js";
import { TallyError } from "./errors.js";
import { ED25519, ESP256, KEY_BYTES, PublicKey } from "./keys.js";
import { LIMITS } from "./limits.js";

const SCHEME = "did:key:z";
const ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const PREFIXES = new Map([
  [ED25519, Uint8Array.of(0xed, 0x01)],
  [ESP256, Uint8Array.of(0x80, 0x24)],
]);

export function didOf(key) {
  return SCHEME + base58(joined(PREFIXES.get(key.alg), key.raw));
}

// The key that a did:key names.
export async function keyOfDid(did) {
  if (!did.startsWith(SCHEME) || did.length > LIMITS.did) {
    throw new TallyError("did.method", `${JSON.stringify(did.slice(0, 64))} is not a did:key`);
  }
  const data = fromBase58(did.slice(SCHEME.length));
  for (const [alg, prefix] of PREFIXES) {
    const fits = data[0] === prefix[0] && data[1] === prefix[1];
    if (fits && data.length === 2 + KEY_BYTES.get(alg)) {
      const key = await PublicKey.from(data.slice(2), alg);
      // one key, one name
      if (didOf(key) !== did) throw new TallyError("did.not-canonical", "not the one spelling");
      return key;
    }
  }
  throw new TallyError("did.key-type", `${did} is neither an Ed25519 nor a P-256 key`);
}

export function base58(bytes) {
  let value = BigInt(0);
  for (const byte of bytes) value = value * 256n + BigInt(byte);
  let out = "";
  for (; value > 0n; value /= 58n) out = ALPHABET[Number(value % 58n)] + out;
  for (const byte of bytes) {
    if (byte) break;
    out = "1" + out;
  }
  return out;
}

export function fromBase58(text) {
  let value = 0n;
  for (const c of text) {
    const digit = ALPHABET.indexOf(c);
    if (digit < 0) throw new TallyError("did.base58", `${JSON.stringify(text)} is not base58btc`);
    value = value * 58n + BigInt(digit);
  }
  const out = [];
  for (; value > 0n; value >>= 8n) out.unshift(Number(value & 255n));
  for (const c of text) {
    if (c !== "1") break;
    out.unshift(0);
  }
  return Uint8Array.from(out);
}
