// Bitstring Status List 1.0 (W3C): which credentials of an issuer are suspended or revoked, a bit each; index 0 is the
// leftmost (docs/format.md, section 10). No signature is checked here.

import { joined } from "./bytes.js";
import { TallyError } from "./errors.js";
import { canonicalJson } from "./json.js";
import { LIMITS } from "./limits.js";
import { secondsOf } from "./timestamp.js";

const LIST_CONTEXT = '["https://www.w3.org/ns/credentials/v2"]';
const LIST_TYPES = '["VerifiableCredential","BitstringStatusListCredential"]';
const LIST_MEMBERS = ["@context", "id", "type", "issuer", "validFrom", "credentialSubject", "proof"];
const LIST_SUBJECT = ["id", "type", "statusPurpose", "encodedList"];
const LIST_ID = /^[a-z][a-z0-9+.-]{0,15}:[!-~]{1,256}\/status\/([1-9][0-9]{0,4})\/([a-z]+)$/;
const PURPOSES = ["suspension", "revocation"];
const FEWEST = 131_072; // entries: 16 KiB

// {id, number, purpose, validFrom, bits} of a JSON document.
export async function parseStatusList(document) {
  const is = (name, text) => document.has(name) && canonicalJson(document.get(name)) === text;
  if (!within(document, LIST_MEMBERS) || !is("@context", LIST_CONTEXT) || !is("type", LIST_TYPES)) {
    throw new TallyError("status.shape", "not a BitstringStatusListCredential");
  }
  const subject = document.get("credentialSubject");
  if (!(subject instanceof Map) || !within(subject, LIST_SUBJECT)) {
    throw new TallyError("status.shape", "its subject is not a list");
  }
  const [id, issuer] = [document.get("id"), document.get("issuer")];
  if (typeof id !== "string" || typeof issuer !== "string") {
    throw new TallyError("status.shape", "a status list has an id and an issuer");
  }
  const { number, purpose } = numbered(id);
  // stops a list of suspensions from being shown as one of revocations, under the other's name
  if (subject.get("type") !== "BitstringStatusList" || subject.get("statusPurpose") !== purpose) {
    throw new TallyError("status.purpose", `not the list for ${purpose} that its id names`);
  }
  const bits = await unpacked(subject.get("encodedList"));
  return { id, number, purpose, validFrom: secondsOf(document.get("validFrom"), "validFrom"), bits };
}

// Is the bit of `index` set?
export function bitOf(list, index) {
  const size = list.bits.length * 8;
  if (index >= size) throw new TallyError("status.index", `index ${index} in a list of ${size}`);
  return (list.bits[index >> 3] & (0x80 >> (index % 8))) !== 0;
}

// The bytes of an `encodedList`: GZIP in base64url.
async function unpacked(encoded) {
  const wrong = (detail) => new TallyError("status.encoding", detail);
  if (typeof encoded !== "string" || !/^u[A-Za-z0-9_-]+$/.test(encoded)) {
    throw wrong("encodedList is not base64url behind a 'u'");
  }
  let packed;
  try {
    const binary = atob(encoded.slice(1).replaceAll("-", "+").replaceAll("_", "/"));
    packed = Uint8Array.from(binary, (c) => c.charCodeAt(0));
  } catch {
    throw wrong("encodedList is not GZIP in base64url");
  }
  const most = LIMITS.statusEntries / 8;
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const reader = stream.getReader();
  const pieces = [];
  let length = 0;
  try {
    // stops a few bytes that unpack to gigabytes: what is beyond the limit is never kept
    for (let step = await reader.read(); !step.done; step = await reader.read()) {
      pieces.push(step.value);
      length += step.value.length;
      if (length > most) break;
    }
  } catch {
    throw wrong("encodedList is not GZIP in base64url, is cut off, or something follows it");
  } finally {
    reader.cancel().catch(() => {});
  }
  if (length > most) throw new TallyError("status.too-long", `more than ${LIMITS.statusEntries} entries`);
  if (length * 8 < FEWEST) {
    throw new TallyError("status.size", `${length * 8} entries, a list has 131,072 to 1,048,576`);
  }
  return joined(...pieces);
}

// Number and purpose in the id of a list.
function numbered(id) {
  const match = LIST_ID.exec(id);
  if (!match || Number(match[1]) > LIMITS.statusLists || !PURPOSES.includes(match[2])) {
    throw new TallyError("status.id", `${JSON.stringify(id.slice(0, 128))} is not the id of a status list`);
  }
  return { number: Number(match[1]), purpose: match[2] };
}

function within(map, names) {
  return [...map.keys()].every((name) => names.includes(name));
}
