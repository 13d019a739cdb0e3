// A gateway's acknowledgement (docs/format.md, section 6): it names the newest record of a device that the gateway holds.

import { milestoneRef } from "./body.js";
import { hex } from "./bytes.js";
import { decodeCbor } from "./cbor.js";
import { TYP, parseSigned } from "./cose.js";
import { TallyError } from "./errors.js";
import { octets, optionalOctets, uint } from "./fields.js";
import { LIMITS } from "./limits.js";

export async function parseAcknowledgement(raw) {
  const signed = await parseSigned(raw, TYP.acknowledgement);
  const fields = decodeCbor(signed.payload);
  if (!Array.isArray(fields) || fields.length !== 9) {
    throw new TallyError("message.shape", "acknowledgement: not an array of 9");
  }
  const [device, upto, id, missing, time, size, root, milestone, nonce] = fields;
  if ((upto === null) !== (id === null)) {
    throw new TallyError("message.acknowledgement", "upto and id come together");
  }
  const made = {
    signed,
    device: hex(octets(device, "device id", 8)),
    upto: upto === null ? null : uint(upto, "upto", LIMITS.seq),
    id: id === null ? null : hex(optionalOctets(id, "id", 32)),
  };
  checkRanges(missing);
  uint(time, "time", LIMITS.time);
  uint(size, "size", LIMITS.treeSize);
  octets(root, "root", 32);
  milestoneRef(milestone);
  octets(nonce, "nonce", 16);
  return made;
}

function checkRanges(value) {
  if (!Array.isArray(value) || value.length > LIMITS.missingRanges) {
    throw new TallyError("message.missing", "missing is an array of at most 16 ranges");
  }
  let next = 0;
  for (const item of value) {
    if (!Array.isArray(item) || item.length !== 2) {
      throw new TallyError("message.missing", "a range is [from, to]");
    }
    const [first, last] = item.map((end) => uint(end, "missing", LIMITS.seq));
    if (last < first || first < next) {
      throw new TallyError("message.missing", "ranges are ascending and disjoint");
    }
    next = last + 1;
  }
}
