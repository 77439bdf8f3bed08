// The line of figures at the top: what an operator wants to know first.

import { byId, h, keep, setAttribute, setText } from "./dom.js";
import { milliseconds, money, pnl, toneOf, whole } from "./format.js";

export function showFigures(answer) {
  keep(byId("figures"), figures(answer), (figure) => figure.name, makeFigure, update);
}

function figures(answer) {
  const active = answer.runs.filter((run) => run.status === "active").length;
  const held = answer.runs.filter((run) => run.position !== null);
  const open = held.reduce((sum, run) => sum + Number(run.position.unrealised ?? 0), 0);
  const equity = answer.accounts.reduce((sum, account) => sum + Number(account.equity), 0);
  const bankroll = answer.accounts.reduce((sum, account) => sum + Number(account.bankroll), 0);
  const today = answer.users.reduce((sum, user) => sum + Number(user.pnl), 0);
  const shut = answer.users.filter((user) => user.blocked !== null).length;
  const count = answer.tickCounts;
  const ticks = Object.values(count).reduce((sum, each) => sum + each, 0);
  return [
    { name: "Equity", value: money(equity, 0), sub: `${pnl(equity - bankroll)} since start`, tone: null },
    { name: "Realised today", value: pnl(today), sub: "USDT, all users", tone: toneOf(today) },
    { name: "Unrealised", value: pnl(open), sub: `${held.length} open ${held.length === 1 ? "position" : "positions"}`, tone: toneOf(open) },
    { name: "Active runs", value: `${active} / ${answer.runs.length}`, sub: "of all runs", tone: null },
    { name: "Users shut out", value: `${shut} / ${answer.users.length}`, sub: "by a risk gate, now", tone: shut > 0 ? "loss" : null },
    { name: "Ticks, 24 h", value: whole(ticks), sub: `${whole(count.blocked ?? 0)} blocked, ${whole(count.error ?? 0)} failed`, tone: null },
    { name: "Slot to done", value: milliseconds(answer.slotLagMs.p50), sub: `p99 ${milliseconds(answer.slotLagMs.p99)}, market time`, tone: null },
  ];
}

function makeFigure(figure) {
  const box = h("div", {}, h("dt", {}, figure.name), h("dd"), h("dd", { class: "sub" }));
  return box;
}

function update(box, figure) {
  const [, value, sub] = box.children;
  setText(value, figure.value);
  setAttribute(value, "class", figure.tone);
  setText(sub, figure.sub);
}
