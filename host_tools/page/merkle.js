// Merkle trees of RFC 9162, 2.1, with SHA-256: does a leaf stand at an index of a tree?

import { joined, sameBytes, sha256 } from "./bytes.js";
import { EvidenceError, TallyError } from "./errors.js";
import { LIMITS } from "./limits.js";

export function leafHash(entry) {
  return sha256(joined(Uint8Array.of(0), entry));
}

export function nodeHash(left, right) {
  return sha256(joined(Uint8Array.of(1), left, right));
}

// RFC 9162, 2.1.3.2. `index` and `size` are numbers or BigInt, all hashes 32 bytes.
export async function verifyInclusion(leaf, index, size, path, root) {
  const [at, leaves] = [BigInt(index), BigInt(size)];
  if (leaves > LIMITS.treeSize || at > LIMITS.treeSize) {
    throw new TallyError("merkle.size", `${size} is above the limit`);
  }
  if (at >= leaves) throw new EvidenceError("merkle.index", `leaf ${at} is not in a tree of ${size}`);
  for (const hash of [leaf, root, ...path]) {
    // stops an empty root from matching an empty leaf hash
    if (hash.length !== 32) throw new TallyError("merkle.hash-length", "a hash has 32 bytes");
  }
  let [fn, sn, r] = [at, leaves - 1n, leaf];
  for (const p of path) {
    if (sn === 0n) throw new EvidenceError("merkle.path-length", "the path is too long");
    if (fn & 1n || fn === sn) {
      r = await nodeHash(p, r);
      while (!(fn & 1n) && fn) [fn, sn] = [fn >> 1n, sn >> 1n];
    } else {
      r = await nodeHash(r, p);
    }
    [fn, sn] = [fn >> 1n, sn >> 1n];
  }
  if (sn !== 0n) throw new EvidenceError("merkle.path-length", "the path is too short");
  if (!sameBytes(r, root)) throw new EvidenceError("merkle.root", "the path does not lead to the root");
}
