"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const chartHeight = (wide, narrow) => (innerWidth < 640 ? narrow : wide);

  function drawPrice(host) {
    const lib = LightweightCharts;
    const chart = lib.createChart(host, { autoSize: true, ...priceLook() });
    const minMove = 10 ** -data.digits;
    const series = chart.addSeries(lib.CandlestickSeries, {
      ...candleLook(),
      priceFormat: { type: "price", precision: data.digits, minMove },
    });
    const { time, open, high, low, close } = data.candles;
    series.setData(time.map((at, i) => ({ time: at, open: open[i], high: high[i], low: low[i], close: close[i] })));
    const markers = lib.createSeriesMarkers(series, data.markers.map(marker));
    dark.addEventListener("change", () => {
      chart.applyOptions(priceLook());
      series.applyOptions(candleLook());
      markers.setMarkers(data.markers.map(marker));
    });
    // A trade is seen at a few hundred candles, not at twenty thousand.
    const shown = chartHeight(300, 120);
    const scale = chart.timeScale();
    const newest = () => scale.setVisibleLogicalRange({ from: time.length - shown, to: time.length + 4 });
    document.getElementById("whole").addEventListener("click", () => scale.fitContent());
    document.getElementById("newest").addEventListener("click", newest);
    if (time.length > 4 * shown) newest();
    else scale.fitContent();
  }

  const priceLook = () => ({
    layout: { background: { color: color("panel") }, textColor: color("faint"), attributionLogo: true },
    grid: { vertLines: { color: color("line") }, horzLines: { color: color("line") } },
    timeScale: { timeVisible: data.timeframe !== "1d", borderColor: color("line"), minBarSpacing: 0.01 },
    rightPriceScale: { borderColor: color("line") },
    handleScroll: { vertTouchDrag: false },
  });
  const candleLook = () => ({
    upColor: color("up"), wickUpColor: color("up"), downColor: color("down"), wickDownColor: color("down"),
    borderVisible: false,
  });
  function marker({ time, leg, side, won }) {
    const long = side === "long";
    if (leg === "exit") {
      return { time, position: long ? "aboveBar" : "belowBar", shape: "circle", color: color(won ? "up" : "down") };
    }
    return {
      time, position: long ? "belowBar" : "aboveBar", shape: long ? "arrowUp" : "arrowDown", color: color("accent"),
    };
  }

  const inUtc = (options) => new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", ...options });
  const clock = inUtc({ hour: "2-digit", minute: "2-digit" });
  const day = inUtc({ day: "numeric", month: "short" });
  const month = inUtc({ month: "short", year: "numeric" });
  function moments(_, ticks, axis, space, step) {
    const form = step >= 28 * 86400 ? month : step >= 86400 ? day : clock;
    return ticks.map((at) => (form === clock && at % 86400 === 0 ? day : form).format(at * 1000));
  }

  function lines(host, { time, series, height, format, sync, incrs }) {
    const axis = { stroke: color("faint"), grid: { stroke: color("line"), width: 1 }, ticks: { stroke: color("line"), width: 1 } };
    const options = {
      width: host.clientWidth,
      padding: [8, 24, 0, 0],
      height,
      tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "Etc/UTC"),
      cursor: { sync: { key: sync }, drag: { x: true, y: false } },
      series: [
        { label: "UTC", value: "{YYYY}-{MM}-{DD} {HH}:{mm}" },
        ...series.map(({ label, stroke, fill, stepped }) => ({
          label, stroke: color(stroke), width: 1.5, fill: fill ? `${color(stroke)}22` : undefined, fillTo: fill?.to,
          paths: stepped ? uPlot.paths.stepped({ align: 1 }) : undefined,
          value: (_, value) => (value == null ? "—" : format(value)), points: { show: false },
        })),
      ],
      axes: [{ ...axis, values: moments }, { ...axis, size: 66, space: 24, incrs, values: (_, ticks) => ticks.map(format) }],
    };
    return new uPlot(options, [time, ...series.map(({ values }) => values)], host);
  }

  const STROKES = ["accent", "down", "up"];

  /** What the strategy wants seen, a chart after the other; lines alone are filled down to 0. */
  function indicatorCharts() {
    const { time, values, charts } = data.indicators ?? { charts: [] };
    return charts.map(({ indicators, stepped }, place) => {
      const series = indicators.map((name, number) => ({
        label: name, values: values[name], stroke: STROKES[number % STROKES.length], stepped,
        fill: indicators.length === 1 ? { to: 0 } : undefined,
      }));
      return [`indicators-${place}`, { time, series, heights: [170, 140], sync: "indicators", incrs: stepped ? [1, 2, 5, 10] : undefined }];
    });
  }

  function drawLines() {
    const format = (value) => value.toLocaleString("en-US", { maximumFractionDigits: 2 });
    const { time, equity, drawdown } = data.equity;
    const charts = [
      ["equity", { time, heights: [300, 220], sync: "time",
        series: [{ label: "Equity, USDT", values: equity, stroke: "accent", fill: {} }] }],
      ["drawdown", { time, heights: [160, 130], sync: "time",
        series: [{ label: "Drawdown, %", values: drawdown, stroke: "down", fill: { to: 0 } }] }],
      ...indicatorCharts(),
    ];
    return charts.map(([id, chart]) => {
      const host = document.getElementById(id);
      host.replaceChildren();
      return [host, lines(host, { ...chart, format, height: chartHeight(...chart.heights) })];
    });
  }

  drawPrice(document.getElementById("price"));
  let drawn = drawLines();
  dark.addEventListener("change", () => { drawn = drawLines(); });
  addEventListener("resize", () => {
    for (const [host, chart] of drawn) chart.setSize({ width: host.clientWidth, height: chart.height });
  });
})();
