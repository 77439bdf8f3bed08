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

  function lines(host, { label, values, stroke, height, format, key }) {
    const axis = { stroke: color("faint"), grid: { stroke: color("line"), width: 1 }, ticks: { stroke: color("line"), width: 1 } };
    const options = {
      width: host.clientWidth,
      padding: [8, 24, 0, 0],
      height,
      tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "Etc/UTC"),
      cursor: { sync: { key: "time" }, drag: { x: true, y: false } },
      series: [
        { label: "UTC", value: "{YYYY}-{MM}-{DD} {HH}:{mm}" },
        { label, stroke: color(stroke), width: 1.5, fill: `${color(stroke)}22`, fillTo: key === "drawdown" ? 0 : undefined,
          value: (_, value) => (value === null ? "—" : format(value)), points: { show: false } },
      ],
      axes: [{ ...axis, values: moments }, { ...axis, size: 66, values: (_, ticks) => ticks.map(format) }],
    };
    return new uPlot(options, [data.equity.time, values], host);
  }

  function drawLines() {
    const number = (value) => value.toLocaleString("en-US", { maximumFractionDigits: 2 });
    const charts = [
      ["equity", { label: "Equity, USDT", values: data.equity.equity, stroke: "accent", format: number, heights: [300, 220] }],
      ["drawdown", { label: "Drawdown, %", values: data.equity.drawdown, stroke: "down", format: number, heights: [160, 130] }],
    ];
    return charts.map(([key, chart]) => {
      const host = document.getElementById(key);
      host.replaceChildren();
      return [host, lines(host, { ...chart, key, height: chartHeight(...chart.heights) })];
    });
  }

  drawPrice(document.getElementById("price"));
  let drawn = drawLines();
  dark.addEventListener("change", () => { drawn = drawLines(); });
  addEventListener("resize", () => {
    for (const [host, chart] of drawn) chart.setSize({ width: host.clientWidth, height: chart.height });
  });
})();
