// The page: files in, verdicts out. Nothing leaves it.

import { hex, sha256 } from "./bytes.js";
import { TallyError } from "./errors.js";
import { parseJson } from "./json.js";
import { LIMITS } from "./limits.js";
import { parsers } from "./parsers.js";
import { parsePolicy, policyOf } from "./policy.js";
import { judgedTogether, kindOf } from "./together.js";
import { verifyProof } from "./verify.js";
import { betweenCard, el, faultCard, verdictCard } from "./view.js";
import { plural } from "./words.js";

const NOBODY = "version = 1\n";
const KINDS = { proof: "file", list: "status list", acknowledgement: "acknowledgement" };
const EVERY_MS = 80; // between two looks of the progress bar
const [results, policyState, proofState] = ["results", "policy-state", "proof-state"].map((id) =>
  document.getElementById(id),
);
const trusted = { policy: null };
const held = []; // {name, bytes}
let round = 0;

// for the console and for tests: the same functions as the page uses
globalThis.tallystick = Object.freeze({ verifyProof, judgedTogether, parseJson, parsePolicy, policyOf, parsers });

async function start() {
  if (!globalThis.crypto?.subtle) {
    notice("This browser hides its cryptography from pages that came over plain HTTP. Save the page and open the file, or use HTTPS.");
    return;
  }
  if (!(await knowsEd25519())) {
    notice("This browser does not know Ed25519. Chrome 137, Firefox 129 and Safari 17 or newer do.");
    return;
  }
  trusted.policy = await parsePolicy(new TextEncoder().encode(NOBODY));
  document.getElementById("policy").addEventListener("change", chosen);
  document.getElementById("proofs").addEventListener("change", chosen);
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("over");
  });
  document.addEventListener("dragleave", () => document.body.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("over");
    take([...event.dataTransfer.files]);
  });
  document.body.dataset.ready = "yes";
}

function chosen(event) {
  const files = [...event.target.files];
  event.target.value = ""; // the same file may be chosen again after a change
  take(files, event.target.id === "policy");
}

async function take(files, isPolicy = false) {
  const given = [];
  for (const file of files) {
    if (isPolicy || file.name.endsWith(".toml")) await takePolicy(file);
    else {
      const readable = file.size <= LIMITS.report;
      given.push({ name: file.name, bytes: readable ? new Uint8Array(await file.arrayBuffer()) : null });
    }
  }
  keep(given);
  if (held.length) await judge();
}

// New proofs take the place of all that was there; what only says more of them comes beside them.
function keep(given) {
  const isProof = ({ bytes }) => kindOf(bytes) === "proof";
  if (given.some(isProof)) held.length = 0;
  for (const one of given) {
    const at = held.findIndex(({ name, bytes }) => name === one.name && !isProof({ bytes }));
    if (at >= 0) held.splice(at, 1, one);
    else held.push(one);
  }
  if (!held.length) return;
  const count = (kind) => held.filter(({ bytes }) => kindOf(bytes) === kind).length;
  const counts = Object.entries(KINDS).map(([kind, noun]) => [count(kind), noun]);
  const shown = counts.filter(([n, noun]) => n || noun === KINDS.proof);
  proofState.textContent = shown.map(([n, noun]) => plural(n, noun)).join(", ");
}

async function takePolicy(file) {
  try {
    if (file.size > LIMITS.policy) throw new TallyError("policy.too-long", "too long for a policy");
    const policy = await parsePolicy(new Uint8Array(await file.arrayBuffer()));
    trusted.policy = policy;
    const counts = [
      plural(policy.issuers.length, "issuer"),
      plural(policy.gateways.length, "gateway"),
      plural(policy.ledgers.length, "ledger"),
    ];
    policyState.textContent = `${file.name}: ${counts.join(", ")}`;
    policyState.dataset.code = "";
  } catch (error) {
    if (!(error instanceof TallyError)) throw error;
    trusted.policy = await parsePolicy(new TextEncoder().encode(NOBODY));
    policyState.textContent = `${file.name} cannot be used, so nobody is trusted: ${error.message}`;
    policyState.dataset.code = error.code;
  }
}

// All verdicts anew. A later call makes an earlier one stop.
async function judge() {
  const mine = ++round;
  results.replaceChildren();
  results.dataset.done = "no";
  const cards = held.map(({ name }) => waitingCard(name));
  const evidence = (i) => kindOf(held[i].bytes) !== "proof";
  results.append(...cards.filter((_, i) => !evidence(i)).map((one) => one.card));
  await painted();
  const now = Math.floor(Date.now() / 1000);
  const progressOf = (number) => cards[number].progress;
  for await (const one of judgedTogether(held, trusted.policy, { now, progressOf })) {
    if (mine !== round) return;
    if (one.summary) {
      if (one.summary.length) results.append(betweenCard(one.summary));
      continue;
    }
    const made = one.error
      ? faultCard(one.name, one.error)
      : verdictCard(one.name, one.verdict, hex(await sha256(one.data ?? new Uint8Array())));
    const waiting = cards[one.number];
    if (waiting.card.isConnected) waiting.card.replaceWith(made);
    else results.prepend(made);
    waiting.card = made;
  }
  results.dataset.done = "yes";
}

function waitingCard(name) {
  const [bar, what] = [el("progress", { max: "1" }), el("p", { class: "soft" }, `${name}: waiting`)];
  let last = 0;
  const progress = (step, done, all) => {
    if (performance.now() - last < EVERY_MS) return null;
    last = performance.now();
    what.textContent = `${name}: ${step}, ${done} of ${all}`;
    bar.value = done / all;
    return painted();
  };
  return { card: el("article", { class: "card" }, what, bar), progress };
}

// Lets the browser draw before the work begins.
function painted() {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

async function knowsEd25519() {
  try {
    // the key of RFC 8032, 7.1, TEST 1
    const raw = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    await parsers["ed25519 key"](Uint8Array.from(raw.match(/../g), (pair) => parseInt(pair, 16)));
    return true;
  } catch {
    return false;
  }
}

function notice(text) {
  results.append(el("p", { class: "card notice UNDECIDED", role: "alert" }, text));
}

start();
