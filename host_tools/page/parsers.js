// A reader for each kind of object that a proof or a policy holds, by the names of the shared vectors.

import { parseBlock, parseConfirmed, parseMilestone } from "./block.js";
import { decodeText } from "./bytes.js";
import { decodeCbor } from "./cbor.js";
import { parseCredential } from "./credential.js";
import { keyOfDid } from "./did.js";
import { parseJson } from "./json.js";
import { ED25519, ESP256, PublicKey } from "./keys.js";
import { parseCheckpoint, parseVerifierKey } from "./note.js";
import { parseAcknowledgement } from "./message.js";
import { parseProof } from "./proof.js";
import { parseRecord } from "./record.js";
import { parseStatement } from "./statement.js";
import { parseStatusList } from "./statuslist.js";

export const parsers = Object.freeze({
  cbor: decodeCbor,
  record: parseRecord,
  checkpoint: parseCheckpoint,
  acknowledgement: parseAcknowledgement,
  block: parseBlock,
  milestone: parseMilestone,
  confirmed: parseConfirmed,
  statement: parseStatement,
  credential: parseCredential,
  json: parseJson,
  "status list": (raw) => parseStatusList(parseJson(raw)),
  proof: parseProof,
  did: (raw) => keyOfDid(decodeText(raw)),
  "ed25519 key": (raw) => PublicKey.from(raw, ED25519),
  "p256 key": (raw) => PublicKey.from(raw, ESP256),
  vkey: (raw) => parseVerifierKey(decodeText(raw)),
});
