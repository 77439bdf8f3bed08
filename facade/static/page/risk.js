// Each user's risk day against its limits, why entries are shut, and which gates have been at work.

import { byId, cell, chip, emptyRow, fill, h, keep, setAttribute, setText } from "./dom.js";
import { NONE, countdown, money, pnl, toneOf, whole, words } from "./format.js";

const COLUMNS = 7;

export class RiskTable {
  #body = byId("risk-body");

  show(answer) {
    if (answer.users.length === 0) {
      emptyRow(this.#body, COLUMNS, "Nobody has traded yet.");
      return;
    }
    this.#body.shownSignature = null;
    // In a fixed order: a row that jumps away when its user is blocked cannot be read.
    const users = [...answer.users].sort((one, other) => one.userId.localeCompare(other.userId));
    keep(this.#body, users, (user) => user.userId, makeRow, update);
  }

  tick(now) {
    for (const row of this.#body.rows) {
      if (row.user === undefined) continue;
      const until = row.user.cooldownUntil;
      const left = until === null ? 0 : Date.parse(until) - now;
      setText(row.parts.cooldown.firstChild, left > 0 ? countdown(left) : NONE);
    }
  }
}

function makeRow(user) {
  const parts = {
    user: cell(null, { share: "full" }), entries: cell(null, { share: "full" }), pnl: cell("PnL today / limit"), trades: cell("Trades today"),
    streak: cell("Losses in a row"), cooldown: cell("Cool-down", { numeric: true }), gates: cell("Gates at work", { share: "most" }),
  };
  parts.user.append(h("strong", {}, user.userId));
  parts.cooldown.append(h("span"));
  const { user: who, entries, pnl: day, trades, streak, cooldown, gates } = parts;
  const row = h("tr", {}, who, entries, day, trades, streak, cooldown, gates);
  row.parts = parts;
  return row;
}

function update(row, user) {
  row.user = user;
  const { parts } = row;
  const tone = user.blocked === "cooldown" ? "info" : "bad";
  fill(parts.entries, `${user.blocked}|${user.why}`, () => user.blocked === null ? chip("open", "good") : [
    chip(words(user.blocked), tone), h("span", { class: "sub" }, user.why),
  ]);
  const lost = Math.max(0, -Number(user.pnl)) / Number(user.maxLoss);
  gauge(parts.pnl, `${pnl(user.pnl)}|${user.maxLoss}`, lost, [
    h("span", { class: toneOf(user.pnl) }, pnl(user.pnl)), h("span", { class: "limit" }, ` / ${money(-user.maxLoss, 0)}`),
  ], "loss");
  ofLimit(parts.trades, user.trades, user.maxTrades);
  ofLimit(parts.streak, user.streak, user.maxStreak);
  gates(parts.gates, user.gates);
}

function ofLimit(element, count, most) {
  const text = [String(count), h("span", { class: "limit" }, ` / ${most}`)];
  gauge(element, `${count}|${most}`, most === 0 ? 1 : count / most, text, "calm");
}

function gauge(element, signature, share, text, tone) {
  fill(element, signature, () => {
    const level = h("i");
    level.style.width = `${Math.min(100, share * 100).toFixed(1)}%`;
    const shown = share >= 1 ? "loss" : share >= 0.75 ? "warn" : tone;
    return [...text, h("span", { class: "bar", "data-tone": shown, "aria-hidden": "true" }, level)];
  });
}

function gates(element, list) {
  fill(element, JSON.stringify(list), () => list.length === 0
    ? h("span", { class: "quiet" }, "none yet")
    : h("div", { class: "gates" }, ...list.map(gateChip)));
}

function gateChip({ gate, pauses, ticks }) {
  const counts = [
    pauses > 0 ? `${whole(pauses)} ${pauses === 1 ? "pause" : "pauses"}` : null,
    ticks > 0 ? `${whole(ticks)} ${ticks === 1 ? "tick" : "ticks"}` : null,
  ].filter(Boolean).join(", ");
  return chip(`${words(gate)}: ${counts}`, "calm", "Pauses it began, ticks it blocked");
}

/** The switch of the whole installation, in the header. */
export function showSwitch(state) {
  const button = byId("kill-switch");
  button.disabled = false;
  setAttribute(button, "data-on", state.on ? "true" : "false");
  setText(button, state.on ? "Kill switch is on" : "Kill switch off");
  setAttribute(button, "title", state.on ? state.reason : "Stops all new orders at once");
}
