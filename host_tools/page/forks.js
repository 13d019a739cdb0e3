// What shows only when several proofs are laid side by side: two records of one key that cannot both be its chain
// (docs/format.md, section 5, rule 3). What is found is handed to the verifier as a fork pair, as if each file had
// carried it. A forged record proves nothing: both signatures of a pair are verified here.

import { KIND } from "./body.js";
import { hex } from "./bytes.js";
import { keyPeriods } from "./chain.js";
import { isAdopted } from "./record.js";
import { failure } from "./state.js";

// The lowest fork of each key that `proofs` ([{name, proof or null}]) prove together, by kid: {key, first, second,
// firstFile, secondFile}, where a file is its number.
export async function forksAmong(given) {
  const found = new Map();
  for (const [kid, seen] of notes(given)) {
    // what one file alone holds, its own verdict says
    if (seen.files.size > 1) {
      const fork = await lowest(given, kid, seen.places);
      if (fork) found.set(kid, { ...fork, holders: seen.files });
    }
  }
  return found;
}

// Where the two records of a fork stand, for people.
export function whereIs(fork, given) {
  const seq = Math.min(fork.first.seq, fork.second.seq);
  const [first, second] = [
    [fork.first, fork.firstFile],
    [fork.second, fork.secondFile],
  ].map(([one, file]) => `${calledRecord(one)} in ${given[file].name}`);
  return `fork at seq ${seq}: ${first} and ${second} (a cloned or restored key)`;
}

// The keys of the device that a proof is about, by kid; empty if it does not say, or its rotations are wrong.
export async function deviceKeys(proof) {
  if (!proof.credential) return new Map();
  const all = [...proof.rotations, ...proof.links, ...proof.records];
  const rotations = all.filter((one) => one.kind === KIND.rotate).sort((a, b) => a.seq - b.seq);
  let periods = [];
  const wrong = await failure(async () => {
    periods = await keyPeriods(proof.credential.deviceKey, rotations, null);
  });
  if (wrong) return new Map();
  const keys = periods.map((period) => period.key);
  if (proof.credential.key) keys.push(proof.credential.key);
  return new Map(keys.map((key) => [key.name, key]));
}

// kid -> {files, places: seq -> id -> {prev, file}}
function notes(given) {
  const noted = new Map();
  for (const [file, { proof }] of given.entries()) {
    if (!proof) continue;
    for (const { kid, seq, id, prev } of everyRecord(proof)) {
      if (!noted.has(kid)) noted.set(kid, { files: new Set(), places: new Map() });
      const { files, places } = noted.get(kid);
      files.add(file);
      if (!places.has(seq)) places.set(seq, new Map());
      if (!places.get(seq).has(id)) places.get(seq).set(id, { prev, file });
    }
  }
  return noted;
}

async function lowest(given, kid, places) {
  const checked = new Map();
  const good = async (seq) => {
    const held = [];
    for (const [id, { file }] of places.get(seq) ?? []) {
      if (!checked.has(id)) checked.set(id, await signedIn(given[file].proof, kid, id, file));
      if (checked.get(id)) held.push(checked.get(id));
    }
    return held;
  };
  for (const seq of [...places.keys()].sort((a, b) => a - b)) {
    const [before, here] = [places.get(seq - 1), places.get(seq)];
    const broken = before && [...here.values()].some(({ prev }) => !before.has(prev));
    if (here.size < 2 && !broken) continue;
    const second = await good(seq);
    const pairs = [
      ...second.flatMap((a, i) => second.slice(i + 1).map((b) => [a, b])),
      ...(broken ? await good(seq - 1) : [])
        .flatMap((a) => second.map((b) => [a, b]))
        .filter(([a, b]) => b.record.prev !== a.record.id),
    ];
    const pair = pairs.find(([a, b]) => a.key.equals(b.key));
    if (pair) {
      const [a, b] = pair;
      return { key: a.key, first: a.record, second: b.record, firstFile: a.file, secondFile: b.file };
    }
  }
  return null;
}

async function signedIn(proof, kid, id, file) {
  const key = (await deviceKeys(proof)).get(kid);
  if (!key) return null;
  for (const record of everyRecord(proof)) {
    if (record.id === id && !(await failure(() => record.signed.verify(key)))) return { record, key, file };
  }
  return null;
}

function everyRecord(proof) {
  return [...proof.records, ...proof.links, ...proof.opens, ...proof.rotations, ...proof.forks.flat()];
}

// An `adopted` may stand there because the gateway lost a branch.
function calledRecord(record) {
  const kind = Object.keys(KIND).find((name) => KIND[name] === record.kind);
  return `${isAdopted(record) ? "adopted" : kind} ${record.id.slice(0, 16)}`;
}
