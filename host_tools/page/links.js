// Step 6: the chain, its gaps and its forks.

import { EVENT, KIND } from "./body.js";
import { Chain } from "./chain.js";
import { givesUp } from "./record.js";
import { isGood } from "./signatures.js";
import { failure, some } from "./state.js";

// chain.link, chain.gap, chain.disowned: drive the rules over links and records
export async function checkChain(v, firstKey) {
  const walk = [...v.proof.links, ...v.proof.records];
  if (walk.some((one) => !isGood(v, one))) {
    v.add("chain.link", ...rawLinks(v, walk));
    v.add("chain.gap", "skipped", "needs all signatures");
    return;
  }
  const start = walk[0].seq;
  const state = new Chain(firstKey, start, v.periods.filter((one) => one.start <= start));
  const turns = new Set(walk.filter((one) => one.kind === KIND.rotate).map((one) => one.seq + 1));
  state.periods.push(...v.periods.filter((one) => one.start > start && !turns.has(one.start)));
  const [refused, forked, disowned, admitted] = [[], [], [], []];
  for (const [i, one] of walk.entries()) {
    await v.progress("chain", i, walk.length);
    const wrong = await failure(async () => {
      const found = await state.admit(one);
      if (found.result === "fork") forked.push(`seq ${one.seq}: ${found.detail}`);
      if (found.result === "admitted") admitted.push(one);
      if (found.result === "disowned") disowned.push(`seq ${one.seq}`);
    });
    if (wrong) v.bad.add(one.seq);
    if (wrong) refused.push(`seq ${one.seq}: ${wrong.detail}`);
  }
  if (refused.length) v.add("chain.link", "failed", some(refused));
  else if (forked.length) {
    v.add("chain.link", "untrusted", some(forked));
    v.forked.push(...forked);
  } else v.add("chain.link", "ok", linked(walk));
  if (disowned.length) v.add("chain.disowned", "untrusted", some(disowned));
  addGaps(v, state, admitted);
}

// What is missing between the first and the last record, and whether the board says why.
function addGaps(v, state, admitted) {
  const events = admitted.filter((one) => givesUp(one));
  const told = state.givenUp.flatMap((hole) => toldGaps(hole, events));
  const untold = state.missing.map(([start, stop]) => ({ first: start, last: stop - 1, reason: null }));
  v.gaps = [...told, ...untold].sort((a, b) => a.first - b.first);
  if (untold.length) {
    const records = untold.reduce((sum, gap) => sum + gap.last - gap.first + 1, 0);
    const holes = untold.slice(0, 8).map(span).join(", ");
    const detail = `missing, and no event explains it: ${holes} (${records} record(s) left out by somebody)`;
    v.add("chain.gap", "undecided", detail);
  } else if (told.length) {
    const holes = told.slice(0, 8).map((gap) => `${span(gap)} ${gap.reason} (event ${gap.event})`);
    v.add("chain.gap", "ok", `missing, and the board says so itself: ${holes.join(", ")}`);
  } else v.add("chain.gap", "ok", "none");
}

// The gaps in a hole [start, stop), each with the first event that gives it up.
function toldGaps(hole, events) {
  const gaps = [];
  let left = [hole];
  for (const one of events) {
    const [from, to] = givesUp(one);
    const reason = one.body.code === EVENT.pruned ? "pruned" : "dropped";
    for (const [start, stop] of left) {
      const [first, last] = [Math.max(start, from), Math.min(stop - 1, to)];
      if (first <= last) gaps.push({ first, last, reason, event: one.seq });
    }
    left = left
      .flatMap(([start, stop]) => [
        [start, Math.min(stop, from)],
        [Math.max(start, to + 1), stop],
      ])
      .filter(([start, stop]) => start < stop);
  }
  return gaps;
}

// What can be said of the links when a signature failed.
function rawLinks(v, walk) {
  for (let i = 1; i < walk.length; i++) {
    const [before, after] = [walk[i - 1], walk[i]];
    const broken = after.seq === before.seq + 1 && after.prev !== before.id;
    if (broken && !(isGood(v, before) && isGood(v, after))) {
      return ["failed", `seq ${after.seq} does not continue seq ${before.seq}`];
    }
  }
  return ["skipped", "needs all signatures"];
}

// chain.fork: the pairs in the file, and what collides without being called a pair
export function checkForks(v) {
  const p = v.proof;
  const marked = [...v.forked];
  const places = new Map([...p.links, ...p.records].map((one) => [one.seq, one]));
  const pairOf = (seq, a, b) => `fork at seq ${seq}: ${a.id.slice(0, 16)} and ${b.id.slice(0, 16)}`;
  for (const one of [...p.opens, ...p.rotations]) {
    const other = places.get(one.seq);
    if (other && other.id !== one.id && isGood(v, other)) marked.push(pairOf(one.seq, other, one));
  }
  let useless = 0;
  for (const [first, second] of p.forks) {
    const seq = forkSeq(first, second);
    if (seq === null || !isGood(v, first) || !isGood(v, second)) {
      useless += 1;
      continue;
    }
    const hit = p.records.some((one) => one.seq >= seq && one.kid === second.kid);
    if (hit) marked.push(pairOf(seq, first, second));
    else v.notes.push(`a later ${pairOf(seq, first, second)}`);
  }
  const code = "chain.fork";
  if (marked.length) v.add(code, "untrusted", `${some(marked)} (a cloned or restored key)`);
  else if (useless) v.add(code, "undecided", `${useless} fork part(s) that prove no fork`);
  else v.add(code, "ok", "none in the file");
}

// Where the two records fork, null if they do not.
function forkSeq(a, b) {
  if (a.kid !== b.kid) return null;
  const [first, second] = a.seq > b.seq ? [b, a] : [a, b];
  if (first.seq === second.seq && first.id !== second.id) return first.seq;
  if (first.seq + 1 === second.seq && second.prev !== first.id) return first.seq;
  // signed by the key that it replaced
  if (first.kind === KIND.rotate && first.seq < second.seq) return first.seq + 1;
  return null;
}

function linked(walk) {
  const pairs = walk.filter((one, i) => i && one.seq === walk[i - 1].seq + 1).length;
  return walk.length > 1 ? `${pairs} link(s)` : "one record, nothing to link";
}

function span({ first, last }) {
  return first === last ? `${first}` : `${first}..${last}`;
}
