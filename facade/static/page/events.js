// The feed of events, newest first, at most LIMIT of them.

import { byId, h } from "./dom.js";
import { clock, pnl, price, quantity, words } from "./format.js";

const LIMIT = 200;
const GROUP = {
  signal: "signals", order_submit: "trades", order_update: "trades", order_fill: "trades", "trade.created": "trades",
  "trade.filled": "trades", "trade.closed": "trades", funding: "trades", risk_block: "risk", "run.status": "trouble", error: "trouble",
};

export class EventFeed {
  #list = byId("events");
  #filter = byId("events-filter");
  #nameOf;
  #events = [];

  /** `nameOf(runId)`: a run's name and symbol, or null. */
  constructor(nameOf) {
    this.#nameOf = nameOf;
    this.#filter.addEventListener("change", () => this.#redraw());
  }

  /** Oldest first, as they came before the page was opened. */
  begin(events) {
    this.#events = events.slice(-LIMIT);
    this.#redraw();
  }

  add(event) {
    this.#events.push(event);
    if (this.#events.length > LIMIT) this.#events.shift();
    if (!this.#wanted(event)) return;
    this.#list.querySelector(".none")?.remove();
    const item = this.#item(event);
    item.classList.add("fresh");
    // Whoever has scrolled down reads on undisturbed.
    const from = this.#list.scrollTop;
    this.#list.prepend(item);
    if (from > 0) this.#list.scrollTop = from + item.offsetHeight;
    while (this.#list.childElementCount > LIMIT) this.#list.lastElementChild.remove();
  }

  #wanted(event) {
    return this.#filter.value === "all" || GROUP[event.type] === this.#filter.value;
  }

  #redraw() {
    const shown = this.#events.filter((event) => this.#wanted(event)).reverse();
    const none = h("li", { class: "none" }, h("span"), h("span", { class: "quiet" }, "Nothing yet."));
    this.#list.replaceChildren(...(shown.length === 0 ? [none] : shown.map((event) => this.#item(event))));
  }

  #item(event) {
    const { text, tone } = told(event);
    const run = event.runId === null ? null : this.#nameOf(event.runId);
    const where = [run?.name, run?.symbol, event.userId].filter(Boolean).join(" · ");
    return h("li", { "data-tone": tone, "data-event": event.id },
      h("time", { datetime: event.at, title: event.at }, clock(Date.parse(event.at))),
      h("span", { class: "what" }, text), h("span", { class: "sub" }, where));
  }
}

/** What happened, in a sentence. */
function told({ type, payload: is }) {
  switch (type) {
    case "signal": {
      const ended = is.status === "ok" ? "" : ` (${[is.status, is.reason].filter(Boolean).map(words).join(": ")})`;
      return { text: `Signal ${words(is.signal)}${ended}`, tone: "calm" };
    }
    case "order_submit":
      return { text: `Order: ${is.side} ${quantity(is.quantity)} for ${words(is.leg)}`, tone: "calm" };
    case "order_update":
      return { text: `Order ${words(is.status)}${is.reason ? `: ${words(is.reason)}` : ""}`, tone: is.status === "rejected" ? "bad" : "calm" };
    case "order_fill":
      return { text: `Filled: ${words(is.leg)}, ${is.side} ${quantity(is.quantity)} at ${price(is.price)}`, tone: "calm" };
    case "trade.created":
    case "trade.filled": // a round trip has begun, or grown by another fill
      return { text: `${type === "trade.created" ? "Opened" : "Holds"}: ${is.side} ${quantity(is.quantity)} at ${price(is.entry_price)}`, tone: "calm" };
    case "trade.closed":
      return { text: closed(is), tone: Number(is.pnl) < 0 ? "bad" : "calm" };
    case "funding":
      return { text: `Funding ${pnl(is.amount)} USDT`, tone: "calm" };
    case "risk_block":
      return risk(is);
    case "run.status":
      return {
        text: `${words(is.before)} → ${words(is.status)}${is.reason ? `: ${is.reason}` : ""}`,
        tone: is.status === "active" ? "calm" : "warn",
      };
    case "protection":
      return { text: protection(is), tone: is.failure ? "bad" : "calm" };
    case "drift":
      return { text: `The venue holds ${quantity(is.venue)}, our books ${quantity(is.ours)}`, tone: Number(is.drift) === 0 ? "calm" : "bad" };
    case "alert":
      return {
        text: `${is.action === "raised" ? "Alert" : "Alert over"}: ${words(is.kind)}${is.detail ? `, ${is.detail}` : ""}`,
        tone: is.action === "raised" ? "bad" : "calm",
      };
    case "error":
      return { text: [is.kind && words(is.kind), is.detail].filter(Boolean).join(": ") || "Error", tone: "bad" };
    default:
      return { text: words(type.replaceAll(".", " ")), tone: "calm" };
  }
}

function closed(is) {
  const at = is.exit_price === undefined ? "" : `${is.side} ${quantity(is.quantity)} at ${price(is.exit_price)}, `;
  return `Closed ${at}${pnl(is.pnl)} USDT${is.exit_reason ? ` (${words(is.exit_reason)})` : ""}`;
}

/** What stands at the venue now, or why it does not. */
function protection(is) {
  if (is.failure) return `Protection refused: ${words(is.failure)}`;
  const stands = [
    is.stop_loss && `stop ${price(is.stop_loss)}`,
    is.take_profit && `target ${price(is.take_profit)}`,
    is.trail && "trailing stop",
  ].filter(Boolean);
  return stands.length > 0 ? `Protected: ${stands.join(", ")}` : "No stop or target stands";
}

function risk(is) {
  switch (is.action) {
    case "blocked":
      return { text: `Entry refused: ${words(is.reason)}`, tone: "warn" };
    case "paused":
      return { text: `Trading paused until ${is.until?.slice(0, 16).replace("T", " ")}: ${words(is.reason)}`, tone: "bad" };
    case "expired":
      return { text: "The pause is over", tone: "calm" };
    case "kill_switch_on":
      return { text: `Kill switch on: ${is.reason}`, tone: "bad" };
    case "kill_switch_off":
      return { text: "Kill switch off", tone: "calm" };
    default:
      return { text: [is.action, is.reason].filter(Boolean).map(words).join(": "), tone: "warn" };
  }
}
