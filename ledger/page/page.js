// The page: asks its own node for the newest blocks every two seconds, and for one block when it is chosen.
import { draw } from "/page/drawing.js";

const EVERY_MS = 2000;
const SHOWN = 240;
const get = (id) => document.getElementById(id);

let seen = null; // the last answer that was drawn
let before = null; // arrival before which older blocks are shown; null: the newest
let chosen = /^#[0-9a-f]{64}$/.test(location.hash) ? location.hash.slice(1) : null;
let confirmedWhenShown = null;

async function ask(path) {
  const answer = await fetch(path);
  if (!answer.ok) {
    const why = await answer.json().catch(() => ({ detail: `status ${answer.status}` }));
    throw new Error(why.detail);
  }
  return answer.json();
}

const clock = (seconds) => (seconds === null || seconds === undefined ? "–" : new Date(seconds * 1000).toISOString().replace("T", " ").replace(".000Z", " UTC"));

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

// ---- the graph

async function refresh() {
  try {
    const dag = await ask(`/v1/dag?limit=${SHOWN}${before === null ? "" : `&before=${before}`}`);
    get("stale").hidden = true;
    show(dag);
  } catch (error) {
    get("stale").textContent = `No answer from the node (${error.message}): this is what it last said.`;
    get("stale").hidden = false;
  }
}

function show(dag) {
  get("ledger").textContent = dag.ledger;
  get("index").textContent = dag.index;
  get("size").textContent = `${dag.size} blocks`;
  get("pending").textContent = dag.pending;
  get("time").textContent = clock(dag.time);
  get("role").textContent = dag.role;
  get("broker").textContent = dag.broker;
  document.title = `Ledger ${dag.ledger}`;
  get("alarm").hidden = dag.forks.length === 0;
  if (dag.forks.length > 0) {
    const { index, code } = dag.forks[0];
    get("alarm").textContent = `This ledger contradicts itself at milestone ${index} (${code}). Nothing after it is taken.`;
  }
  const last = dag.blocks.at(-1);
  const mark = JSON.stringify([dag.index, last?.arrival, before, chosen, dag.blocks.length]);
  if (mark === seen?.mark) return;
  const scroll = get("scroll");
  const atEnd = seen === null || scroll.scrollLeft + scroll.clientWidth >= scroll.scrollWidth - 60;
  seen = { mark, dag };
  draw(get("dag"), dag.blocks, chosen, choose);
  if (atEnd && before === null) scroll.scrollLeft = scroll.scrollWidth;
  get("older").disabled = dag.blocks.length === 0 || dag.blocks[0].arrival <= 1;
  get("newest").disabled = before === null;
  const now = dag.blocks.find((one) => one.id === chosen);
  if (now !== undefined && confirmedWhenShown === false && now.position !== null) showBlock(chosen);
}

function choose(id) {
  chosen = id;
  history.replaceState(null, "", `#${id}`);
  if (seen !== null) show(seen.dag);
  return showBlock(id);
}

// ---- one block

function link(id) {
  const made = element("a", `${id.slice(0, 16)}…`, { href: `#${id}`, class: "hash", title: id });
  made.addEventListener("click", (event) => { event.preventDefault(); choose(id); });
  return made;
}

function table(rows) {
  const made = element("dl");
  for (const [name, value] of rows) {
    const cell = element("dd");
    cell.append(value);
    made.append(element("dt", name), cell);
  }
  return made;
}

function list(name, items, kind = "ul") {
  const made = element(kind);
  for (const item of items) {
    const entry = element("li");
    entry.append(item);
    made.append(entry);
  }
  return items.length === 0 ? [] : [element("h3", name), made];
}

const hash = (text) => element("span", text, { class: "hash" });

async function showBlock(id) {
  const place = get("block");
  let facts;
  try {
    facts = await ask(`/v1/blocks/${id}/view`);
  } catch (error) {
    place.replaceChildren(element("h2", "No such block"), element("p", error.message, { class: "hint" }));
    return;
  }
  if (chosen !== id) return;
  confirmedWhenShown = facts.confirmed !== null || facts.pruned;
  const rows = [["id", hash(facts.id)]];
  if (!facts.pruned) {
    rows.push(["time in it", clock(facts.time)], ["signed by key", hash(facts.signed_by)], ["length", `${facts.bytes} bytes`]);
  }
  const parts = [element("h2", facts.pruned ? "A block that was pruned" : facts.kind), table(rows)];
  if (!facts.pruned) {
    parts.push(element("h3", "What it says"), table(Object.entries(facts.content).map(([name, value]) => [name, hash(String(value))])));
    parts.push(...list("Parents", facts.parents.map(link)));
  }
  parts.push(...list("Children", facts.children.map(link)));
  parts.push(element("h3", "In the ledger"));
  const by = facts.confirmed;
  if (by !== null) {
    const milestone = element("span");
    milestone.append(`${by.milestone}, `, link(by.milestone_id));
    parts.push(table([
      ["position", `${facts.position} of ${by.size}`], ["milestone", milestone], ["not after", clock(by.time)],
      ["root", hash(by.root)], ["cosigned by", by.witnesses.length === 0 ? "nobody" : by.witnesses.join(", ")],
    ]));
    parts.push(...list("Path to the root", by.path.map(hash), "ol"));
  } else if (facts.position !== null) {
    parts.push(table([["position", String(facts.position)]]), element("p", "Its bytes were pruned; the proofs that were given stay valid.", { class: "hint" }));
  } else {
    parts.push(element("p", "Waits for a milestone.", { class: "hint" }));
  }
  place.replaceChildren(...parts);
}

get("older").addEventListener("click", () => { before = seen.dag.blocks[0].arrival; refresh(); });
get("newest").addEventListener("click", () => { before = null; refresh().then(() => { get("scroll").scrollLeft = get("scroll").scrollWidth; }); });
get("find").addEventListener("submit", (event) => {
  event.preventDefault();
  const id = get("wanted").value.trim().toLowerCase();
  if (/^[0-9a-f]{64}$/.test(id)) choose(id);
  else get("block").replaceChildren(element("h2", "No such block"), element("p", "An id has 64 hexadecimal digits.", { class: "hint" }));
});
window.addEventListener("hashchange", () => { if (/^#[0-9a-f]{64}$/.test(location.hash)) choose(location.hash.slice(1)); });

await refresh();
if (chosen !== null) await showBlock(chosen);
setInterval(() => { if (!document.hidden) refresh(); }, EVERY_MS);
