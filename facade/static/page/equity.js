// Profit and loss of every portfolio over market time: steps where something was booked, then what is open now.

import { byId, fill, h } from "./dom.js";
import { accountName, pnl, toneOf } from "./format.js";
import { curveColour, onSchemeChange, palette } from "./palette.js";

const uPlot = window.uPlot;
const MAX_CURVES = 10;
/** As many bookings of an account as an answer holds. */
const MAX_POINTS = 200;
const SHORTEST_S = 1800;
const SVG = "http://www.w3.org/2000/svg";

export class EquityChart {
  #box = byId("equity");
  #legend = byId("equity-legend");
  #plot = null;
  #drawn = "";
  #last = null;
  #empty = h("p", { class: "empty" }, "No portfolio has been traded on yet.");

  constructor() {
    this.#box.append(this.#empty);
    new ResizeObserver(() => this.#resize()).observe(this.#box);
    onSchemeChange(() => {
      this.#drawn = "";
      if (this.#last !== null) this.show(this.#last);
    });
  }

  show(answer) {
    this.#last = answer;
    const accounts = answer.accounts.slice(0, MAX_CURVES);
    this.#empty.hidden = accounts.length > 0;
    if (accounts.length === 0) return;
    const now = Date.parse(answer.clock.now) / 1000;
    const first = Math.min(now - SHORTEST_S, ...accounts.flatMap((account) => account.times.slice(0, 1)));
    const data = uPlot.join(accounts.map((account) => curve(account, first, now)));
    const names = accounts.map((account) => account.accountId).join();
    if (names !== this.#drawn) {
      this.#drawn = names;
      this.#build(accounts, data);
    } else {
      this.#plot.setData(data);
    }
    this.#tell(accounts, answer.accounts.length - accounts.length + answer.accountsLeftOut);
  }

  #build(accounts, data) {
    this.#plot?.destroy();
    const colour = palette();
    const rule = { stroke: colour.line, width: 1 };
    const axis = { stroke: colour.soft, font: `11px ${colour.font}`, grid: rule, ticks: rule };
    this.#plot = new uPlot({
      ...this.#size(), padding: [8, 10, 0, 0], legend: { show: false }, cursor: { drag: { x: false, y: false } },
      tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "UTC"),
      scales: { y: { range: (_, low, high) => around(low, high) } },
      axes: [
        { ...axis, space: 90, values: times },
        { ...axis, size: 58, values: (_, marks) => marks.map((mark) => String(mark).replace("-", "−")) },
      ],
      series: [{}, ...accounts.map((account, at) => ({
        label: account.name, stroke: curveColour(at), width: 1.5, points: { show: false }, spanGaps: true,
        paths: uPlot.paths.stepped({ align: 1 }),
      }))],
    }, data, this.#box);
  }

  #size() {
    const style = getComputedStyle(this.#box);
    const across = parseFloat(style.paddingLeft) + parseFloat(style.paddingRight);
    const down = parseFloat(style.paddingTop) + parseFloat(style.paddingBottom);
    return { width: Math.max(120, this.#box.clientWidth - across), height: this.#box.clientHeight - down };
  }

  #resize() {
    if (this.#plot !== null) this.#plot.setSize(this.#size());
  }

  #tell(accounts, leftOut) {
    const gains = accounts.map((account) => Number(account.equity) - Number(account.bankroll));
    fill(this.#legend, `${this.#drawn}|${gains.map(pnl)}|${leftOut}|${curveColour(0)}`, () => [
      ...accounts.map((account, at) => h("li", {},
        sample(curveColour(at)), accountName(account), h("span", { class: toneOf(gains[at]) }, pnl(gains[at])))),
      leftOut > 0 ? h("li", { class: "quiet" }, `and ${leftOut} more`) : null,
    ]);
  }
}

function curve(account, first, now) {
  const bankroll = Number(account.bankroll);
  // All of its bookings are here: it stood at nothing before the first of them.
  const points = new Map(account.times.length < MAX_POINTS ? [[first, 0]] : []);
  // Times must rise: of several bookings at one instant the last one counts.
  account.times.forEach((time, at) => points.set(time, account.balances[at] - bankroll));
  const current = Number(account.equity) - bankroll;
  points.set(Math.max(now, ...points.keys()), current);
  return [[...points.keys()], [...points.values()]];
}

/** Some room around, and never a scale so fine that nothing looks like a swing. */
function around(low, high) {
  const least = 5;
  const room = Math.max((high - low) * 0.08, least - (high - low) / 2, 0);
  return [low - room, high + room];
}

/** Labels of a time axis, in UTC, the day where the axis begins. */
export function times(plot, marks, _, __, step) {
  return marks.map((mark, at) => {
    const text = new Date(mark * 1000).toISOString();
    const day = new Date(mark * 1000).toLocaleDateString("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
    if (step >= 86_400) return day;
    return at === 0 ? `${day} ${text.slice(11, 16)}` : text.slice(11, 16);
  });
}

function sample(colour) {
  const line = document.createElementNS(SVG, "svg");
  line.setAttribute("viewBox", "0 0 14 8");
  line.setAttribute("aria-hidden", "true");
  const stroke = document.createElementNS(SVG, "path");
  stroke.setAttribute("d", "M0 4h14");
  stroke.setAttribute("stroke", colour);
  stroke.setAttribute("stroke-width", "2.5");
  line.append(stroke);
  return line;
}
