// TOML 1.0 as far as a policy needs it: tables, arrays of tables, strings, integers, booleans, arrays,
// inline tables, comments. A float or a date comes out as `Other`: no setting of a policy has one.

import { TallyError } from "./errors.js";

export class Other {
  constructor(text) {
    this.text = text;
  }
}

const ESCAPES = { b: "\b", t: "\t", n: "\n", f: "\f", r: "\r", '"': '"', "\\": "\\" };
const DEPTH = 32;

// The table of `text` as objects without a prototype; `policy.toml` with the line otherwise.
export function parseToml(text) {
  return new TomlReader(text.replaceAll("\r\n", "\n")).document();
}

class TomlReader {
  constructor(text) {
    this.text = text;
    this.at = 0;
    this.closed = new Set(); // tables and arrays that may not be written to again
    this.named = new Set(); // tables that a header has opened
    this.lists = new Set(); // arrays of tables
  }

  document() {
    const root = table();
    let current = root;
    for (this.blank(); this.at < this.text.length; this.blank()) {
      if (this.text[this.at] === "[") current = this.header(root);
      else this.pair(current);
      this.spaces();
      this.comment();
      if (this.at < this.text.length && this.text[this.at] !== "\n") this.fail("more on the line");
    }
    return root;
  }

  header(root) {
    const list = this.text.startsWith("[[", this.at);
    this.at += list ? 2 : 1;
    const path = this.keys();
    this.expect(list ? "]]" : "]");
    const last = path.pop();
    let inside = root;
    for (const key of path) inside = this.descend(inside, key);
    if (list) {
      inside[last] ??= this.newList();
      if (!this.lists.has(inside[last])) this.fail(`${last} is no list of tables`);
      inside[last].push(table());
      return inside[last].at(-1);
    }
    inside[last] ??= table();
    const found = inside[last];
    if (!isTable(found) || this.closed.has(found) || this.named.has(found)) {
      this.fail(`${last} stands twice`);
    }
    this.named.add(found);
    return found;
  }

  newList() {
    const list = [];
    this.lists.add(list);
    return list;
  }

  descend(inside, key) {
    inside[key] ??= table();
    const found = this.lists.has(inside[key]) ? inside[key].at(-1) : inside[key];
    if (!isTable(found) || this.closed.has(found)) this.fail(`${key} is not a table`);
    return found;
  }

  pair(inside) {
    const path = this.keys();
    this.expect("=");
    this.spaces();
    const last = path.pop();
    for (const key of path) {
      inside = this.descend(inside, key);
      this.named.add(inside);
    }
    if (last in inside) this.fail(`${last} stands twice`);
    inside[last] = this.value(0);
  }

  keys() {
    const path = [];
    do {
      if (path.length) this.at++;
      this.spaces();
      const quote = this.text[this.at];
      if (quote === '"' || quote === "'") {
        path.push(this.string());
      } else {
        const bare = this.match(/[A-Za-z0-9_-]+/y);
        if (!bare) this.fail("a key is missing");
        path.push(bare);
      }
      this.spaces();
    } while (this.text[this.at] === ".");
    return path;
  }

  value(depth) {
    if (depth > DEPTH) this.fail("nested too deep");
    const c = this.text[this.at];
    if (c === '"' || c === "'") return this.string();
    if (c === "[") return this.array(depth);
    if (c === "{") return this.inline(depth);
    const word = this.match(/[A-Za-z0-9_+.:-]+/y) ?? this.fail("a value is missing");
    if (word === "true" || word === "false") return word === "true";
    if (/^[+-]?(0|[1-9](_?[0-9])*)$/.test(word)) return integer(word.replaceAll("_", ""));
    if (/^0(x[0-9A-Fa-f](_?[0-9A-Fa-f])*|o[0-7](_?[0-7])*|b[01](_?[01])*)$/.test(word)) {
      return integer(word.replaceAll("_", ""));
    }
    const number = /^[+-]?((0|[1-9](_?[0-9])*)(\.[0-9](_?[0-9])*)?([eE][+-]?[0-9](_?[0-9])*)?|inf|nan)$/;
    const time = /^([0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{2}:[0-9]{2}:[0-9]{2})/;
    if (number.test(word) || time.test(word)) return new Other(word);
    return this.fail(`${JSON.stringify(word.slice(0, 32))} is no value; text stands in quotes`);
  }

  array(depth) {
    const out = [];
    this.at++;
    for (this.blank(); this.text[this.at] !== "]"; this.blank()) {
      out.push(this.value(depth + 1));
      this.blank();
      if (this.text[this.at] === ",") this.at++;
      else if (this.text[this.at] !== "]") this.fail("a comma or ] is missing");
    }
    this.at++;
    return out;
  }

  inline(depth) {
    const out = table();
    this.at++;
    this.spaces();
    while (this.text[this.at] !== "}") {
      if (Object.keys(out).length) {
        this.expect(",");
        this.spaces();
      }
      const path = this.keys();
      this.expect("=");
      this.spaces();
      const last = path.pop();
      let inside = out;
      for (const key of path) inside = this.descend(inside, key);
      if (last in inside) this.fail(`${last} stands twice`);
      inside[last] = this.value(depth + 1);
      this.spaces();
    }
    this.at++;
    this.closed.add(out);
    return out;
  }

  string() {
    const quote = this.text[this.at];
    const long = this.text.startsWith(quote.repeat(3), this.at);
    this.at += long ? 3 : 1;
    if (long && this.text[this.at] === "\n") this.at++;
    let out = "";
    for (;;) {
      const c = this.text[this.at] ?? this.fail("a string without an end");
      if (c === quote && (!long || this.text.startsWith(quote.repeat(3), this.at))) {
        this.at += long ? 3 : 1;
        // up to two quotes may stand before the three that end it
        for (let i = 0; long && i < 2 && this.text[this.at] === quote; i++, this.at++) out += quote;
        return out;
      }
      if (c === "\\" && quote === '"') {
        out += this.escape(long);
        continue;
      }
      if ((c === "\n" && !long) || /[\x00-\x08\x0b-\x1f\x7f]/.test(c)) {
        this.fail("a line break or control character in a string");
      }
      out += c;
      this.at++;
    }
  }

  escape(long) {
    const c = this.text[this.at + 1];
    if (c === "u" || c === "U") {
      const digits = this.text.slice(this.at + 2, this.at + (c === "u" ? 6 : 10));
      const code = /^([0-9A-Fa-f]{4}|[0-9A-Fa-f]{8})$/.test(digits) ? parseInt(digits, 16) : Infinity;
      if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) this.fail("an escape of no character");
      this.at += 2 + digits.length;
      return String.fromCodePoint(code);
    }
    if (long && /^\\[ \t]*\n/.test(this.text.slice(this.at, this.at + 256))) {
      this.at++;
      this.match(/[ \t\n]+/y);
      return "";
    }
    if (!(c in ESCAPES)) this.fail("an unknown escape");
    this.at += 2;
    return ESCAPES[c];
  }

  // spaces, line breaks and comments
  blank() {
    do this.match(/[ \t\n]+/y);
    while (this.comment());
  }

  spaces() {
    this.match(/[ \t]+/y);
  }

  comment() {
    const text = this.match(/#[^\n]*/y);
    if (text && /[\x00-\x08\x0b-\x1f\x7f]/.test(text)) this.fail("a control character in a comment");
    return text !== null;
  }

  match(pattern) {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text);
    if (!found) return null;
    this.at += found[0].length;
    return found[0];
  }

  expect(mark) {
    if (!this.text.startsWith(mark, this.at)) this.fail(`${mark} is missing`);
    this.at += mark.length;
  }

  fail(why) {
    const line = this.text.slice(0, this.at).split("\n").length;
    throw new TallyError("policy.toml", `not TOML: ${why} (line ${line})`);
  }
}

export function isTable(value) {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === null;
}

function table() {
  return Object.create(null);
}

function integer(text) {
  const sign = text[0] === "-" ? -1n : 1n;
  const big = sign * BigInt(text.replace(/^[+-]/, ""));
  return Number.isSafeInteger(Number(big)) ? Number(big) : big;
}
