// Moments as JSON documents write them: 2026-11-20T14:00:00Z (RFC 3339). A stranger's may have a fraction, which is
// cut off, and an offset.

import { TallyError } from "./errors.js";

const FORM =
  /^([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.[0-9]{1,9})?(?:Z|([+-])([0-9]{2}):([0-9]{2}))$/;
const LAST = 253_402_300_799; // the end of the year 9999
const MOST_AHEAD = 14 * 3600;

// Unix seconds of a text.
export function secondsOf(value, what) {
  const match = typeof value === "string" ? FORM.exec(value) : null;
  if (!match) throw new TallyError("field.time", `${what} is not a time like 2026-11-20T14:00:00Z`);
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number);
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  const ahead = match[7] ? (Number(match[8]) * 3600 + Number(match[9]) * 60) * (match[7] === "+" ? 1 : -1) : 0;
  const time = date.getTime() / 1000 + hour * 3600 + minute * 60 + second - ahead;
  // stops 31 February and 24:61 from meaning another moment to another reader
  const exists = date.getUTCMonth() + 1 === month && date.getUTCDate() === day;
  const inADay = hour < 24 && minute < 60 && second < 60 && Math.abs(ahead) <= MOST_AHEAD;
  if (!exists || !inADay || time < 0 || time > LAST) {
    throw new TallyError("field.time", `${what} is no moment from 1970 to 9999`);
  }
  return time;
}
