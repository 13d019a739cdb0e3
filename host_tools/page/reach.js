// How far the files of each device reach: what lies between them and is not at hand, and whether the end of the last
// is cut off.

import { keyOfDid } from "./did.js";
import { TallyError } from "./errors.js";
import { parseAcknowledgement } from "./message.js";
import { plural } from "./words.js";

const SHOWN = 20; // devices
const HOLES = 5;

// {device, head} of an acknowledgement that a gateway of the policy signed.
export async function headOf(bytes, policy) {
  const one = await parseAcknowledgement(bytes);
  const gateway = policy.gateways.find((log) => log.vkey.key.name === one.signed.kidName);
  if (!gateway) {
    throw new TallyError("message.signer", "no gateway of the policy signed this acknowledgement");
  }
  await one.signed.verify(gateway.vkey.key);
  if (one.upto === null) {
    throw new TallyError("message.acknowledgement", "an acknowledgement of nothing names no record");
  }
  const source = `an acknowledgement of ${gateway.vkey.name}`;
  return { device: one.device, head: { seq: one.upto, id: one.id, source } };
}

export class Reach {
  constructor() {
    this.spans = new Map(); // device id to [{first, last, file}]
  }

  async see(file, verdict) {
    if (!verdict.device || verdict.first === undefined) return;
    const { name } = await keyOfDid(verdict.device);
    if (!this.spans.has(name)) this.spans.set(name, []);
    this.spans.get(name).push({ first: verdict.first, last: verdict.last, file });
  }

  // For each device of which later heads are known, those heads, by the file that reaches farthest.
  tails(heads) {
    const found = new Map();
    for (const [device, spans] of this.spans) {
      const known = heads.filter((one) => one.device === device).map((one) => one.head);
      if (known.length) found.set(spans.reduce((a, b) => (b.last > a.last ? b : a)).file, known);
    }
    return found;
  }

  // A line for each device with several files, of which something lies between them.
  summary() {
    const lines = [...this.spans].map(([device, spans]) => lineOf(device, spans)).filter(Boolean);
    const more = lines.length - SHOWN;
    if (more > 0) {
      const rest = `and ${plural(more, "more device")} with records between the files that are not at hand`;
      return [...lines.slice(0, SHOWN), rest];
    }
    return lines;
  }
}

function lineOf(device, spans) {
  const holes = [];
  let end = null;
  for (const { first, last } of [...spans].sort((a, b) => a.first - b.first || a.last - b.last)) {
    if (end !== null && first > end + 1) holes.push([end + 1, first - 1]);
    end = end === null ? last : Math.max(end, last);
  }
  if (!holes.length) return "";
  const missing = holes.reduce((sum, [first, last]) => sum + last - first + 1, 0);
  const where = holes.slice(0, HOLES).map(([first, last]) => (first === last ? `${first}` : `${first}..${last}`));
  const rest = holes.length > HOLES ? ", ..." : "";
  return `board ${device}: between the files, ${plural(missing, "record")} not at hand: seq ${where.join(", ")}${rest}`;
}
