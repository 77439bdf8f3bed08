// Candles of one run's series, with its entries, exits, stop and target.

import { call } from "./api.js";
import { byId, h, setText } from "./dom.js";
import { pnl, priceDigits, words } from "./format.js";
import { onSchemeChange, palette } from "./palette.js";

const { createChart, createSeriesMarkers, CandlestickSeries, LineStyle } = window.LightweightCharts;

export class PriceChart {
  #box = byId("chart");
  #picker = byId("chart-run");
  #chart = null;
  #series = null;
  #markers = null;
  #lines = [];
  #shown = null;
  #empty = h("p", { class: "empty" }, "Choose a run.");
  #onChoose;
  #shownMarkers = "";

  chosen = null;

  constructor(onChoose) {
    this.#onChoose = onChoose;
    this.#box.append(this.#empty);
    this.#picker.addEventListener("change", () => this.choose(this.#picker.value));
    onSchemeChange(() => this.#dress());
  }

  choose(runId) {
    if (this.chosen === runId) return;
    this.chosen = runId;
    this.#picker.value = runId;
    this.#onChoose();
  }

  /** Runs to choose from; the first active one with a position, if any, is shown first. */
  offer(runs) {
    const signature = runs.map((run) => run.id + run.name).join();
    if (this.#picker.shownSignature !== signature) {
      this.#picker.shownSignature = signature;
      this.#picker.replaceChildren(...runs.map((run) => {
        const text = `${run.symbol} ${run.timeframe} · ${run.name} · ${run.userId}`;
        return h("option", { value: run.id }, text);
      }));
    }
    if (runs.length > 0 && !runs.some((run) => run.id === this.chosen)) {
      const best = runs.find((run) => run.position !== null) ?? runs.find((run) => run.status === "active") ?? runs[0];
      this.chosen = best.id;
    }
    this.#picker.value = this.chosen ?? "";
  }

  async refresh() {
    if (this.chosen === null) return;
    const wanted = this.chosen;
    const answer = await call("GET", `/api/overview/chart?runId=${encodeURIComponent(wanted)}`);
    if (wanted === this.chosen) this.#show(answer);
  }

  #show(answer) {
    const count = answer.times.length;
    setText(byId("chart-note"), count === 0 ? "" : `${count} closed candles, ${answer.origin}`);
    setText(this.#empty, "No candles of this series are held right now.");
    this.#empty.hidden = count > 0;
    if (count === 0) {
      if (this.#chart !== null) this.#series.setData([]);
      return;
    }
    if (this.#chart === null) this.#build();
    const digits = priceDigits(answer.close[count - 1]);
    const key = answer.runId;
    const candles = answer.times.map((time, at) => ({
      time, open: answer.open[at], high: answer.high[at], low: answer.low[at], close: answer.close[at],
    }));
    this.#series.setData(candles);
    this.#mark(answer);
    this.#guard(answer);
    if (this.#shown !== key) {
      this.#series.applyOptions({ priceFormat: { type: "price", precision: digits, minMove: 10 ** -digits } });
      const bars = this.#box.clientWidth < 500 ? 60 : 140;
      this.#chart.timeScale().setVisibleLogicalRange({ from: count - bars, to: count + 4 });
    }
    this.#shown = key;
  }

  #build() {
    this.#chart = createChart(this.#box, { autoSize: true });
    this.#series = this.#chart.addSeries(CandlestickSeries, {});
    this.#markers = createSeriesMarkers(this.#series, []);
    this.#dress();
  }

  #dress() {
    if (this.#chart === null) return;
    const colour = palette();
    this.#chart.applyOptions({
      layout: {
        background: { color: colour.surface }, textColor: colour.soft, fontFamily: colour.font, fontSize: 11,
        attributionLogo: true,
      },
      grid: { vertLines: { visible: false }, horzLines: { color: colour.line } },
      rightPriceScale: { borderColor: colour.line },
      timeScale: { borderColor: colour.line, timeVisible: true, secondsVisible: false, rightOffset: 4 },
      handleScroll: { vertTouchDrag: false },
    });
    this.#series.applyOptions({
      upColor: colour.gain, borderUpColor: colour.gain, wickUpColor: colour.gain,
      downColor: colour.loss, borderDownColor: colour.loss, wickDownColor: colour.loss,
    });
    this.#shownMarkers = "";
  }

  #mark(answer) {
    const signature = JSON.stringify(answer.markers);
    if (signature === this.#shownMarkers) return;
    this.#shownMarkers = signature;
    const colour = palette();
    this.#markers.setMarkers(answer.markers.map((mark) => {
      if (mark.kind === "entry") {
        const long = mark.side === "long";
        const shape = long ? "arrowUp" : "arrowDown";
        return { time: mark.time, position: long ? "belowBar" : "aboveBar", shape, color: colour.accent, text: mark.side };
      }
      const why = mark.kind === "signal" ? "" : `${words(mark.kind)} `;
      const color = Number(mark.pnl) >= 0 ? colour.gain : colour.loss;
      const position = mark.side === "long" ? "aboveBar" : "belowBar";
      return { time: mark.time, position, shape: "circle", color, text: `${why}${pnl(mark.pnl)}` };
    }));
  }

  #guard(answer) {
    const colour = palette();
    for (const line of this.#lines) this.#series.removePriceLine(line);
    const wanted = [
      [answer.entryPrice, "entry", colour.accent], [answer.stopLoss, "stop", colour.loss],
      [answer.takeProfit, "target", colour.gain],
    ];
    this.#lines = wanted.filter(([at]) => at !== null).map(([at, title, color]) => this.#series.createPriceLine({
      price: Number(at), title, color, lineWidth: 1, lineStyle: LineStyle.Dashed, axisLabelVisible: true,
    }));
  }
}
