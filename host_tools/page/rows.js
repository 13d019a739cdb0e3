// Readings as rows: a time and a value of each channel, scaled exactly by the signed `open` in force.

import { KIND } from "./body.js";
import { CLOCK_UNSET_BELOW } from "./record.js";
import { opensOf } from "./state.js";
import { momentMs, scaled } from "./words.js";

// Tables of at most `limit` rows in all: [{channels: [text], rows: [[time, value, ...]]}], one for each run of
// records with the same channels, and how many readings there are.
export function readingTables(proof, limit) {
  const opens = opensOf(proof);
  const tables = [];
  let shown = 0;
  let all = 0;
  for (const record of proof.records) {
    if (record.kind !== KIND.readings) continue;
    all += record.body.count;
    const channels = opens.get(record.body.boot)?.body.channels ?? null;
    if (shown >= limit || channels?.length !== record.body.columns.length) continue;
    const names = channels.map(({ name, unit }) => (unit ? `${name} (${unit})` : name));
    if (tables.at(-1)?.channels.join("\n") !== names.join("\n")) {
      tables.push({ channels: names, rows: [] });
    }
    const { tickMs } = opens.get(record.body.boot).body;
    let ticks = 0;
    for (let i = 0; i < record.body.count && shown < limit; i++, shown++) {
      if (i) ticks += record.body.steps[i - 1];
      const values = record.body.columns.map((column, c) =>
        column[i] === null ? "" : scaled(column[i], channels[c].exponent),
      );
      tables.at(-1).rows.push([timeOf(record, ticks * tickMs), ...values]);
    }
  }
  return { tables, shown, all };
}

function timeOf(record, afterMs) {
  if (record.time >= CLOCK_UNSET_BELOW) return momentMs(record.time * 1000 + afterMs);
  return `start + ${record.time + afterMs / 1000} s`;
}
