// The caller's runs: what each has come to, its latest slots and trades, and what may be done to it.

import { call } from "./api.js";
import { byId, cell, chip, emptyRow, fill, h, keep, setAttribute, setText, toast } from "./dom.js";
import { NONE, clock, date, milliseconds, pnl, price, quantity, toneOf, whole, words } from "./format.js";

const COLUMNS = 8;
const SHOWN = 8;
const LATEST = 8;
const STATUS_TONE = { active: "good", paused: "warn", auto_paused: "bad", error: "bad", draft: "info", stopped: "calm" };
const TICK_TONE = { ok: "good", blocked: "warn", skipped: "calm", missed: "calm", error: "bad" };
const SIGNAL_TONE = { long: "gain", short: "loss" };
const VERBS = {
  draft: [["start", "Start"]], active: [["pause", "Pause"], ["stop", "Stop"]], paused: [["resume", "Resume"], ["stop", "Stop"]],
  auto_paused: [["resume", "Resume"], ["stop", "Stop"]], error: [["resume", "Resume"], ["stop", "Stop"]], stopped: [["start", "Start"]],
};

export class OwnRuns {
  #body = byId("own-body");
  #chosen = null;
  #onChanged;
  #onAlerts;

  /** `onAlerts`: the key of a strategy that takes signals is asked for. */
  constructor(onChanged, onAlerts) {
    this.#onChanged = onChanged;
    this.#onAlerts = onAlerts;
  }

  choose(runId) {
    this.#chosen = runId;
  }

  /** Ids of the strategies that the caller runs. */
  async refresh() {
    const { strategies } = await call("GET", "/api/strategies?limit=50");
    const runs = strategies.flatMap((strategy) => strategy.runs.map((run) => ({ ...run, strategy })))
      .filter((run) => run.status !== "archived").sort((one, other) => (one.createdAt < other.createdAt ? 1 : -1));
    const shown = runs.slice(0, SHOWN);
    const chosen = shown.find((run) => run.id === this.#chosen) ?? shown[0] ?? null;
    const [risk, ...stats] = await Promise.all([
      call("GET", "/api/risk"), ...shown.map((run) => call("GET", `/api/runs/${run.id}/stats`)),
    ]);
    heldBack(risk);
    const rows = shown.map((run, at) => ({ ...run, stats: stats[at], chosen: run === chosen }));
    this.#show(rows, runs.length - shown.length);
    await this.#latest(chosen);
    return new Set(runs.map((run) => run.strategyId));
  }

  #show(runs, left) {
    setText(byId("own-note"), left > 0 ? `and ${left} older ones` : "");
    if (runs.length === 0) {
      emptyRow(this.#body, COLUMNS, "Nothing runs yet. Deploy a strategy on paper, or subscribe to one below.");
      return;
    }
    this.#body.shownSignature = null;
    keep(this.#body, runs, (run) => run.id, (run) => this.#row(run), (row, run) => this.#update(row, run));
  }

  #row(run) {
    const choose = h("button", { type: "button", class: "link", title: "Show its latest slots and trades" });
    choose.addEventListener("click", () => {
      this.choose(run.id);
      this.#onChanged();
    });
    const parts = {
      name: cell(null, { share: "half" }), status: cell(null, { share: "half" }), market: cell("Market"), slot: cell("Last slot"),
      slots: cell("Slots", { numeric: true }), trades: cell("Trades", { numeric: true }),
      realised: cell("Realised", { numeric: true }), actions: cell(null, { share: "full" }),
    };
    parts.name.append(choose, h("span", { class: "sub" }));
    const row = h("tr", {}, ...Object.values(parts));
    row.parts = parts;
    return row;
  }

  #update(row, run) {
    const { parts } = row;
    const { strategy, stats } = run;
    const [choose, about] = parts.name.children;
    setText(choose, strategy.name);
    setAttribute(choose, "aria-pressed", run.chosen ? "true" : "false");
    const direction = run.direction === "both" ? "long and short" : `${run.direction} only`;
    setText(about, `${strategy.own ? "" : "subscribed · "}${run.tradingMode} · ${direction} · ${whole(run.initialCapitalUsdt)} USDT · ${run.leverage}×`);
    fill(parts.status, `${run.status}|${run.errorMessage}`, () => [
      chip(words(run.status), STATUS_TONE[run.status]),
      run.errorMessage === null ? null : h("span", { class: "sub" }, run.errorMessage),
    ]);
    fill(parts.market, strategy.symbol + strategy.timeframe, () => [strategy.symbol, h("span", { class: "sub" }, strategy.timeframe)]);
    setText(parts.slot, run.lastSlotAt === null ? NONE : clock(Date.parse(run.lastSlotAt)));
    setText(parts.slots, whole(stats.totalExecutions));
    setText(parts.trades, whole(stats.trades));
    setText(parts.realised, pnl(stats.realizedPnlUsdt));
    setAttribute(parts.realised, "class", `n ${toneOf(stats.realizedPnlUsdt)}`);
    fill(parts.actions, `${run.status}${strategy.name}`, () => h("div", { class: "acts" },
      ...(VERBS[run.status] ?? []).map(([verb, text]) => this.#verb(run, verb, text)),
      strategy.own && strategy.type === "external" ? this.#alerts(strategy) : null));
  }

  #alerts(strategy) {
    const button = h("button", { type: "button", "aria-label": `Alerts for ${strategy.name}` }, "Alerts");
    button.addEventListener("click", () => this.#onAlerts(strategy).catch((error) => toast(error.message)));
    return button;
  }

  #verb(run, verb, text) {
    const button = h("button", { type: "button", "aria-label": `${text} ${run.strategy.name}` }, text);
    button.addEventListener("click", async () => {
      button.disabled = true;
      try {
        await call("POST", `/api/runs/${run.id}/${verb}`, {});
      } catch (error) {
        toast(error.message);
      }
      button.disabled = false;
      await this.#onChanged();
    });
    return button;
  }

  async #latest(run) {
    byId("latest").hidden = run === null;
    if (run === null) return;
    const [ticks, trades, held] = await Promise.all([
      call("GET", `/api/runs/${run.id}/executions?limit=${LATEST}`), call("GET", `/api/runs/${run.id}/trades?limit=${LATEST}`),
      call("GET", `/api/runs/${run.id}/positions`),
    ]);
    setText(byId("latest-ticks"), `Latest slots of ${run.strategy.name}`);
    setText(byId("latest-trades"), `Latest trades of ${run.strategy.name}`);
    const slots = byId("slots-body");
    if (ticks.executions.length === 0) emptyRow(slots, 4, "It has not come to a slot yet.");
    else fill(slots, JSON.stringify(ticks.executions.map((tick) => tick.tickId)), () => ticks.executions.map(slotRow));
    const rows = [...held.positions.map(openRow), ...trades.trades.map(tradeRow)];
    if (rows.length === 0) emptyRow(byId("trades-body"), 4, "It has not traded yet.");
    else fill(byId("trades-body"), JSON.stringify([held.positions, trades.trades.map((trade) => trade.id)]), () => rows);
  }
}

/** Why no run of the caller's may enter now; a cool-down between trades is no news. */
function heldBack(risk) {
  const box = byId("held-back");
  const reason = risk.blockedReason === "paused" ? risk.pausedReason ?? "paused" : risk.blockedReason;
  box.hidden = risk.blockedReason === null || risk.blockedReason === "cooldown";
  const until = risk.blockedUntil === null ? "" : `, until ${clock(Date.parse(risk.blockedUntil))} on ${date(Date.parse(risk.blockedUntil))}`;
  setText(box, box.hidden ? "" : `Your risk limits hold entries back: ${words(reason)}${until}. Exits go on.`);
}

function labelled(label, text, more = {}) {
  const made = cell(label, more);
  made.append(...[text].flat());
  return made;
}

function slotRow(tick) {
  const came = tick.reason === null ? tick.status : `${tick.status}: ${words(tick.reason)}`;
  const signal = labelled("Signal", tick.signal === null ? NONE : words(tick.signal));
  signal.className = SIGNAL_TONE[tick.signal] ?? "quiet";
  const { evaluation } = tick;
  const why = evaluation === null ? NONE : evaluation.error ?? evaluation.reason ?? indicators(evaluation.indicators);
  const took = evaluation === null ? "" : `${milliseconds(evaluation.durationMs)}, for ${evaluation.runsReached} ${evaluation.runsReached === 1 ? "run" : "runs"}`;
  return h("tr", {}, labelled("Slot", clock(Date.parse(tick.slot))), labelled("Came to", chip(came, TICK_TONE[tick.status])), signal,
    labelled("Why", [why, h("span", { class: "sub" }, took)], { share: "half" }));
}

function indicators(values) {
  const shown = Object.entries(values).slice(0, 3).map(([name, value]) => `${name} ${value === null ? NONE : price(value)}`);
  return shown.length === 0 ? NONE : shown.join(", ");
}

function openRow(held) {
  return h("tr", {}, labelled("Trade", [side(held), h("span", { class: "sub" }, "open")]),
    labelled("Entry", [price(held.entryPrice), when(held.openedAt)]), labelled("Exit", NONE), labelled("PnL", NONE, { numeric: true }));
}

function tradeRow(trade) {
  const brought = labelled("PnL", [pnl(trade.pnl), h("span", { class: "sub" }, words(trade.exitReason))], { numeric: true });
  brought.classList.add(toneOf(trade.pnl));
  return h("tr", {}, labelled("Trade", side(trade)), labelled("Entry", [price(trade.entryPrice), when(trade.entryTime)]),
    labelled("Exit", [price(trade.exitPrice), when(trade.exitTime)]), brought);
}

const side = ({ side: name, quantity: size }) => h("span", { class: name === "long" ? "gain" : "loss" }, `${name} ${quantity(size)}`);
const when = (at) => h("span", { class: "sub" }, at === null ? "" : clock(Date.parse(at)));
