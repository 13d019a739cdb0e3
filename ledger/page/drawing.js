// The DAG as a drawing: a block stands right of its parents, milestones on the first line.

const STEP = 44;
const LANE = 34;
const MARGIN = 28;
const SVG = "http://www.w3.org/2000/svg";

/** Columns and lanes of `blocks` (in order of arrival, so that parents come first): {id: {x, y, block}}. */
export function place(blocks) {
  const spots = new Map();
  const taken = new Map();
  for (const block of blocks) {
    const parents = block.parents.map((id) => spots.get(id)).filter(Boolean);
    const column = parents.reduce((most, one) => Math.max(most, one.column + 1), 0);
    const used = taken.get(column) ?? new Set();
    taken.set(column, used);
    let lane = 0;
    if (block.kind !== "milestone" && block.kind !== "genesis") {
      lane = Math.max(1, Math.round(parents.reduce((sum, one) => sum + one.lane, 0) / (parents.length || 1)));
      // the nearest free lane
      for (let off = 0; used.has(lane); off = off > 0 ? -off : 1 - off) {
        if (!used.has(lane + off) && lane + off > 0) { lane += off; break; }
      }
    }
    used.add(lane);
    spots.set(block.id, { block, column, lane, x: MARGIN + column * STEP, y: MARGIN + lane * LANE });
  }
  return spots;
}

function make(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

const SHAPES = {
  milestone: () => make("rect", { x: -9, y: -9, width: 18, height: 18, rx: 3 }),
  anchor: () => make("circle", { r: 9 }),
  statement: () => make("path", { d: "M0-10 10 8-10 8z" }),
  genesis: () => make("path", { d: "M0-11 11 0 0 11-11 0z" }),
};

/** Draw `blocks` into `svg`; `chosen` is the id of one of them or null. */
export function draw(svg, blocks, chosen, choose) {
  const spots = place(blocks);
  const edges = make("g", { class: "edges" });
  const nodes = make("g", {});
  let width = 0, height = 0;
  for (const { block, x, y } of spots.values()) {
    width = Math.max(width, x + MARGIN);
    height = Math.max(height, y + MARGIN);
    for (const parent of block.parents) {
      const end = spots.get(parent);
      if (end === undefined) continue;
      const mark = chosen === block.id || chosen === parent ? "chosen" : "";
      edges.append(make("line", { x1: x, y1: y, x2: end.x, y2: end.y, class: mark }));
    }
    nodes.append(node(block, x, y, block.id === chosen, choose));
  }
  svg.setAttribute("width", width);
  svg.setAttribute("height", height);
  svg.replaceChildren(edges, nodes);
  return spots;
}

function node(block, x, y, isChosen, choose) {
  const state = block.position === null ? "pending" : "confirmed";
  const group = make("g", {
    class: `node ${block.kind} ${state}${isChosen ? " chosen" : ""}`,
    transform: `translate(${x} ${y})`,
    tabindex: "0",
    role: "button",
    "data-id": block.id,
    "aria-label": `${block.says ?? block.kind}, ${state === "pending" ? "waiting" : `position ${block.position}`}`,
  });
  const title = make("title", {});
  title.textContent = `${block.says ?? "pruned"}\n${block.id}`;
  group.append(title, SHAPES[block.kind]());
  if (block.kind === "milestone") {
    const label = make("text", { y: -13 });
    label.textContent = (block.says ?? "").replace("milestone ", "");
    group.append(label);
  }
  group.addEventListener("click", () => choose(block.id));
  group.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); choose(block.id); }
  });
  return group;
}
