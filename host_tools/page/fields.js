// Single fields out of decoded CBOR: the value with its type, or an error that names the field.

import { decodeText, isPrintable } from "./bytes.js";
import { isBytes, isInt } from "./cbor.js";
import { TallyError } from "./errors.js";
import { LIMITS } from "./limits.js";

export function uint(value, what, limit, atLeast = 0) {
  if (!isInt(value) || value < atLeast || value > limit) {
    throw new TallyError("field.range", `${what} is not an integer in ${atLeast}..${limit}`);
  }
  return value;
}

export function octets(value, what, length) {
  if (!isBytes(value) || value.length !== length) {
    throw new TallyError("field.range", `${what} is not a byte string of ${length}`);
  }
  return value;
}

export function optionalOctets(value, what, length) {
  return value === null ? null : octets(value, what, length);
}

// The text in a byte string: UTF-8 that can be shown on one line.
export function textField(value, what, limit = LIMITS.name) {
  if (!isBytes(value) || value.length > limit) {
    throw new TallyError("field.range", `${what} is not a byte string of at most ${limit}`);
  }
  const text = decodeText(value);
  if (text === null) throw new TallyError("field.text", `${what} is not UTF-8`);
  // stops control characters from rewriting what a person reads
  if (!isPrintable(text)) {
    throw new TallyError("field.text", `${what} holds characters that cannot be shown`);
  }
  return text;
}
