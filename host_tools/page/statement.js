// Signed statements about a device, and the rules which of them take effect (docs/format.md, section 9).
// The ledger orders statements and does not judge them; `History` does.

import { decodeText, hex } from "./bytes.js";
import { decodeCbor, isBytes, isInt } from "./cbor.js";
import { TYP, parseSigned } from "./cose.js";
import { INSPECTOR, parseCredential, validAt } from "./credential.js";
import { keyOfDid } from "./did.js";
import { TallyError } from "./errors.js";
import { octets, optionalOctets, textField } from "./fields.js";
import { LIMITS } from "./limits.js";

export const STATEMENT_NAMES = Object.freeze([
  "registered",
  "suspended",
  "resumed",
  "transferred",
  "accepted",
  "stolen",
  "recovered",
  "retired",
  "inspected",
  "replaced",
]);
const ARGUMENTS = { registered: 1, suspended: 1, transferred: 1, inspected: 2, replaced: 1 };
const NAMES_DID = new Set(["registered", "transferred", "replaced"]);
const OWNER_MAY = new Set(["transferred", "stolen", "recovered", "retired"]);

export async function parseStatement(raw) {
  const signed = await parseSigned(raw, TYP.statement, LIMITS.statement);
  const fields = decodeCbor(signed.payload);
  if (!Array.isArray(fields) || fields.length < 4) {
    throw new TallyError("statement.shape", "a statement is [device, ledger, previous, kind, ...]");
  }
  const [device, ledger, previous, number, ...args] = fields;
  if (typeof device !== "string") throw new TallyError("statement.device", "the device is not a DID");
  await keyOfDid(device);
  const kind = isInt(number) ? STATEMENT_NAMES[number] : undefined;
  if (kind === undefined) throw new TallyError("statement.kind", "a kind that is not known");
  if (!args.every(isBytes) || args.length !== (ARGUMENTS[kind] ?? 0)) {
    throw new TallyError("statement.args", `${kind} with other arguments`);
  }
  if (NAMES_DID.has(kind)) await keyOfDid(textField(args[0], "DID", LIMITS.did));
  else if (args.length) textField(args[0], "text", LIMITS.reason);
  const names = optionalOctets(previous, "previous", 32);
  return {
    signed,
    id: hex(signed.id),
    device,
    ledger: hex(octets(ledger, "ledger id", 8)),
    previous: names === null ? null : hex(names),
    kind,
    args,
  };
}

// One device's standing, from its statements in the order of the ledger. A bad statement has no
// effect and says so.
export class History {
  constructor(device, ledger, issuers) {
    this.device = device; // did:key
    this.ledger = ledger; // hex
    this.issuers = issuers; // keys
    this.status = "unknown";
    this.owner = null;
    this.last = null;
    this.seen = new Set(); // ids of all statements so far
    this.beforeTheft = "active";
    this.lastTime = 0;
  }

  // The reason why it had no effect; empty if it took effect.
  async apply(statement, time) {
    const reason = await this.objection(statement, time);
    this.seen.add(statement.id);
    if (!reason) this.take(statement, time);
    return reason;
  }

  // Does one who may speak of this device name a previous statement that was never applied?
  async misses(statement) {
    const speakers = this.owner ? [...this.issuers, await keyOfDid(this.owner)] : this.issuers;
    return (
      statement.device === this.device &&
      statement.ledger === this.ledger &&
      statement.previous !== null &&
      !this.seen.has(statement.previous) &&
      (await signedBy(statement.signed, speakers))
    );
  }

  async objection(statement, time) {
    const { kind } = statement;
    if (statement.device !== this.device || statement.ledger !== this.ledger) {
      return "about another device or for another ledger";
    }
    if (this.status === "retired") return "the device is retired";
    if (statement.previous !== (this.last ? this.last.id : null)) {
      // stops replays, and a second statement at the place of the first
      return "does not follow the last statement that took effect";
    }
    if ((kind === "registered") !== (this.last === null)) {
      return "the first statement, and only that, registers";
    }
    if (!(await this.maySay(statement, time))) return "its signer has no right to say this";
    if (kind === "resumed" && this.status !== "suspended") return "the device is not suspended";
    if (kind === "recovered" && this.status !== "stolen") return "the device is not stolen";
    if (kind === "accepted" && time - this.lastTime > LIMITS.acceptWithinS) {
      return "accepted after more than 30 days";
    }
    return "";
  }

  async maySay(statement, time) {
    const { kind, signed } = statement;
    if (kind === "accepted") {
      if (this.last?.kind !== "transferred") return false;
      return signedBy(signed, [await keyOfDid(decodeText(this.last.args[0]))]);
    }
    if (kind === "inspected") return this.inspected(statement, time);
    const speakers = kind === "transferred" ? [] : [...this.issuers];
    if (OWNER_MAY.has(kind) && this.owner !== null) speakers.push(await keyOfDid(this.owner));
    return signedBy(signed, speakers);
  }

  async inspected(statement, time) {
    let given;
    try {
      given = await parseCredential(statement.args[1]);
    } catch (error) {
      if (error instanceof TallyError) return false;
      throw error;
    }
    return (
      given.role === INSPECTOR &&
      validAt(given, time) &&
      (await signedBy(given.signed, this.issuers)) &&
      (await signedBy(statement.signed, [given.deviceKey]))
    );
  }

  take(statement, time) {
    switch (statement.kind) {
      case "registered":
        [this.status, this.owner] = ["active", decodeText(statement.args[0])];
        break;
      case "accepted":
        this.owner = decodeText(this.last.args[0]);
        break;
      case "suspended":
        this.status = "suspended";
        break;
      case "stolen":
        // stops an owner from ending a suspension by a theft that is over at once
        if (this.status !== "stolen") this.beforeTheft = this.status;
        this.status = "stolen";
        break;
      case "recovered":
        this.status = this.beforeTheft;
        break;
      case "resumed":
        this.status = "active";
        break;
      case "retired":
      case "replaced":
        this.status = "retired";
        break;
    }
    [this.last, this.lastTime] = [statement, time];
  }
}

async function signedBy(signed, keys) {
  for (const key of keys) {
    if (key.name !== signed.kidName) continue;
    try {
      await signed.verify(key);
      return true;
    } catch (error) {
      if (!(error instanceof TallyError)) throw error;
    }
  }
  return false;
}
