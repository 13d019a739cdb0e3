// What a policy may ask for besides (docs/format.md, section 12), and what only a later head shows. Each is a
// check only if the policy, or the caller, speaks of it.

import { hex } from "./bytes.js";
import { opensOf, some } from "./state.js";

// board.kind
export function checkBoard(v) {
  const { boards } = v.policy;
  const code = "board.kind";
  if (!boards.length) return;
  const kind = v.proof.credential.board;
  if (kind === null) v.add(code, "undecided", "the credential names no board kind");
  else if (boards.includes(kind)) v.add(code, "ok", `${kind}, as the issuer says`);
  else v.add(code, "untrusted", `${kind} is not a kind that the policy accepts`);
}

// agent.digest
export function checkAgents(v) {
  const { agents } = v.policy;
  const code = "agent.digest";
  if (!agents.length) return;
  const opens = [...opensOf(v.proof).values(), ...v.proof.opens];
  const others = opens.filter((one) => !agents.includes(hex(one.body.digest)));
  if (!opens.length) v.add(code, "undecided", "no open in the file says which program ran");
  else if (others.length) {
    const named = others.map(
      ({ seq, body }) => `open ${seq}: ${hex(body.digest)} (${body.version}) is not in the policy`,
    );
    v.add(code, "untrusted", some([...new Set(named)]));
  } else v.add(code, "ok", "as the board says of itself");
}

// anchor.age
export function checkAnchorAge(v) {
  const most = v.policy.anchorAgeS;
  const code = "anchor.age";
  if (most === null) return;
  const { anchor } = v.proof;
  if (!anchor) v.add(code, "pending", "not anchored yet");
  else if (v.now === null) v.add(code, "undecided", "nobody said what time it is");
  else if (v.now - anchor.milestone.time > most) {
    v.add(code, "untrusted", `${v.now - anchor.milestone.time} s old, ${most} s are allowed`);
  } else v.add(code, "ok", `not older than ${most} s`);
}

// chain.tail: does the file end where the chain is known to go on? `heads`: [{seq, id (hex), source}]
export function checkTail(v) {
  const code = "chain.tail";
  if (!v.heads.length) return;
  const held = new Map(v.proof.records.map((one) => [one.seq, one.id]));
  const other = v.heads.find((one) => held.has(one.seq) && held.get(one.seq) !== one.id);
  const newest = v.heads.reduce((a, b) => (b.seq > a.seq ? b : a));
  const last = v.proof.records.at(-1).seq;
  const source = (one) => one.source ?? "somebody";
  if (other) {
    const detail = `seq ${other.seq} is another record than the one that ${source(other)} names`;
    v.add(code, "untrusted", detail);
  } else if (newest.seq > last) {
    const missing = newest.seq > last + 1 ? `${last + 1}..${newest.seq}` : `${newest.seq}`;
    const count = newest.seq - last;
    v.add(code, "undecided", `the end is missing: ${missing} (${count} record(s)), known from ${source(newest)}`);
  } else v.add(code, "ok", `up to the head that ${source(newest)} names`);
}
