// The page: files in, verdicts out. Nothing leaves it.

import { hex, sha256 } from "./bytes.js";
import { isHtml, proofInReport } from "./embedded.js";
import { TallyError } from "./errors.js";
import { LIMITS } from "./limits.js";
import { parsers } from "./parsers.js";
import { parsePolicy, policyOf } from "./policy.js";
import { verifyProof } from "./verify.js";
import { el, faultCard, verdictCard } from "./view.js";
import { plural } from "./words.js";

const NOBODY = "version = 1\n";
const EVERY_MS = 80; // between two looks of the progress bar
const [results, policyState, proofState] = ["results", "policy-state", "proof-state"].map((id) =>
  document.getElementById(id),
);
const trusted = { policy: null };
const held = []; // {name, bytes}
let round = 0;

// for the console and for tests: the same functions as the page uses
globalThis.tallystick = Object.freeze({ verifyProof, parsePolicy, policyOf, parsers });

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
  const proofs = [];
  for (const file of files) {
    if (isPolicy || file.name.endsWith(".toml")) await takePolicy(file);
    else proofs.push(file);
  }
  if (proofs.length) {
    held.length = 0;
    for (const file of proofs) {
      const readable = file.size <= LIMITS.report;
      held.push({ name: file.name, bytes: readable ? new Uint8Array(await file.arrayBuffer()) : null });
    }
    proofState.textContent = plural(held.length, "file");
  }
  if (held.length) await judge();
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
  for (const { name, bytes } of held) {
    const [bar, what] = [el("progress", { max: "1" }), el("p", { class: "soft" }, `${name}: reading`)];
    const waiting = el("article", { class: "card" }, what, bar);
    results.append(waiting);
    let last = 0;
    const progress = (step, done, all) => {
      if (performance.now() - last < EVERY_MS) return null;
      last = performance.now();
      what.textContent = `${name}: ${step}, ${done} of ${all}`;
      bar.value = done / all;
      return painted();
    };
    await painted();
    const card = await cardOf(name, bytes, progress);
    if (mine !== round) return;
    waiting.replaceWith(card);
  }
  results.dataset.done = "yes";
}

async function cardOf(name, bytes, progress) {
  try {
    if (bytes === null) throw new TallyError("proof.too-long", "too long for a proof");
    const now = Math.floor(Date.now() / 1000);
    const data = isHtml(bytes) ? proofInReport(bytes) : bytes;
    const verdict = await verifyProof(data, trusted.policy, { progress, now });
    return verdictCard(name, verdict, hex(await sha256(data)));
  } catch (error) {
    return faultCard(name, error);
  }
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
