// Published strategies with their record, and a subscription to each: a run on the caller's own capital.

import { call } from "./api.js";
import { byId, cell, chip, emptyRow, fill, h, keep, setAttribute, setText, toast } from "./dom.js";
import { NONE, money, toneOf, whole } from "./format.js";

const COLUMNS = 8;
const LISTED = 20;
const KIND = { template: "built in", python: "Python", typescript: "TypeScript", javascript: "JavaScript", graph: "graph", external: "signals from outside" };

export class Market {
  #body = byId("market-body");
  #onSubscribed;

  constructor(onSubscribed) {
    this.#onSubscribed = onSubscribed;
  }

  /** `running`: ids of the strategies the caller has a run of. */
  async refresh(running) {
    const { strategies } = await call("GET", `/api/marketplace?limit=${LISTED}`);
    if (strategies.length === 0) {
      emptyRow(this.#body, COLUMNS, "Nobody has published a strategy yet.");
      return;
    }
    this.#body.shownSignature = null;
    keep(this.#body, strategies, (each) => each.id, (each) => this.#row(each), (row, each) => update(row, each, running));
  }

  #row(listing) {
    const parts = {
      name: cell(null, { share: "full" }), market: cell("Market"), runs: cell("Runs", { numeric: true }),
      trades: cell("Trades", { numeric: true }), won: cell("Won", { numeric: true }), made: cell("Return", { numeric: true }),
      drawdown: cell("Drawdown", { numeric: true }), subscribe: cell(null, { share: "full" }),
    };
    parts.name.append(h("strong"), h("span", { class: "sub" }));
    parts.form = this.#form(listing);
    parts.subscribe.append(h("span"), parts.form);
    const { name, market, runs, trades, won, made, drawdown, subscribe } = parts;
    const row = h("tr", {}, name, market, runs, trades, won, made, drawdown, subscribe);
    row.parts = parts;
    return row;
  }

  #form(listing) {
    const capital = h("input", { type: "number", min: 100, max: 1_000_000, step: "any", value: 1000, inputmode: "decimal", "aria-label": `Capital for ${listing.name}, USDT` });
    const direction = h("select", { "aria-label": `What to trade of ${listing.name}` },
      h("option", { value: "long" }, "long only"), h("option", { value: "both" }, "long and short"), h("option", { value: "short" }, "short only"));
    const button = h("button", { "aria-label": `Subscribe to ${listing.name}` }, "Subscribe");
    const form = h("form", { class: "subscribe", novalidate: "" }, capital, direction, button);
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      button.disabled = true;
      try {
        const answer = await call("POST", `/api/strategies/${listing.id}/subscribe`, { capital: capital.value, direction: direction.value });
        toast(`Subscribed to ${listing.name}; it trades from its next slot on.`);
        await this.#onSubscribed(answer.id);
      } catch (error) {
        toast(error.message);
      }
      button.disabled = false;
    });
    return form;
  }
}

function update(row, listing, running) {
  const { parts } = row;
  const { record } = listing;
  const [name, about] = parts.name.children;
  setText(name, listing.name);
  setText(about, `${KIND[listing.type] ?? listing.type}${listing.description === "" ? "" : ` · ${listing.description}`}`);
  fill(parts.market, listing.symbol + listing.timeframe, () => [listing.symbol, h("span", { class: "sub" }, listing.timeframe)]);
  setText(parts.runs, `${whole(record.activeRuns)} of ${whole(record.runs)}`);
  setText(parts.trades, whole(record.trades));
  setText(parts.won, record.winRatePct === null ? NONE : `${money(record.winRatePct, 0)} %`);
  setText(parts.made, record.trades === 0 ? NONE : `${money(record.returnPct)} %`);
  setAttribute(parts.made, "class", `n ${record.trades === 0 ? "quiet" : toneOf(record.returnPct)}`);
  setText(parts.drawdown, record.trades === 0 ? NONE : `${money(record.maxDrawdownPct)} %`);
  const mine = listing.own ? "yours" : running.has(listing.id) ? "subscribed" : null;
  fill(parts.subscribe.firstChild, String(mine), () => mine === null ? [] : chip(mine, "info"));
  parts.form.hidden = mine !== null;
}
