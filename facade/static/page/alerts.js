// The key of a strategy that takes signals from outside: made, shown once with a text to paste, ended.

import { call } from "./api.js";
import { byId, setText, toast } from "./dom.js";
import { clock, date } from "./format.js";

export class AlertKeys {
  #panel = byId("alert-key");
  #strategy = null;

  constructor() {
    byId("alert-key-make").addEventListener("click", (event) => this.#attempt(event.currentTarget, () => this.#make()));
    byId("alert-key-end").addEventListener("click", (event) => this.#attempt(event.currentTarget, () => this.#end()));
    for (const shown of [byId("alert-address"), byId("alert-message")]) shown.addEventListener("focus", () => shown.select());
    byId("alert-key-close").addEventListener("click", () => this.close());
  }

  /** What there is to say of this strategy's key, which itself is never told again. */
  async open(strategy) {
    this.close();
    const { alertKeySince } = await call("GET", `/api/strategies/${strategy.id}`);
    this.#strategy = strategy;
    setText(byId("alert-key-title"), `Alerts for ${strategy.name}`);
    this.#say(alertKeySince);
    this.#panel.hidden = false;
    this.#panel.focus();
  }

  close() {
    this.#panel.hidden = true;
    this.#strategy = null;
    this.#forget();
  }

  async #make() {
    const made = await call("POST", `/api/strategies/${this.#strategy.id}/alert-key`, {});
    byId("alert-address").value = new URL(made.path, location.href).href;
    byId("alert-message").value = made.message;
    byId("alert-key-once").hidden = false;
    this.#say(made.since);
  }

  async #end() {
    await call("DELETE", `/api/strategies/${this.#strategy.id}/alert-key`);
    this.#forget();
    this.#say(null);
  }

  #forget() {
    byId("alert-key-once").hidden = true;
    byId("alert-address").value = byId("alert-message").value = "";
  }

  #say(since) {
    const at = since === null ? null : Date.parse(since);
    setText(byId("alert-key-state"), at === null
      ? "There is no key yet: nothing is taken but what you send with your own token."
      : `There is a key, made on ${date(at)} at ${clock(at)}. A new one ends it.`);
    setText(byId("alert-key-make"), at === null ? "Make a key" : "Make a new key");
    byId("alert-key-end").hidden = at === null;
  }

  async #attempt(button, deed) {
    button.disabled = true;
    try {
      await deed();
    } catch (error) {
      toast(error.message);
    }
    button.disabled = false;
  }
}
