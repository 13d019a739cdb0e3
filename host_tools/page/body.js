// What a record says: open, readings, beacon, event, rotate (docs/format.md, section 4).

import { isBytes, isInt } from "./cbor.js";
import { TallyError } from "./errors.js";
import { octets, optionalOctets, textField, uint } from "./fields.js";
import { PublicKey } from "./keys.js";
import { LIMITS } from "./limits.js";

export const KIND = Object.freeze({ open: 0, readings: 1, beacon: 2, event: 3, rotate: 4 });
export const KIND_NAMES = Object.freeze(Object.keys(KIND));
export const EVENT = Object.freeze({
  clock: 0,
  dropped: 1,
  pruned: 2,
  adopted: 3,
  config: 4,
  sensor: 5,
  update: 6,
  tamper: 7,
});
const CLOCKS = 5; // the highest source of time
const INT64 = [-(2n ** 63n), 2n ** 63n - 1n];

export async function parseBody(kind, fields, seq) {
  switch (kind) {
    case KIND.open:
      return openBody(fields);
    case KIND.readings:
      return readingsBody(fields, seq);
    case KIND.beacon:
      return beaconBody(fields);
    case KIND.event:
      return eventBody(fields, seq);
    default:
      return rotateBody(fields);
  }
}

function openBody(fields) {
  if (fields.length !== 9) throw new TallyError("record.shape", "an open has 9 fields");
  const [boots, version, digest, clock, fingerprint, channels, tick, milestone, checkpoint] = fields;
  if (!Array.isArray(channels) || channels.length < 1 || channels.length > LIMITS.channels) {
    throw new TallyError("record.channels", "an open has 1 to 16 channels");
  }
  return {
    boots: uint(boots, "boots", LIMITS.seq),
    version: textField(version, "version"),
    digest: octets(digest, "digest", 16),
    clock: uint(clock, "clock", CLOCKS),
    fingerprint: optionalOctets(fingerprint, "fingerprint", 16),
    channels: channels.map(channelOf),
    tickMs: uint(tick, "tick", LIMITS.time, 1),
    milestone: milestoneRef(milestone),
    checkpoint: checkpointRef(checkpoint),
  };
}

function channelOf(value) {
  if (!Array.isArray(value) || value.length !== 3) {
    throw new TallyError("record.channels", "a channel is [name, unit, exponent]");
  }
  const [name, unit, exponent] = value;
  if (!isInt(exponent) || exponent < -LIMITS.exponent || exponent > LIMITS.exponent) {
    throw new TallyError("record.channels", "an exponent is not in -30..30");
  }
  return { name: textField(name, "channel name"), unit: textField(unit, "unit"), exponent };
}

function readingsBody(fields, seq) {
  if (fields.length < 3 || fields.length > 2 + LIMITS.channels) {
    throw new TallyError("record.shape", "readings have boot, interval and 1 to 16 columns");
  }
  const boot = uint(fields[0], "boot", seq ? seq - 1 : 0);
  const columns = fields.slice(2).map(columnOf);
  const count = columns[0].length;
  if (columns.some((column) => column.length !== count)) {
    throw new TallyError("record.columns", "columns of different length");
  }
  const interval = fields[1];
  if (Array.isArray(interval)) {
    const steps = interval.map((step) => uint(step, "interval", LIMITS.time));
    if (steps.length !== count - 1 || !steps.length) {
      throw new TallyError("record.interval", `${steps.length} intervals for ${count} readings`);
    }
    return { boot, steps, columns, count };
  }
  const step = uint(interval, "interval", LIMITS.time);
  // one reading has one spelling
  if (count === 1 && step !== 0) {
    throw new TallyError("record.interval", "one reading has interval 0");
  }
  return { boot, steps: Array(count - 1).fill(step), columns, count };
}

// The first value, then differences to the last value that was there; BigInt values, or null.
function columnOf(value) {
  if (!Array.isArray(value) || !value.length) {
    throw new TallyError("record.columns", "a column is an array of integers and null");
  }
  if (value.length > LIMITS.readings) {
    throw new TallyError("record.columns", `${value.length} readings, the limit is 1024`);
  }
  let last = 0n;
  return value.map((item) => {
    if (item === null) return null;
    if (!isInt(item)) {
      throw new TallyError("record.columns", "a column is an array of integers and null");
    }
    last += BigInt(item);
    for (const one of [BigInt(item), last]) {
      if (one < INT64[0] || one > INT64[1]) {
        throw new TallyError("record.columns", "a value or difference beyond 64 bits");
      }
    }
    return last;
  });
}

function beaconBody(fields) {
  if (fields.length !== 4) throw new TallyError("record.shape", "a beacon has 4 fields");
  const [milestone, checkpoint, nonce, queue] = fields;
  return {
    milestone: milestoneRef(milestone),
    checkpoint: checkpointRef(checkpoint),
    nonce: optionalOctets(nonce, "nonce", 16),
    queue: uint(queue, "queue", LIMITS.seq),
  };
}

function eventBody(fields, seq) {
  if (fields.length > 1 + LIMITS.eventArgs) {
    throw new TallyError("record.event", `${fields.length - 1} arguments, the limit is 16`);
  }
  const [first, ...args] = fields;
  const code = uint(first, "event code", 2 ** 32 - 1);
  switch (code) {
    case EVENT.clock:
      eventArgs(args, 3, 0);
      uint(args[2], "clock", CLOCKS);
      break;
    case EVENT.dropped:
    case EVENT.pruned: {
      eventArgs(args, 2, 0);
      const [from, to] = args.map((arg) => uint(arg, "seq", LIMITS.seq));
      // stops an event from giving up what is yet to come, its own number included
      if (!(from <= to && to < seq)) {
        throw new TallyError("record.event", `gives up ${from}..${to} at seq ${seq}`);
      }
      break;
    }
    case EVENT.adopted:
      eventArgs(args, 3, 1);
      octets(args[1], "gateway id", 8);
      if (uint(args[0], "upto", LIMITS.seq) !== seq - 1) {
        throw new TallyError("record.event", `adopts ${args[0]} at seq ${seq}`);
      }
      break;
    case EVENT.config:
      eventArgs(args, 1, 1);
      octets(args[0], "digest", 16);
      break;
    case EVENT.sensor:
      eventArgs(args, 2, 0);
      uint(args[1], "sensor state", 2);
      break;
    case EVENT.update:
      eventArgs(args, 3, 2);
      textField(args[0], "version before");
      textField(args[1], "version after");
      uint(args[2], "update state", 1);
      break;
    case EVENT.tamper:
      eventArgs(args, 2, 0);
      break;
  }
  return { code, args };
}

// `count` arguments, `strings` of them byte strings, the rest unsigned integers.
function eventArgs(args, count, strings) {
  const held = args.filter(isBytes).length;
  const uints = args.filter((arg) => isInt(arg) && arg >= 0).length;
  if (args.length !== count || held !== strings || uints !== count - strings) {
    throw new TallyError("record.event", "a known event with other arguments");
  }
}

async function rotateBody(fields) {
  if (fields.length !== 3) throw new TallyError("record.shape", "a rotate has 3 fields");
  const [alg, raw, possession] = fields;
  if (!isInt(alg) || !isBytes(raw)) {
    throw new TallyError("record.rotate", "a rotate is [alg, key, possession]");
  }
  let key;
  try {
    key = await PublicKey.from(raw, alg);
  } catch (error) {
    if (!(error instanceof TallyError)) throw error;
    throw new TallyError("record.rotate", `the new key is refused: ${error.detail}`);
  }
  return { key, possession: octets(possession, "possession", 64) };
}

export function milestoneRef(value) {
  if (value === null) return null;
  if (!Array.isArray(value) || value.length !== 2) {
    throw new TallyError("record.milestone", "a milestone is [ledger id, milestone id]");
  }
  return { ledger: octets(value[0], "ledger id", 8), id: octets(value[1], "milestone id", 32) };
}

export function checkpointRef(value) {
  if (value === null) return null;
  if (!Array.isArray(value) || value.length !== 3) {
    throw new TallyError("record.checkpoint", "a checkpoint is [gateway id, size, root]");
  }
  return {
    gateway: octets(value[0], "gateway id", 8),
    size: uint(value[1], "size", LIMITS.treeSize),
    root: octets(value[2], "root", 32),
  };
}
