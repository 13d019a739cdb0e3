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

// RFC 9162, 2.1.4.2: did the tree (`size1`, `root1`) grow into (`size2`, `root2`)?
export async function verifyConsistency(size1, root1, size2, root2, path) {
  const [older, newer] = [BigInt(size1), BigInt(size2)];
  if (older > newer) {
    throw new EvidenceError("merkle.size", `a tree of ${older} cannot have grown into one of ${newer}`);
  }
  if (older === newer) {
    if (path.length) throw new EvidenceError("merkle.path-length", "the path is too long");
    if (!sameBytes(root1, root2)) throw new EvidenceError("merkle.root", "one size, two roots");
    return;
  }
  const hashes = older & (older - 1n) ? [...path] : [root1, ...path];
  if (!hashes.length) throw new EvidenceError("merkle.path-length", "the path is too short");
  let [fn, sn] = [older - 1n, newer - 1n];
  while (fn & 1n) [fn, sn] = [fn >> 1n, sn >> 1n];
  let [fr, sr] = [hashes[0], hashes[0]];
  for (const c of hashes.slice(1)) {
    if (sn === 0n) throw new EvidenceError("merkle.path-length", "the path is too long");
    if (fn & 1n || fn === sn) {
      [fr, sr] = [await nodeHash(c, fr), await nodeHash(c, sr)];
      while (!(fn & 1n) && fn) [fn, sn] = [fn >> 1n, sn >> 1n];
    } else {
      sr = await nodeHash(sr, c);
    }
    [fn, sn] = [fn >> 1n, sn >> 1n];
  }
  if (sn !== 0n) throw new EvidenceError("merkle.path-length", "the path is too short");
  if (!sameBytes(fr, root1) || !sameBytes(sr, root2)) {
    throw new EvidenceError("merkle.root", "the path does not join the two roots");
  }
}

// One proof for many leaves (docs/format.md, section 11): `leaves[i]` stands at `indices[i]`; `hashes` are the
// roots of the subtrees that hold none of them, from left to right.
export async function verifyShared(indices, leaves, size, hashes, root) {
  const end = BigInt(size);
  const placed = indices.map((index, i) => ({ at: BigInt(index), hash: leaves[i] }));
  placed.sort((a, b) => (a.at < b.at ? -1 : 1));
  if (end < 1n) throw new EvidenceError("merkle.size", `${size} is not the size of a tree with leaves`);
  if (placed.at(-1).at >= end) {
    throw new EvidenceError("merkle.index", `leaves that are not in a tree of ${size}`);
  }
  let taken = 0;

  // the root over the leaves start..stop-1, of which placed[first..last-1] are ours
  async function over(start, stop, first, last) {
    if (first === last) {
      if (taken === hashes.length) throw new EvidenceError("merkle.path-length", "hashes are missing");
      return hashes[taken++];
    }
    if (stop - start === 1n) return placed[first].hash;
    const middle = start + 2n ** BigInt((stop - start - 1n).toString(2).length - 1);
    let at = first;
    while (at < last && placed[at].at < middle) at++;
    return nodeHash(await over(start, middle, first, at), await over(middle, stop, at, last));
  }

  const found = await over(0n, end, 0, placed.length);
  // stops hashes that lead nowhere from being carried along
  if (taken !== hashes.length) throw new EvidenceError("merkle.path-length", "hashes are left over");
  if (!sameBytes(found, root)) {
    throw new EvidenceError("merkle.root", "the records do not lead to the root");
  }
}
