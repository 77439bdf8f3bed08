// Open positions of all runs.

import { byId, cell, emptyRow, fill, h, keep, setAttribute, setText } from "./dom.js";
import { duration, pnl, price, quantity, toneOf } from "./format.js";

const COLUMNS = 5;

export class PositionsTable {
  #body = byId("positions-body");

  show(answer) {
    const runs = answer.runs.filter((run) => run.position !== null);
    setText(byId("positions-note"), runs.length === 0 ? "" : `${runs.length} open, at their venue's mark price, else the last close of their candles`);
    if (runs.length === 0) {
      emptyRow(this.#body, COLUMNS, "Every run is flat.");
      return;
    }
    this.#body.shownSignature = null;
    keep(this.#body, runs, (run) => run.id, makeRow, update);
  }

  tick(now) {
    for (const row of this.#body.rows) {
      if (row.openedAt === undefined) continue;
      setText(row.parts.age, duration(now - row.openedAt));
    }
  }
}

function makeRow() {
  const parts = {
    what: cell(null, { share: "full" }), price: cell("Entry, last", { numeric: true }),
    guard: cell("Stop, target", { numeric: true }), unrealised: cell("Unrealised", { numeric: true }),
    age: cell("Open for", { numeric: true }),
  };
  const { what, price: prices, guard, unrealised, age } = parts;
  const row = h("tr", {}, what, prices, guard, unrealised, age);
  row.parts = parts;
  return row;
}

function update(row, run) {
  const held = run.position;
  const { parts } = row;
  row.openedAt = held.openedAt === null ? undefined : Date.parse(held.openedAt);
  fill(parts.what, `${held.side}${held.quantity}${run.symbol}`, () => [
    h("span", { class: held.side === "long" ? "gain" : "loss" }, `${held.side} ${quantity(held.quantity)}`),
    ` ${run.symbol}`,
    h("span", { class: "sub" }, `${run.userId} · ${run.name} · ${held.leverage}×`),
  ]);
  pair(parts.price, held.entryPrice, held.markPrice ?? held.price);
  guard(parts.guard, held);
  setText(parts.unrealised, pnl(held.unrealised));
  setAttribute(parts.unrealised, "class", `n ${toneOf(held.unrealised)}`);
}

/** Stop and target, and how far behind a trailing stop follows. */
function guard(element, held) {
  const { stopLoss, takeProfit, trailingCallbackPct: trails } = held;
  fill(element, `${stopLoss}|${takeProfit}|${trails}`, () => [
    price(stopLoss),
    h("span", { class: "sub" }, price(takeProfit)),
    ...(trails === null ? [] : [h("span", { class: "sub" }, `trailing ${trails} %`)]),
  ]);
}

/** Two prices, one above the other. */
function pair(element, upper, lower) {
  fill(element, `${upper}|${lower}`, () => [price(upper), h("span", { class: "sub" }, price(lower))]);
}
