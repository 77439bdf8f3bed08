// The newest ticks of the run on the chart: what each came to, who asked first and how late, who came later and lost.

import { call } from "./api.js";
import { byId, cell, chip, emptyRow, fill, h, keep, setAttribute, setText } from "./dom.js";
import { NONE, clock, lateness, words } from "./format.js";
import { SIGNAL_TONE, TICK_TONE } from "./runs.js";

const COLUMNS = 5;
const SHOWN = 12;

export class TicksTable {
  #body = byId("ticks-body");

  /** `run`: the one that is shown, or null. */
  async refresh(run) {
    if (run === null) {
      emptyRow(this.#body, COLUMNS, "Choose a run.");
      return;
    }
    const answer = await call("GET", `/api/runner/tick-runs?runId=${encodeURIComponent(run.id)}&limit=${SHOWN}`);
    setText(byId("ticks-note"), `${run.symbol} ${run.timeframe} · ${run.name} · ${run.userId}; lateness after the slot`);
    if (answer.ticks.length === 0) {
      emptyRow(this.#body, COLUMNS, "It has not ticked yet.");
      return;
    }
    this.#body.shownSignature = null;
    keep(this.#body, answer.ticks, (tick) => tick.tickId, makeRow, update);
  }
}

function makeRow() {
  const parts = {
    slot: cell(null), came: cell(null, { share: "half" }), signal: cell("Signal"),
    first: cell("Asked first", { share: "half" }), lost: cell("Came later and lost", { share: "half" }),
  };
  const { slot, came, signal, first, lost } = parts;
  const row = h("tr", {}, slot, came, signal, first, lost);
  row.parts = parts;
  return row;
}

function update(row, tick) {
  const { parts } = row;
  setText(parts.slot, clock(Date.parse(tick.slot)));
  fill(parts.came, `${tick.status}|${tick.reason}`, () => {
    const text = tick.reason === null ? tick.status : `${tick.status}: ${words(tick.reason)}`;
    return chip(text, TICK_TONE[tick.status]);
  });
  setText(parts.signal, tick.signal === null ? NONE : words(tick.signal));
  setAttribute(parts.signal, "class", SIGNAL_TONE[tick.signal] ?? "quiet");
  setText(parts.first, tick.askedAt === null ? "nobody" : `${tick.source} ${lateness(tick.lateMs)}`);
  const lost = tick.lostTriggers;
  fill(parts.lost, JSON.stringify(lost), () => lost.length === 0 ? NONE : lost.map((ask) => (
    h("div", { title: ask.node }, `${ask.source} ${lateness(ask.lateMs)}`, h("span", { class: "sub" }, `${clock(Date.parse(ask.askedAt))} on ${ask.node}`))
  )));
}
