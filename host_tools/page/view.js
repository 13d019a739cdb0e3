// A verdict as elements of the page. What comes out of a file is set as text, never as markup.

import CHECKS from "./checks.json" with { type: "json" };
import { readingTables } from "./rows.js";
import { capital, moment, notProven, runsOf, sentenceOf } from "./words.js";

const ROWS = 500;

export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

export function verdictCard(file, verdict, digest) {
  const title = el("div", { class: "head" }, badge(verdict.status), el("h2", {}, file));
  const card = el(
    "article",
    { class: `card verdict ${verdict.status}`, "data-file": file, "data-status": verdict.status },
    title,
    el("p", { class: "sentence" }, capital(sentenceOf(verdict))),
    ...boundsOf(verdict),
    checksTable(verdict),
    ...list("Bad records", verdict.bad?.length ? [runsOf(verdict.bad)] : []),
    ...list("Warnings", verdict.warnings),
    ...list("What this does not prove", notProven(verdict)),
    ...list("Notes", verdict.notes),
  );
  if (verdict.proof) card.append(readingsOf(verdict), factsOf(verdict, digest));
  return card;
}

export function faultCard(file, error) {
  const detail = error.code ? `${error.code}: ${error.detail}` : String(error);
  return el(
    "article",
    { class: "card verdict UNDECIDED", "data-file": file, "data-status": "UNDECIDED" },
    el("div", { class: "head" }, badge("UNDECIDED"), el("h2", {}, file)),
    el("p", { class: "sentence" }, `It could not be decided: ${detail}.`),
  );
}

// What lies between the files of a device and is not at hand.
export function betweenCard(lines) {
  return el("article", { class: "card between" }, ...list("Between the files", lines));
}

function badge(status) {
  return el("span", { class: "badge" }, status);
}

function boundsOf(verdict) {
  const lines = [];
  if (verdict.notBefore !== null && verdict.notBefore !== undefined) {
    lines.push(`Not before ${moment(verdict.notBefore)}`);
  }
  if (verdict.notAfter !== null && verdict.notAfter !== undefined) {
    lines.push(`Not after ${moment(verdict.notAfter)}`);
  }
  if (!lines.length) return [];
  return [el("p", { class: "soft" }, `${lines.join(" \u00b7 ")}, by the ledger's clock`)];
}

function checksTable(verdict) {
  const rows = verdict.checks.map(({ code, result, detail }) => {
    const title = CHECKS[code] ?? code;
    return el(
      "tr",
      { class: result, "data-code": code, "data-result": result },
      el("td", { class: "result" }, result),
      el(
        "td",
        {},
        el("div", {}, title),
        el("div", { class: "detail" }, el("code", {}, code), detail ? ` ${detail}` : ""),
      ),
    );
  });
  return el("section", {}, el("h3", {}, "Checks"), el("table", { class: "checks" }, el("tbody", {}, ...rows)));
}

function list(title, lines) {
  if (!lines.length) return [];
  const items = lines.map((line) => el("li", {}, line));
  return [el("h3", {}, title), el("ul", {}, ...items)];
}

function readingsOf(verdict) {
  const box = el("details", { class: "readings" }, el("summary", {}, `Readings (${verdict.readings})`));
  const fill = () => box.append(...readingsTables(verdict.proof));
  if (verdict.status === "VERIFIED") fill();
  else {
    const ask = el("button", { type: "button" }, "Show the values all the same");
    const warn = el("p", {}, "They are not verified: nobody vouches for what stands here.");
    ask.addEventListener("click", () => {
      ask.remove();
      fill();
    });
    box.append(warn, ask);
  }
  return box;
}

function readingsTables(proof) {
  const { tables, shown, all } = readingTables(proof, ROWS);
  const made = tables.map(({ channels, rows }) => {
    const head = el("tr", {}, el("th", {}, "Time, by the board's clock"));
    for (const name of channels) head.append(el("th", { class: "number" }, name));
    const body = rows.map(([time, ...values]) => {
      const row = el("tr", {}, el("td", { class: "moment" }, time));
      for (const value of values) row.append(el("td", { class: "number" }, value || "\u2013"));
      return row;
    });
    return el("div", { class: "scroll" }, el("table", {}, el("thead", {}, head), el("tbody", {}, ...body)));
  });
  if (shown < all) made.push(el("p", { class: "soft" }, `The first ${shown} of ${all}.`));
  return made;
}

function factsOf(verdict, digest) {
  const { proof } = verdict;
  const facts = [
    ["Device", verdict.device],
    ["Issuer", verdict.issuer],
    ["Log", `${verdict.gateway}, ${proof.checkpoint.size} records`],
    ["Ledger", verdict.ledger ?? "\u2013"],
    ["Milestone", proof.anchor ? `${proof.anchor.milestone.index}, ${proof.anchor.milestone.id}` : "\u2013"],
    ["Records", `${proof.records.length}, seq ${verdict.first} to ${verdict.last}`],
    ["Record ids", proof.records.slice(0, 4).map((one) => one.id).join(" ") + (proof.records.length > 4 ? " \u2026" : "")],
    ["SHA-256 of the proof file", digest],
  ];
  const items = facts.flatMap(([name, value]) => [el("dt", {}, name), el("dd", { class: "mono" }, value ?? "\u2013")]);
  return el("details", {}, el("summary", {}, "Names and hashes"), el("dl", {}, ...items));
}
