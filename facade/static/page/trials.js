// A backtest from its start to its charts: how far it is, what it came to, and its report to keep.

import { call, file } from "./api.js";
import { byId, h, keep, setAttribute, setText, toast } from "./dom.js";
import { NONE, date, money, pnl, toneOf, whole, words } from "./format.js";
import { TrialCharts } from "./trial_charts.js";

const LOOK_MS = 400;
const TRADES_A_PAGE = 200;
const MOST_TRADES = 600;
const OPEN = ["queued", "running"];

export class Trials {
  #section = byId("result");
  #charts = new TrialCharts();
  #id = null;
  #timer = null;

  constructor() {
    byId("cancel").addEventListener("click", () => this.#cancel());
    byId("report").addEventListener("click", () => this.#save());
  }

  /** Begin one, in the place of the one before. Throws what the server refuses. */
  async begin(body) {
    const answer = await call("POST", "/api/backtests", body, 45_000);
    clearTimeout(this.#timer);
    this.#id = answer.id;
    this.#section.hidden = false;
    this.#head(answer.backtest);
    this.#progress(answer.backtest.job);
    this.#section.scrollIntoView({ block: "nearest" });
    this.#plan(answer.id);
  }

  /** Nothing of another user's stays on the page. */
  forget() {
    clearTimeout(this.#timer);
    this.#id = null;
    this.#section.hidden = true;
  }

  #plan(id) {
    this.#timer = setTimeout(() => this.#look(id), LOOK_MS);
  }

  async #look(id) {
    try {
      const answer = await call("GET", `/api/backtests/${id}`);
      if (id !== this.#id) return;
      this.#progress(answer.backtest.job);
      if (OPEN.includes(answer.backtest.job.state)) this.#plan(id);
      else if (answer.backtest.job.state === "done") await this.#show(id, answer);
    } catch (error) {
      if (id !== this.#id) return;
      toast(error.message);
      this.#plan(id);
    }
  }

  #head({ symbol, timeframe }) {
    setText(byId("result-title"), `Backtest on ${symbol} ${timeframe}`);
    setText(byId("result-note"), "");
    byId("outcome").hidden = byId("report").hidden = true;
  }

  #progress(job) {
    const open = OPEN.includes(job.state);
    const bar = byId("progress");
    byId("under-way").hidden = !open;
    setAttribute(bar, "max", Math.max(1, job.total));
    if (job.total > 0) bar.value = job.done;
    else bar.removeAttribute("value");
    setText(byId("progress-text"), job.state === "queued" ? "waiting its turn" : `${whole(job.done)} of ${whole(job.total)} slots`);
    const failed = byId("result-failed");
    failed.hidden = open || job.state === "done";
    setText(failed, job.error ?? (job.state === "cancelled" ? "Cancelled." : ""));
  }

  async #show(id, answer) {
    const [chart, equity, trades] = await Promise.all([
      call("GET", `/api/backtests/${id}/chart`), call("GET", `/api/backtests/${id}/equity`), this.#trades(id),
    ]);
    if (id !== this.#id) return;
    const { summary } = answer.backtest;
    const { from, to, origin } = answer.replayed;
    setText(byId("result-note"), `${whole(answer.candles)} candles, ${date(Date.parse(from))} to ${date(Date.parse(to))}, ${origin}. ${slots(answer.ticks)}`);
    keep(byId("result-figures"), figures(summary), (figure) => figure.name, makeFigure, updateFigure);
    byId("outcome").hidden = byId("report").hidden = false;
    this.#charts.show(chart, equity.points, trades, Number(summary.startingCapital));
  }

  async #trades(id) {
    const found = [];
    for (let cursor = ""; cursor !== null && found.length < MOST_TRADES;) {
      const page = await call("GET", `/api/backtests/${id}/trades?limit=${TRADES_A_PAGE}${cursor}`);
      found.push(...page.trades);
      cursor = page.nextCursor === null ? null : `&cursor=${encodeURIComponent(page.nextCursor)}`;
    }
    return found;
  }

  async #cancel() {
    try {
      await call("DELETE", `/api/jobs/${this.#id}`);
    } catch (error) {
      toast(error.message);
    }
  }

  async #save() {
    try {
      const address = URL.createObjectURL(await file(`/api/backtests/${this.#id}/report`));
      const link = h("a", { href: address, download: `backtest-${this.#id.slice(0, 8)}.html` });
      link.click();
      setTimeout(() => URL.revokeObjectURL(address), 10_000);
    } catch (error) {
      toast(error.message);
    }
  }
}

/** What the slots came to beside decisions: why nothing was traded, if that is so. */
function slots(rows) {
  return rows.filter((row) => row.status !== "ok").map((row) => {
    const how = { blocked: "held back by your risk limits", error: "failed" }[row.status] ?? row.status;
    return `${whole(row.count)} ${row.count === 1 ? "slot" : "slots"} ${how}${row.reason ? ` (${words(row.reason)})` : ""}.`;
  }).join(" ");
}

const share = (value, digits = 1) => (value === null ? NONE : `${money(value, digits)} %`);

function figures(summary) {
  const held = `${summary.wins} won, ${summary.losses} lost`;
  return [
    { name: "PnL", value: pnl(summary.pnl), sub: `USDT, fees ${money(summary.fees)} paid`, tone: toneOf(summary.pnl) },
    { name: "Return", value: share(summary.roiPct, 2), sub: `on ${money(summary.startingCapital, 0)} USDT`, tone: toneOf(summary.pnl) },
    { name: "Trades", value: whole(summary.trades), sub: held, tone: null },
    { name: "Won", value: share(summary.winRatePct), sub: "of all trades", tone: null },
    { name: "Drawdown", value: share(summary.maxDrawdownPct, 2), sub: "at the deepest", tone: null },
    { name: "Profit factor", value: summary.profitFactor === null ? NONE : money(summary.profitFactor), sub: "won by lost", tone: null },
    { name: "Sharpe", value: summary.sharpe === null ? NONE : money(summary.sharpe), sub: "of daily returns, a year", tone: null },
  ];
}

function makeFigure(figure) {
  return h("div", {}, h("dt", {}, figure.name), h("dd"), h("dd", { class: "sub" }));
}

function updateFigure(box, figure) {
  const [, value, sub] = box.children;
  setText(value, figure.value);
  setAttribute(value, "class", figure.tone);
  setText(sub, figure.sub);
}
