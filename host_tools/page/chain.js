// The rules of a chain as a state machine: records in, findings out (docs/format.md, section 5). Ranges
// are [start, stop): `stop` is not in them.

import { TallyError, EvidenceError } from "./errors.js";
import { KIND } from "./body.js";
import { LIMITS } from "./limits.js";
import { genesisOf, givesUp, isAdopted, possessionBytes } from "./record.js";

export class Chain {
  // `start` is the seq where it begins, `periods` the keys in force before it: [{start, key}].
  constructor(firstKey, start, periods) {
    this.firstKey = firstKey;
    this.periods = periods.length ? [...periods] : [{ start: 0, key: firstKey }];
    this.links = new Map(); // seq to {id, prev, kid}
    this.start = start;
    this.top = start - 1; // highest seq in the chain
    this.missing = []; // below top, not there, not given up
    this.givenUp = []; // below top, not there, named by an event
    this.forks = [];
    this.adoptions = new Set();
    this.disowned = new Set();
  }

  keyAt(seq) {
    return keyInForce(this.periods, seq);
  }

  // What becomes of a record whose signature is good: {result, detail}; throws if it is refused.
  async admit(record) {
    const key = this.periods.find((period) => period.key.name === record.kid)?.key;
    if (!key) throw new TallyError("chain.unknown-key", `key ${record.kid} is none of the device`);
    const held = this.links.get(record.seq);
    if (held && held.id === record.id) return { result: "duplicate", detail: "already there" };
    await this.checkPlace(record, key);
    if (this.disowned.has(record.id)) return { result: "duplicate", detail: "already there" };
    const collision = this.collision(record, key, held);
    if (collision) return collision;
    this.extend(record);
    return { result: "admitted", detail: "" };
  }

  // What the device's own key may never sign at this seq, whatever else is there.
  async checkPlace(record, key) {
    const { seq } = record;
    if (seq < this.start) {
      throw new EvidenceError("chain.before-start", `seq ${seq} lies before ${this.start}`);
    }
    const genesis = seq === 0 && (await genesisOf(this.periods[0].key));
    if (seq === 0 && (record.prev !== genesis || record.kind !== KIND.open)) {
      // stops a chain from being spliced onto another device's start
      throw new EvidenceError("chain.genesis", "seq 0 is not an open that starts this device's chain");
    }
    const inForce = this.keyAt(seq);
    if (!key.equals(inForce) && this.order(key) > this.order(inForce)) {
      throw new EvidenceError("chain.key", `key ${key.name} is not in force at seq ${seq}`);
    }
    const starts = this.periods.slice(1).some((period) => period.start === seq);
    if (starts && key.equals(inForce) && record.kind !== KIND.open) {
      throw new EvidenceError("chain.rotate", "the first record of a new key is not an open");
    }
    if (record.kind === KIND.rotate) {
      await checkPossession(this.firstKey.kid, record);
      if (this.periods.some((period) => period.key.name === record.body.key.name)) {
        throw new EvidenceError("chain.rotate", "the new key was a key of this device before");
      }
    }
  }

  order(key) {
    return this.periods.findIndex((period) => period.key.equals(key));
  }

  // Fork or disowned, if another record stands where this one would.
  collision(record, key, held) {
    const { seq } = record;
    if (this.isDisowned(record, held)) {
      this.disowned.add(record.id);
      return { result: "disowned", detail: "the board adopted the chain without it" };
    }
    if (held) return this.fork(seq, record, held, `another record has seq ${seq}`);
    const inForce = this.keyAt(seq);
    if (!key.equals(inForce)) {
      const { start } = this.periods.find((period) => period.key.equals(inForce));
      const rotate = this.links.get(start - 1);
      return this.fork(seq, record, rotate, "signed by a key that was replaced");
    }
    const before = this.links.get(seq - 1);
    if (before && before.id !== record.prev) {
      return this.fork(seq - 1, record, before, `does not continue the record ${seq - 1}`);
    }
    const after = this.links.get(seq + 1);
    if (after && after.prev !== record.id) {
      return this.fork(seq, record, after, `the record ${seq + 1} does not continue it`);
    }
    return null;
  }

  // Was it built on what an adoption left behind? `adopted` itself is never: a second one is a fork.
  isDisowned(record, held) {
    if (this.disowned.has(record.prev)) return true;
    if (isAdopted(record)) return false;
    if (this.adoptions.has(record.seq - 1)) {
      const adopted = this.links.get(record.seq - 1);
      return adopted !== undefined && adopted.id !== record.prev;
    }
    return held !== undefined && this.adoptions.has(record.seq);
  }

  fork(seq, record, first, detail) {
    this.forks.push({ seq, kid: record.kid, first: first?.id ?? "", second: record.id });
    return { result: "fork", detail };
  }

  extend(record) {
    const { seq } = record;
    let missing = without(this.missing, [seq, seq + 1]);
    if (seq > this.top + 1) missing.push([this.top + 1, seq]);
    let givenUp = without(this.givenUp, [seq, seq + 1]);
    const gone = givesUp(record);
    if (gone) {
      const range = [gone[0], gone[1] + 1];
      const named = missing.map((hole) => overlap(range, hole)).filter(([a, b]) => a < b);
      givenUp = [...givenUp, ...named].sort((a, b) => a[0] - b[0]);
      missing = without(missing, range);
    }
    if (missing.length + givenUp.length > LIMITS.ranges) {
      throw new TallyError("chain.ranges", "more gaps than one chain may have");
    }
    [this.missing, this.givenUp, this.top] = [missing, givenUp, Math.max(this.top, seq)];
    this.links.set(seq, { id: record.id, prev: record.prev, kid: record.kid });
    if (isAdopted(record)) this.adoptions.add(seq);
    if (record.kind === KIND.rotate) {
      this.periods.push({ start: seq + 1, key: record.body.key });
      this.periods.sort((a, b) => a.start - b.start);
    }
  }
}

// Which key is in force at `seq`.
export function keyInForce(periods, seq) {
  let found = periods[0].key;
  for (const period of periods) if (period.start <= seq) found = period.key;
  return found;
}

// Which key is in force from which seq, by the `rotate` records in ascending seq, and by the
// credential that has `named` another.
export async function keyPeriods(first, rotations, named) {
  const periods = [{ start: 0, key: first }];
  for (const record of rotations) {
    if (named && named.start <= record.seq && !periods.includes(named)) periods.push(named);
    if (record.seq < periods.at(-1).start) {
      throw new EvidenceError("chain.rotate", "rotations out of order");
    }
    await record.signed.verify(periods.at(-1).key);
    await checkPossession(first.kid, record);
    periods.push({ start: record.seq + 1, key: record.body.key });
  }
  if (named && !periods.includes(named)) periods.push(named);
  return periods;
}

async function checkPossession(device, record) {
  const { key, possession } = record.body;
  try {
    await key.verify(possession, possessionBytes(device, record));
  } catch (error) {
    if (!(error instanceof EvidenceError)) throw error;
    // stops a board from rotating to a key that somebody else holds
    throw new EvidenceError("chain.possession", "the new key did not sign that it is there");
  }
}

function overlap(a, b) {
  return [Math.max(a[0], b[0]), Math.min(a[1], b[1])];
}

function without(holes, gone) {
  return holes
    .flatMap((hole) => [
      [hole[0], Math.min(hole[1], gone[0])],
      [Math.max(hole[0], gone[1]), hole[1]],
    ])
    .filter(([start, stop]) => start < stop);
}
