// The live events: resumes after the last one seen, says when it is cut, comes back by itself.

import { isDemo } from "./session.js";
import { TokenSource } from "./token_source.js";

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 15_000;
const TYPES = [
  "signal", "order_submit", "order_update", "order_fill", "trade.created", "trade.filled", "trade.closed", "funding",
  "risk_block", "run.status", "error", "strategy.settings.updated", "subscription.created", "subscription.cancelled",
  "subscription.paused", "subscription.resumed",
];

export class EventStream {
  #lastId;
  #source = null;
  #waitMs = FIRST_WAIT_MS;
  #onEvent;
  #onState;

  constructor({ lastId, onEvent, onState }) {
    this.#lastId = lastId;
    this.#onEvent = onEvent;
    this.#onState = onState;
    this.#open();
  }

  #open() {
    // The browser resumes by itself with Last-Event-ID; a source of our own making begins with the query.
    const address = `/api/events/stream?lastEventId=${this.#lastId}`;
    const source = isDemo ? new EventSource(address) : new TokenSource(address);
    this.#source = source;
    source.addEventListener("open", () => {
      this.#waitMs = FIRST_WAIT_MS;
      this.#onState("live");
    });
    source.addEventListener("error", () => this.#failed(source));
    for (const type of TYPES) source.addEventListener(type, (message) => this.#heard(message));
  }

  #heard(message) {
    const event = JSON.parse(message.data);
    if (event.id <= this.#lastId) return;
    this.#lastId = event.id;
    this.#onEvent(event);
  }

  #failed(source) {
    this.#onState("cut");
    if (source.readyState !== EventSource.CLOSED) return;
    setTimeout(() => this.#open(), this.#waitMs);
    this.#waitMs = Math.min(this.#waitMs * 2, LONGEST_WAIT_MS);
  }
}
