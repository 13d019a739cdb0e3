// JSON, read strictly and written in its one canonical form (RFC 8785, JCS). What other readers take for something
// else is refused: duplicate names, NaN, integers beyond 2^53 - 1, half surrogate pairs, too deep a nesting, and
// anything left over. The browser's own reader passes over the first two.

import { decodeText } from "./bytes.js";
import { TallyError } from "./errors.js";
import { LIMITS } from "./limits.js";

const STRUCTURE = /"(?:[^"\\]|\\.)*"|[[\]{}]/gs; // a text, or where a level begins or ends
const NUMBER = /-?(?:0|[1-9][0-9]*)(?<more>(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)/y;
const TEXT = /"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const SPACE = /[ \t\n\r]*/y;
const WORDS = [
  ["true", true],
  ["false", false],
  ["null", null],
];
const NO_NUMBERS = ["NaN", "Infinity", "-Infinity"];

// The JSON object in `bytes`, its members in a Map.
export function parseJson(bytes) {
  if (bytes.length > LIMITS.json) {
    throw new TallyError("json.too-long", `${bytes.length} bytes, the limit is ${LIMITS.json}`);
  }
  const text = decodeText(bytes);
  if (text === null) throw notJson("not JSON in UTF-8");
  checkDepth(text);
  const value = new JsonReader(text).whole();
  if (!(value instanceof Map)) throw notJson("not a JSON object");
  canonicalJson(value); // stops what has no canonical form, and so no signature
  return value;
}

// The canonical form of a value, as text.
export function canonicalJson(value) {
  if (typeof value === "string") {
    if (!value.isWellFormed()) throw new TallyError("json.canonical", "a value without a canonical form");
    return JSON.stringify(value);
  }
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join()}]`;
  if (value instanceof Map) {
    // by UTF-16 code units, which is how strings compare here
    const names = [...value.keys()].sort();
    return `{${names.map((name) => `${canonicalJson(name)}:${canonicalJson(value.get(name))}`).join()}}`;
  }
  return JSON.stringify(value);
}

function checkDepth(text) {
  let depth = 0;
  for (const [sign] of text.matchAll(STRUCTURE)) {
    if (sign === "[" || sign === "{") depth += 1;
    if (sign === "]" || sign === "}") depth -= 1;
    if (depth > LIMITS.jsonDepth) {
      throw new TallyError("json.too-deep", `more than ${LIMITS.jsonDepth} levels`);
    }
  }
}

function notJson(detail = "not JSON in UTF-8") {
  return new TallyError("json.malformed", detail);
}

class JsonReader {
  constructor(text) {
    this.text = text;
    this.at = 0;
  }

  whole() {
    this.take(SPACE);
    const value = this.value();
    this.take(SPACE);
    if (this.at !== this.text.length) throw notJson();
    return value;
  }

  value() {
    const sign = this.text[this.at];
    if (sign === "{") return this.object();
    if (sign === "[") return this.array();
    if (sign === '"') return this.string();
    for (const [word, value] of WORDS) if (this.skips(word)) return value;
    for (const word of NO_NUMBERS) {
      if (this.skips(word)) throw new TallyError("json.number", `${word} is no number of JSON`);
    }
    return this.number();
  }

  object() {
    const pairs = this.list("}", () => {
      if (this.text[this.at] !== '"') throw notJson();
      const name = this.string();
      this.take(SPACE);
      if (!this.skips(":")) throw notJson();
      this.take(SPACE);
      return [name, this.value()];
    });
    const found = new Map(pairs);
    // stops a document that means one thing to the reader of the first name, another to that of the last
    if (found.size !== pairs.length) {
      throw new TallyError("json.duplicate", "a name stands twice in one object");
    }
    return found;
  }

  array() {
    return this.list("]", () => this.value());
  }

  list(end, item) {
    const found = [];
    this.at += 1;
    this.take(SPACE);
    if (this.skips(end)) return found;
    for (;;) {
      found.push(item());
      this.take(SPACE);
      if (this.skips(end)) return found;
      if (!this.skips(",")) throw notJson();
      this.take(SPACE);
    }
  }

  string() {
    const found = this.take(TEXT);
    if (!found) throw notJson();
    return JSON.parse(found[0]);
  }

  number() {
    const found = this.take(NUMBER);
    if (!found) throw notJson();
    const value = Number(found[0]);
    if (found.groups.more) {
      if (!Number.isFinite(value)) throw new TallyError("json.number", "a number that is too large");
    } else if (!Number.isSafeInteger(value)) {
      throw new TallyError("json.number", "an integer beyond 2^53 - 1");
    }
    return value;
  }

  take(form) {
    form.lastIndex = this.at;
    const found = form.exec(this.text);
    if (found) this.at = form.lastIndex;
    return found;
  }

  skips(word) {
    const there = this.text.startsWith(word, this.at);
    if (there) this.at += word.length;
    return there;
  }
}
