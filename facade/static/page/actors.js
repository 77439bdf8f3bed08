// The supervision tree: who runs, what waits, who was restarted and why.

import { byId, h, keep, setAttribute, setText } from "./dom.js";
import { words } from "./format.js";

const MAX_CHILDREN = 24;
/** Everything else is on its way from one of these to another. */
const TONE = { running: "good", failed: "bad", halted: "bad", stopped: "bad", abandoned: "bad" };
const BUSY = 1000;

/** Nodes as lines: a supervisor heads its children; beyond MAX_CHILDREN the eventful ones are shown. */
function lines(node, nameOf, path = "") {
  const key = `${path}/${node.name}`;
  if (node.children.length === 0) return [{ key, node, label: nameOf(node.name), group: false, note: "" }];
  const ranked = [...node.children].sort((one, other) => weight(other) - weight(one));
  const shown = new Set(ranked.slice(0, MAX_CHILDREN));
  const children = node.children.filter((child) => shown.has(child));
  const leaves = children.filter((child) => child.children.length === 0);
  const groups = children.filter((child) => child.children.length > 0);
  const left = node.children.length - children.length;
  const note = left > 0 ? `${left} quiet ones not listed` : "";
  return [
    { key, node, label: nameOf(node.name), group: true, note },
    ...leaves.flatMap((child) => lines(child, nameOf, key)), ...groups.flatMap((child) => lines(child, nameOf, key)),
  ];
}

function weight({ state, restarts, mailboxLength, children }) {
  return children.length * 1_000_000 + (state === "running" ? 0 : 100_000) + restarts * 1000 + mailboxLength;
}

function count(nodes) {
  return nodes.reduce((sum, node) => {
    const below = count(node.children);
    return {
      actors: sum.actors + 1 + below.actors, waiting: sum.waiting + node.mailboxLength + below.waiting,
      restarts: sum.restarts + node.restarts + below.restarts,
    };
  }, { actors: 0, waiting: 0, restarts: 0 });
}

/** `nameOf(name)`: `run:<id>` in words. */
export function showActors(roots, nameOf) {
  const total = count(roots);
  setText(byId("actors-note"), `${total.actors} actors, ${total.waiting} messages waiting, ${total.restarts} restarts`);
  keep(byId("actors"), roots.flatMap((root) => lines(root, nameOf)), (line) => line.key, make, update);
}

function make() {
  return h("li", {},
    h("span", { class: "dot", "aria-hidden": "true" }), h("span", { class: "name" }),
    h("span", { class: "sub" }), h("span", { class: "sub fault" }));
}

function update(item, { node, label, group, note }) {
  const [, name, facts, fault] = item.children;
  setAttribute(item, "class", group ? "group" : null);
  const tone = TONE[node.state] ?? "warn";
  setAttribute(item, "data-tone", tone === "good" && node.mailboxLength >= BUSY ? "warn" : tone);
  setText(name, label);
  setAttribute(name, "title", node.name);
  const parts = [node.state === "running" ? null : words(node.state), `${node.mailboxLength} waiting`];
  if (node.restarts > 0) parts.push(`${node.restarts} ${node.restarts === 1 ? "restart" : "restarts"}`);
  if (note !== "") parts.push(note);
  setText(facts, parts.filter(Boolean).join(" · "));
  setText(fault, node.lastError === null ? "" : `last error: ${node.lastError}`);
  fault.hidden = node.lastError === null;
}
