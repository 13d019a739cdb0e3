// A credential: what an issuer certifies of a device (docs/format.md, section 10).

import { isPrintable, joined } from "./bytes.js";
import { decodeCbor, isInt } from "./cbor.js";
import { TYP, parseSigned } from "./cose.js";
import { keyOfDid } from "./did.js";
import { TallyError } from "./errors.js";
import { octets, uint } from "./fields.js";
import { ED25519, ESP256, PublicKey } from "./keys.js";
import { LIMITS } from "./limits.js";

const CLAIM = {
  issuer: 1,
  subject: 2,
  expires: 4,
  notBefore: 5,
  confirmation: 8,
  role: -65537,
  status: -65538,
  board: -65539,
};
const KNOWN = new Set(Object.values(CLAIM));
export const INSPECTOR = "inspector";

export async function parseCredential(raw) {
  const signed = await parseSigned(raw, TYP.credential, LIMITS.credential);
  const claims = decodeCbor(signed.payload);
  const fits =
    claims instanceof Map &&
    [CLAIM.issuer, CLAIM.subject, CLAIM.notBefore].every((name) => claims.has(name)) &&
    [...claims.keys()].every((name) => KNOWN.has(name)) &&
    // what is not there has one spelling: it is left out
    [...claims.values()].every((value) => value !== null);
  if (!fits) throw new TallyError("credential.claims", "a claim too few or too many");
  const role = claims.get(CLAIM.role);
  if (role !== undefined && role !== INSPECTOR) {
    throw new TallyError("credential.role", "a role that is not known");
  }
  const subject = didText(claims.get(CLAIM.subject), "sub");
  const deviceKey = await keyOfDid(subject);
  const issuer = didText(claims.get(CLAIM.issuer), "iss");
  const notBefore = uint(claims.get(CLAIM.notBefore), "nbf", LIMITS.time);
  const expires = claims.get(CLAIM.expires);
  const confirmation = claims.get(CLAIM.confirmation);
  return {
    signed,
    issuer,
    subject,
    deviceKey,
    notBefore,
    expires: expires === undefined ? null : uint(expires, "exp", LIMITS.time),
    key: confirmation === undefined ? null : await coseKey(confirmation),
    role: role ?? null,
    status: claims.has(CLAIM.status) ? statusReference(claims.get(CLAIM.status)) : null,
    board: claims.has(CLAIM.board) ? boardKind(claims.get(CLAIM.board)) : null,
  };
}

export function validAt(credential, time) {
  return credential.notBefore <= time && (credential.expires === null || time < credential.expires);
}

function didText(value, what) {
  const good =
    typeof value === "string" &&
    value.startsWith("did:") &&
    value.length <= LIMITS.did &&
    /^[\x00-\x7f]*$/.test(value) &&
    isPrintable(value);
  if (!good) throw new TallyError("credential.did", `${what} is not a DID`);
  return value;
}

function boardKind(value) {
  if (typeof value !== "string" || !/^[A-Za-z0-9._-]{1,32}$/.test(value)) {
    throw new TallyError("credential.board", "a board kind has 1 to 32 of A-Z a-z 0-9 . _ -");
  }
  return value;
}

function statusReference(value) {
  if (!Array.isArray(value) || value.length !== 2) {
    throw new TallyError("credential.status", "a status reference is [list, index]");
  }
  return {
    list: uint(value[0], "status list", LIMITS.statusLists, 1),
    index: uint(value[1], "status index", LIMITS.statusEntries - 1),
  };
}

// RFC 8747 around a COSE_Key of RFC 9053, 7.
async function coseKey(value) {
  const key = value instanceof Map && value.size === 1 ? value.get(1) : null;
  if (!(key instanceof Map)) throw new TallyError("credential.cnf", "cnf holds one COSE_Key");
  const [kty, crv, x, y] = [1, -1, -2, -3].map((label) => key.get(label));
  if (!isInt(kty) || !isInt(crv)) throw new TallyError("credential.cnf", "a COSE_Key has kty and crv");
  if (key.size === 3 && key.has(-2) && kty === 1 && crv === 6) {
    return PublicKey.from(octets(x, "x", 32), ED25519);
  }
  if (key.size === 4 && key.has(-2) && kty === 2 && crv === 1 && typeof y === "boolean") {
    return PublicKey.from(joined(Uint8Array.of(y ? 3 : 2), octets(x, "x", 32)), ESP256);
  }
  throw new TallyError("credential.cnf", "neither an Ed25519 nor a P-256 key");
}
