// C2SP signed notes and checkpoints with Ed25519 signatures, in their one spelling (docs/format.md,
// section 7).

import { decodeText, encodeText, fromBase64, hex, joined, sameBytes, sha256 } from "./bytes.js";
import { EvidenceError, TallyError } from "./errors.js";
import { ED25519, PublicKey } from "./keys.js";
import { LIMITS } from "./limits.js";

const DASH = "\u2014 ";
const ED25519_TYPE = 1;
const COSIGNATURE_TYPE = 4;

// `name+hex key id+base64(01 || key)`: a log that a policy trusts.
export function parseVerifierKey(line) {
  return parseNamedKey(line, ED25519_TYPE);
}

// The same with 04: a witness.
export function parseWitnessKey(line) {
  return parseNamedKey(line, COSIGNATURE_TYPE);
}

async function parseNamedKey(line, type) {
  const [name, rest] = partition(line.trim(), "+");
  const [keyId, encoded] = partition(rest, "+");
  const data = fromBase64(encoded, "note.vkey");
  if (data.length !== 33 || data[0] !== type) {
    throw new TallyError("note.vkey", "not a verifier key of this kind");
  }
  const key = await PublicKey.from(data.slice(1), ED25519);
  if (!name || /\s/u.test(name)) throw new TallyError("note.key-name", "no key name");
  const id = (await sha256(joined(encodeText(`${name}\n`), data))).slice(0, 4);
  // stops a line that was cut or mistyped from naming another key
  if (hex(id) !== keyId) throw new TallyError("note.vkey", "the key id does not fit the key");
  return { name, key, id };
}

export function parseNote(raw) {
  if (raw.length > LIMITS.note) {
    throw new TallyError("note.too-long", `${raw.length} bytes, the limit is ${LIMITS.note}`);
  }
  const whole = decodeText(raw);
  if (whole === null) throw new TallyError("note.text", "not UTF-8");
  if (/[\x00-\x09\x0b-\x1f]/.test(whole)) throw new TallyError("note.text", "control characters");
  const cut = whole.lastIndexOf("\n\n");
  const tail = whole.slice(cut + 2);
  if (cut < 1 || !tail.endsWith("\n")) {
    throw new TallyError("note.shape", "a note is a text, an empty line and signature lines");
  }
  const lines = tail.slice(0, -1).split("\n");
  if (lines.length > LIMITS.noteSignatures) {
    throw new TallyError("note.signatures", `${lines.length} signature lines`);
  }
  return { raw, text: whole.slice(0, cut + 1), signatures: lines.map(signatureLine) };
}

export async function parseCheckpoint(raw) {
  const note = parseNote(raw);
  const lines = note.text.slice(0, -1).split("\n");
  if (lines.length !== 3) {
    throw new TallyError("checkpoint.shape", "a checkpoint has three lines: origin, size, root");
  }
  const [origin, size, encoded] = lines;
  if (!origin) throw new TallyError("checkpoint.origin", "the origin is missing");
  if (!/^(0|[1-9][0-9]{0,18})$/.test(size) || BigInt(size) > LIMITS.treeSize) {
    throw new TallyError("checkpoint.size", "not a size");
  }
  const root = fromBase64(encoded, "checkpoint.root");
  if (root.length !== 32) throw new TallyError("checkpoint.root", "not the base64 of 32 bytes");
  return { note, raw, origin, size: BigInt(size), root };
}

// Return if `vkey` signed the note; lines of other keys are ignored.
export async function verifyNote(note, vkey) {
  let found = false;
  for (const line of note.signatures) {
    if (line.name === vkey.name && sameBytes(line.keyId, vkey.id)) {
      await vkey.key.verify(line.signature, encodeText(note.text));
      found = true;
    }
  }
  if (!found) throw new EvidenceError("note.unsigned", `no signature line of ${vkey.name}`);
}

// Did this witness cosign the note (C2SP tlog-cosignature)? Throws if one of its lines does not verify.
export async function cosignedAt(note, witness) {
  let seen = false;
  for (const line of note.signatures) {
    if (line.name !== witness.name || !sameBytes(line.keyId, witness.id)) continue;
    if (line.signature.length !== 72) {
      throw new EvidenceError("signature.length", `${line.signature.length} bytes, expected 72`);
    }
    const time = BigInt(`0x${hex(line.signature.subarray(0, 8))}`);
    const signed = encodeText(`cosignature/v1\ntime ${time}\n${note.text}`);
    await witness.key.verify(line.signature.subarray(8), signed);
    seen = true;
  }
  return seen;
}

function signatureLine(line) {
  if (!line.startsWith(DASH)) throw new TallyError("note.signature-line", "not a signature line");
  const [name, encoded] = partition(line.slice(DASH.length), " ");
  const data = fromBase64(encoded, "note.signature-line");
  if (!name || data.length <= 4) {
    throw new TallyError("note.signature-line", "not a signature line");
  }
  return { name, keyId: data.slice(0, 4), signature: data.slice(4) };
}

function partition(text, mark) {
  const at = text.indexOf(mark);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + mark.length)];
}
