// The text of a strategy with its line numbers, and what is wrong beside the line it is wrong in.

import { byId, fill, h, setText } from "./dom.js";

export class Editor {
  #text = byId("code");
  #lines = byId("lines");
  #marks = byId("marks");
  #errors = [];
  #pen = null;

  constructor(onChange) {
    this.#text.addEventListener("input", () => {
      this.mark([]);
      this.#number();
      onChange();
    });
    this.#text.addEventListener("scroll", () => this.#follow());
  }

  get text() {
    return this.#text.value;
  }

  set text(text) {
    this.#text.value = text;
    this.#text.scrollTo(0, 0);
    this.mark([]);
    this.#number();
  }

  /** Show errors with a line beside it; those without one are for the panel alone. */
  mark(errors) {
    this.#errors = errors.filter((error) => error.line !== null && error.line !== undefined);
    this.#text.setAttribute("aria-invalid", errors.length > 0 ? "true" : "false");
    this.#marks.replaceChildren(...this.#errors.map((error) => h("div", { class: "mark" },
      h("span", { class: "why" }, error.message))));
    for (const [at, line] of Array.from(this.#lines.children).entries()) {
      line.toggleAttribute("data-wrong", this.#errors.some((error) => error.line === at + 1));
    }
    this.#follow();
  }

  /** The cursor at the beginning of a line, and the line in sight. */
  goTo(line) {
    const before = this.text.split("\n").slice(0, line - 1);
    const at = before.reduce((sum, each) => sum + each.length + 1, 0);
    const end = this.text.indexOf("\n", at);
    this.#text.focus();
    this.#text.setSelectionRange(at, end === -1 ? this.text.length : end);
    this.show(line);
  }

  show(line) {
    const height = this.#lineHeight();
    const top = (line - 1) * height;
    const { scrollTop, clientHeight } = this.#text;
    if (top < scrollTop || top + 3 * height > scrollTop + clientHeight) this.#text.scrollTop = Math.max(0, top - clientHeight / 3);
    this.#follow();
  }

  #number() {
    const count = this.text.split("\n").length;
    fill(this.#lines, String(count), () => Array.from({ length: count }, (_, at) => {
      const line = h("li");
      setText(line, String(at + 1));
      return line;
    }));
  }

  #lineHeight() {
    return parseFloat(getComputedStyle(this.#text).lineHeight);
  }

  /** Numbers and marks scroll with the text. */
  #follow() {
    const { scrollTop } = this.#text;
    const height = this.#lineHeight();
    const lead = parseFloat(getComputedStyle(this.#text).paddingTop);
    this.#lines.style.transform = `translateY(${-scrollTop}px)`;
    for (const [at, mark] of Array.from(this.#marks.children).entries()) {
      const { line } = this.#errors[at];
      mark.style.transform = `translateY(${lead + (line - 1) * height - scrollTop}px)`;
      const why = mark.firstChild;
      why.classList.toggle("below", this.#end(line) + why.scrollWidth > mark.clientWidth);
    }
  }

  /** How far to the right a line reaches, in pixels. */
  #end(line) {
    const text = (this.text.split("\n")[line - 1] ?? "").replaceAll("\t", "    ");
    this.#pen ??= document.createElement("canvas").getContext("2d");
    const { font, paddingLeft } = getComputedStyle(this.#text);
    this.#pen.font = font;
    return this.#pen.measureText(text).width + 2 * parseFloat(paddingLeft) - this.#text.scrollLeft;
  }
}
