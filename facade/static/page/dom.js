// Elements from plain values. Text only ever goes in as text nodes: nothing from outside becomes markup.

export const byId = (id) => document.getElementById(id);

/** An element with attributes (null leaves one out) and children (strings or nodes). */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) setAttribute(element, name, value);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export function setAttribute(element, name, value) {
  if (value === null || value === undefined || value === false) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
  } else if (element.getAttribute(name) !== String(value)) {
    element.setAttribute(name, value);
  }
}

/** Set text only where it changed, so that selections and screen readers are left alone. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Replace children only when `signature` differs from the last one. */
export function fill(element, signature, make) {
  if (element.shownSignature === signature) return;
  element.shownSignature = signature;
  element.replaceChildren(...[make()].flat().filter((child) => child !== null));
}

/** Keep one child per item, in order, reused by key: focus and scroll positions survive. */
export function keep(parent, items, keyOf, make, update) {
  const known = new Map(Array.from(parent.children, (child) => [child.dataset.key, child]));
  let previous = null;
  for (const item of items) {
    const key = String(keyOf(item));
    let child = known.get(key);
    if (child === undefined) {
      child = make(item);
      child.dataset.key = key;
    }
    known.delete(key);
    const next = previous === null ? parent.firstChild : previous.nextSibling;
    if (next !== child) parent.insertBefore(child, next);
    update(child, item);
    previous = child;
  }
  for (const gone of known.values()) gone.remove();
}

/** A table cell; on a phone rows become lines: `label` names it there, `share` is how much of a line it takes (full, most, half). */
export function cell(label, { numeric = false, share = null } = {}) {
  const classes = [numeric ? "n" : null, share].filter(Boolean).join(" ");
  return h("td", { class: classes || null, "data-label": label });
}

export function emptyRow(body, columns, text) {
  fill(body, `empty:${text}`, () => h("tr", { "data-key": "empty" }, h("td", { class: "empty full", colspan: columns }, text)));
}

export function chip(text, tone, title = null) {
  return h("span", { class: "chip", "data-tone": tone, title }, text);
}

export function toast(text) {
  const element = byId("toast");
  element.textContent = text;
  element.setAttribute("data-shown", "");
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => element.removeAttribute("data-shown"), 4000);
}

/** Ask before something that matters; resolves to whether the answer was yes. */
export function confirmed({ title, text, yes }) {
  const dialog = byId("confirm");
  setText(byId("confirm-title"), title);
  setText(byId("confirm-text"), text);
  setText(byId("confirm-yes"), yes);
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
