// The table of runs: one row each, kept by id, with what may be done to it.

import { call } from "./api.js";
import { byId, cell, chip, confirmed, emptyRow, fill, h, keep, setAttribute, setText, toast } from "./dom.js";
import { NONE, countdown, duration, pnl, price, quantity, toneOf, words } from "./format.js";

const STATUS_TONE = { active: "good", paused: "warn", auto_paused: "bad", error: "bad", draft: "info", stopped: "calm" };
export const TICK_TONE = { ok: "good", blocked: "warn", skipped: "calm", missed: "calm", error: "bad" };
export const SIGNAL_TONE = { long: "gain", short: "loss" };
const VERB = { pause: "Pause", stop: "Stop", resume: "Resume", start: "Start" };
const LENGTH_MS = { m: 60_000, h: 3_600_000, d: 86_400_000 };
const COLUMNS = 10;

export class RunsTable {
  #body = byId("runs-body");
  #onChoose;
  #onChanged;

  constructor({ onChoose, onChanged }) {
    this.#onChoose = onChoose;
    this.#onChanged = onChanged;
  }

  show(answer, chosen) {
    const active = answer.runs.filter((run) => run.status === "active").length;
    const more = answer.runsLeftOut > 0 ? `, ${answer.runsLeftOut} more not shown` : "";
    setText(byId("runs-note"), `${active} of ${answer.runs.length} active${more}`);
    if (answer.runs.length === 0) {
      emptyRow(this.#body, COLUMNS, "No runs yet.");
      return;
    }
    this.#body.shownSignature = null;
    keep(this.#body, answer.runs, (run) => run.id, (run) => this.#row(run), (row, run) => this.#update(row, run, chosen));
  }

  /** What moves with time alone, between two answers. */
  tick(now) {
    for (const row of this.#body.rows) {
      const { next, age, signal } = row.parts ?? {};
      if (next === undefined) continue;
      setText(next.firstChild, row.run.nextSlot === null ? NONE : countdown(untilSlot(row.run, now)));
      setText(age, ageText(row.run.tick?.at, now));
      setText(signal, ageText(row.run.signalAt, now));
    }
  }

  #row(run) {
    const choose = h("button", { type: "button", class: "link", title: "Show on the chart" }, run.name);
    choose.addEventListener("click", () => this.#onChoose(run.id));
    const parts = {
      status: cell(null, { share: "half" }), name: cell(null, { share: "half" }), market: cell("Market"),
      signalCell: cell("Signal"), tick: cell("Last tick"),
      next: cell("Next slot", { numeric: true }), position: cell("Position", { numeric: true }),
      unrealised: cell("Unrealised", { numeric: true }), realised: cell("Realised", { numeric: true }),
      actions: cell(null, { share: "most" }), choose, about: h("span", { class: "sub" }),
      age: h("span", { class: "sub" }), signal: h("span", { class: "sub" }),
    };
    parts.next.append(h("span"));
    parts.name.append(choose, parts.about);
    const { status, name, market, signalCell, tick, next, position, unrealised, realised, actions } = parts;
    const row = h("tr", {}, status, name, market, signalCell, tick, next, position, unrealised, realised, actions);
    parts.signalText = h("span");
    signalCell.append(parts.signalText, parts.signal);
    parts.tickText = h("span");
    tick.append(parts.tickText, parts.age);
    row.parts = parts;
    return row;
  }

  #update(row, run, chosen) {
    row.run = run;
    const { parts } = row;
    const errors = run.adapterErrors > 0 ? `${run.adapterErrors} of 3 adapter errors` : null;
    const reason = run.statusReason ?? errors;
    fill(parts.status, `${run.status}|${reason}`, () => [
      chip(words(run.status), STATUS_TONE[run.status]), reason === null ? null : h("span", { class: "sub" }, reason),
    ]);
    setText(parts.choose, run.name);
    setAttribute(parts.choose, "aria-pressed", run.id === chosen ? "true" : "false");
    setText(parts.about, about(run));
    fill(parts.market, `${run.symbol}${run.timeframe}`, () => [run.symbol, h("span", { class: "sub" }, run.timeframe)]);
    setText(parts.signalText, run.signal === null ? NONE : words(run.signal));
    setAttribute(parts.signalText, "class", SIGNAL_TONE[run.signal] ?? "quiet");
    fill(parts.tickText, `${run.tick?.status}|${run.tick?.reason}`, () => tickChip(run.tick));
    holding(parts, run.position);
    setText(parts.realised, pnl(run.realised));
    setAttribute(parts.realised, "class", `n ${toneOf(run.realised)}`);
    this.#actions(row, run);
  }

  #actions(row, run) {
    fill(row.parts.actions, run.actions.join(), () => h("div", { class: "acts" }, ...run.actions.map((verb) => {
      const button = h("button", { type: "button", "aria-label": `${VERB[verb]} ${run.name} of ${run.userId}` }, VERB[verb]);
      button.addEventListener("click", () => this.#command(row, verb));
      return button;
    })));
  }

  async #command(row, verb) {
    const { run } = row;
    if (verb === "stop" && run.position !== null && !(await confirmed({
      title: `Stop “${run.name}”?`, yes: "Stop",
      text: "It has an open position, which stays open with its stop and target; no further tick will manage it.",
    }))) return;
    const buttons = row.querySelectorAll(".acts button");
    for (const button of buttons) button.disabled = true;
    try {
      await call("POST", `/api/runs/${run.id}/${verb}`, {});
    } catch (error) {
      toast(error.message);
    }
    for (const button of buttons) button.disabled = false;
    await this.#onChanged();
    if (document.activeElement === document.body) row.querySelector(".acts button")?.focus();
  }
}

/** To the slot after `now`: the answer's may have passed meanwhile. */
function untilSlot(run, now) {
  const left = Date.parse(run.nextSlot) - now;
  const step = LENGTH_MS[run.timeframe.at(-1)] * parseInt(run.timeframe, 10);
  return left > 0 ? left : step + (left % step);
}

function ageText(at, now) {
  return at === null || at === undefined || now === null ? "" : `${duration(now - Date.parse(at))} ago`;
}

function tickChip(tick) {
  if (tick === null) return "none in 24 h";
  const text = tick.reason === null ? tick.status : `${tick.status}: ${words(tick.reason)}`;
  return chip(text, TICK_TONE[tick.status], `${tick.latencyMs} ms`);
}

function about(run) {
  const direction = run.direction === "both" ? "" : ` · ${run.direction} only`;
  const manual = run.executionMode === "MANUAL" ? " · manual" : "";
  return `${run.userId} · ${run.tradingMode} · ${run.leverage}×${direction}${manual}`;
}

function holding(parts, held) {
  const signature = held === null ? "flat" : `${held.side}${held.quantity}${held.entryPrice}`;
  fill(parts.position, signature, () => held === null ? h("span", { class: "quiet" }, "flat") : [
    h("span", { class: held.side === "long" ? "gain" : "loss" }, `${held.side} ${quantity(held.quantity)}`),
    h("span", { class: "sub" }, `at ${price(held.entryPrice)}`),
  ]);
  setText(parts.unrealised, held === null ? NONE : pnl(held.unrealised));
  setAttribute(parts.unrealised, "class", `n ${held === null ? "quiet" : toneOf(held.unrealised)}`);
}
