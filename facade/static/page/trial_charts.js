// A backtest's candles with its entries and exits, and its equity below its capital or above.

import { byId } from "./dom.js";
import { times } from "./equity.js";
import { pnl, priceDigits, words } from "./format.js";
import { onSchemeChange, palette } from "./palette.js";

const { createChart, createSeriesMarkers, CandlestickSeries } = window.LightweightCharts;
const uPlot = window.uPlot;
/** With more trades on the chart, what each brought is left to the table of the report. */
const MOST_NAMED = 12;

export class TrialCharts {
  #candleBox = byId("result-chart");
  #equityBox = byId("result-equity");
  #chart = null;
  #series = null;
  #markers = null;
  #plot = null;
  #last = null;

  constructor() {
    new ResizeObserver(() => this.#resize()).observe(this.#equityBox);
    onSchemeChange(() => {
      if (this.#last !== null) this.show(...this.#last);
    });
  }

  show(candles, points, trades, capital) {
    this.#last = [candles, points, trades, capital];
    this.#drawCandles(candles, trades);
    this.#drawEquity(points, capital);
  }

  #drawCandles({ times: opens, open, high, low, close }, trades) {
    if (this.#chart === null) {
      this.#chart = createChart(this.#candleBox, { autoSize: true });
      this.#series = this.#chart.addSeries(CandlestickSeries, {});
      this.#markers = createSeriesMarkers(this.#series, []);
    }
    const colour = palette();
    this.#chart.applyOptions({
      layout: {
        background: { color: colour.surface }, textColor: colour.soft, fontFamily: colour.font, fontSize: 11,
        attributionLogo: true,
      },
      grid: { vertLines: { visible: false }, horzLines: { color: colour.line } },
      rightPriceScale: { borderColor: colour.line },
      timeScale: { borderColor: colour.line, timeVisible: true, secondsVisible: false },
      handleScroll: { vertTouchDrag: false },
    });
    const digits = opens.length === 0 ? 2 : priceDigits(close.at(-1));
    this.#series.applyOptions({
      upColor: colour.gain, borderUpColor: colour.gain, wickUpColor: colour.gain,
      downColor: colour.loss, borderDownColor: colour.loss, wickDownColor: colour.loss,
      priceFormat: { type: "price", precision: digits, minMove: 10 ** -digits },
    });
    this.#series.setData(opens.map((time, at) => ({ time, open: open[at], high: high[at], low: low[at], close: close[at] })));
    this.#markers.setMarkers(marks(trades, opens, colour));
    this.#chart.timeScale().fitContent();
  }

  #drawEquity(points, capital) {
    this.#plot?.destroy();
    const colour = palette();
    const rule = { stroke: colour.line, width: 1 };
    const axis = { stroke: colour.soft, font: `11px ${colour.font}`, grid: rule, ticks: rule };
    const end = points.length === 0 ? capital : points.at(-1).equityUsdt;
    const data = [points.map((point) => Date.parse(point.at) / 1000), points.map((point) => point.equityUsdt)];
    this.#plot = new uPlot({
      ...this.#size(), padding: [8, 10, 0, 0], legend: { show: false }, cursor: { drag: { x: false, y: false } },
      tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "UTC"),
      axes: [{ ...axis, space: 80, values: times }, { ...axis, size: 58 }],
      scales: { y: { range: (_, low, high) => [low - (high - low || 10) * 0.08, high + (high - low || 10) * 0.08] } },
      series: [{}, { label: "equity", stroke: end >= capital ? colour.gain : colour.loss, width: 1.5, points: { show: false } }],
    }, data, this.#equityBox);
  }

  #size() {
    return { width: Math.max(120, this.#equityBox.clientWidth - 4), height: this.#equityBox.clientHeight - 8 };
  }

  #resize() {
    if (this.#equityBox.clientWidth > 0) this.#plot?.setSize(this.#size());
  }
}

/** Arrows where trades begin, dots where they end, each on the candle it fell into, in their order. */
function marks(trades, opens, colour) {
  const named = trades.length <= MOST_NAMED;
  const found = trades.flatMap((trade) => {
    const long = trade.side === "long";
    const why = trade.exitReason === "signal" ? "" : `${words(trade.exitReason)} `;
    return [
      {
        time: candleOf(Date.parse(trade.entryTime) / 1000, opens), position: long ? "belowBar" : "aboveBar",
        shape: long ? "arrowUp" : "arrowDown", color: colour.accent, text: named ? trade.side : "",
      },
      {
        time: candleOf(Date.parse(trade.exitTime) / 1000, opens), position: long ? "aboveBar" : "belowBar", shape: "circle",
        color: Number(trade.pnl) >= 0 ? colour.gain : colour.loss, text: named ? `${why}${pnl(trade.pnl)}` : "",
      },
    ];
  });
  return found.filter((mark) => mark.time !== null).sort((one, other) => one.time - other.time);
}

/** The last candle that had opened by then; null before the first. */
function candleOf(at, opens) {
  let low = 0;
  let high = opens.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (opens[middle] <= at) low = middle + 1;
    else high = middle;
  }
  return low === 0 ? null : opens[low - 1];
}
