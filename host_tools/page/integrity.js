// Signatures in JSON documents: one DataIntegrityProof of the cryptosuite eddsa-jcs-2022. What is signed:
// SHA-256(JCS(proof without proofValue)) || SHA-256(JCS(document without proof)).

import { encodeText, joined, sha256 } from "./bytes.js";
import { base58, fromBase58 } from "./did.js";
import { EvidenceError, TallyError } from "./errors.js";
import { canonicalJson } from "./json.js";
import { ED25519 } from "./keys.js";
import { secondsOf } from "./timestamp.js";

const PROOF_MEMBERS = ["type", "cryptosuite", "created", "verificationMethod", "proofPurpose", "proofValue"];
const SUITE = { type: "DataIntegrityProof", cryptosuite: "eddsa-jcs-2022", proofPurpose: "assertionMethod" };
const PROOF_VALUE = /^z[1-9A-HJ-NP-Za-km-z]{64,88}$/;

// Return if `key` signed `document`.
export async function verifyDocument(document, key) {
  const proof = proofOf(document);
  if (key.alg !== ED25519) {
    throw new EvidenceError("signature.key", "eddsa-jcs-2022 knows no key but Ed25519");
  }
  const unsecured = lessMember(document, "proof");
  if (proof.has("@context")) {
    const [named, whole] = [proof, unsecured].map((one) => contextsOf(one.get("@context")));
    // stops a context that nobody signed from giving names another meaning
    if (!named.every((one, i) => one === whole[i])) {
      throw new EvidenceError("vc.context", "the document's @context is not the one of its proof");
    }
    unsecured.set("@context", proof.get("@context"));
  }
  const hashes = [lessMember(proof, "proofValue"), unsecured].map((one) => sha256(encodeText(canonicalJson(one))));
  await key.verify(signatureOf(proof.get("proofValue")), joined(...(await Promise.all(hashes))));
}

// The one proof of a document, in form.
function proofOf(document) {
  const proof = document.get("proof");
  if (!(proof instanceof Map)) throw new TallyError("vc.proof", "a document has exactly one proof");
  const known = [...PROOF_MEMBERS, "@context"];
  if (!PROOF_MEMBERS.every((name) => proof.has(name)) || ![...proof.keys()].every((name) => known.includes(name))) {
    throw new TallyError("vc.proof", "a proof with a member too few or too many");
  }
  // stops a signature for another purpose, or of another suite, from passing as an assertion
  if (!Object.entries(SUITE).every(([name, value]) => proof.get(name) === value)) {
    throw new TallyError("vc.proof", "not a DataIntegrityProof of eddsa-jcs-2022 for assertionMethod");
  }
  if (typeof proof.get("verificationMethod") !== "string") {
    throw new TallyError("vc.proof", "verificationMethod is no DID URL");
  }
  secondsOf(proof.get("created"), "created");
  return proof;
}

function contextsOf(value) {
  if (value === undefined) return ["null"];
  return (Array.isArray(value) ? value : [value]).map(canonicalJson);
}

function signatureOf(value) {
  const wrong = () => new TallyError("vc.proof", "proofValue is not 64 bytes in base58btc");
  if (typeof value !== "string" || !PROOF_VALUE.test(value)) throw wrong();
  const bytes = fromBase58(value.slice(1));
  // stops a second spelling of one signature
  if (bytes.length !== 64 || `z${base58(bytes)}` !== value) throw wrong();
  return bytes;
}

function lessMember(map, name) {
  return new Map([...map].filter(([one]) => one !== name));
}
