// Keeps an open page fresh: when the gateway says that something changed, the same address is
// fetched again and the parts that differ are put in. Nothing is sent but reads of this host.
"use strict";

const SHORTEST_MS = 1000; // between two looks
const LONGEST_MS = 20000; // so that ages move on
let looking = false;
let wanted = false;
let lookedAt = 0;
let live = false;

function say() {
  const link = document.getElementById("link");
  link.textContent = live ? "live" : "looking for the gateway";
  link.classList.toggle("on", live);
}

async function look() {
  if (looking) {
    wanted = true;
    return;
  }
  looking = true;
  wanted = false;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" }, cache: "no-store" });
    if (answer.ok) {
      put(new DOMParser().parseFromString(await answer.text(), "text/html"));
    }
  } catch {
    live = false; // the gateway is away: what is shown stays, and says so
  }
  say();
  lookedAt = Date.now();
  looking = false;
  if (wanted) soon();
}

function put(fresh) {
  for (const old of document.querySelectorAll("[data-live]")) {
    const next = fresh.getElementById(old.id);
    if (next !== null && next.outerHTML !== old.outerHTML && !old.contains(document.getSelection().focusNode)) {
      const held = old.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
      const kept = [...old.querySelectorAll(".scroll")].map((one) => one.scrollLeft);
      old.replaceWith(document.adoptNode(next));
      next.querySelectorAll(".scroll").forEach((one, index) => (one.scrollLeft = kept[index] ?? 0));
      if (held !== null) next.querySelector(`a[href="${CSS.escape(held)}"]`)?.focus({ preventScroll: true });
    }
  }
}

let timer = 0;
function soon() {
  clearTimeout(timer);
  timer = setTimeout(look, Math.max(0, lookedAt + SHORTEST_MS - Date.now()));
}

const events = new EventSource("/events");
events.onopen = () => ((live = true), say(), soon());
events.onmessage = soon;
events.onerror = () => ((live = false), say());
setInterval(() => document.hidden || Date.now() - lookedAt < LONGEST_MS || soon(), 1000);
document.addEventListener("visibilitychange", () => document.hidden || soon());
