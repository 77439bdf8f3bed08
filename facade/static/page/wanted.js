// What the page's fields and the text ask for, as bodies of requests; and an example put into them.

import { byId } from "./dom.js";

/** Of a document that could be deployed as it stands: what a backtest has no use for. */
const OF_A_RUN = ["name", "tradingMode", "paperBankrollUsd", "executionMode", "schedule", "autoStart", "visibility"];
/** Fields of the page that say the same as a document's; the page's count. */
const OWN = {
  name: "name", symbol: "symbol", timeframe: "timeframe", direction: "direction", leverage: "leverage",
  paperBankrollUsd: "capital", takeProfitPct: "take-profit", stopLossPct: "stop-loss",
};
export const CODE = ["python", "typescript", "javascript"];

/** The text is no JSON; `line` says where. */
export class BadDocument extends Error {
  constructor(error, text) {
    super(error.message);
    const at = /position (\d+)/.exec(error.message);
    this.line = at === null ? null : text.slice(0, Number(at[1])).split("\n").length;
  }
}

function documentOf(text) {
  let held;
  try {
    held = JSON.parse(text);
  } catch (error) {
    throw new BadDocument(error, text);
  }
  return held !== null && "nodes" in Object(held) ? { nodeGraph: held } : { ...held };
}

/** What the strategy is made of: `code` and `type`, or what the document says. */
export function content(language, text) {
  return CODE.includes(language) ? { code: text, type: language } : documentOf(text);
}

function trading() {
  const optional = (id) => (byId(id).value === "" ? null : byId(id).value);
  return {
    symbol: byId("symbol").value, timeframe: byId("timeframe").value, direction: byId("direction").value,
    leverage: Number(byId("leverage").value), takeProfitPct: optional("take-profit"), stopLossPct: optional("stop-loss"),
  };
}

export function toBacktest(made) {
  const kept = Object.entries(made).filter(([name]) => !OF_A_RUN.includes(name));
  return { ...Object.fromEntries(kept), ...trading(), capital: byId("capital").value };
}

export function toDeploy(made) {
  return {
    ...made, ...trading(), name: byId("name").value.trim() || "My strategy", tradingMode: "paper",
    paperBankrollUsd: byId("capital").value, autoStart: true, visibility: byId("publish").checked ? "public" : "private",
  };
}

/** The page's fields as a document says them, for those it names. */
export function follow(made) {
  byId("take-profit").value = byId("stop-loss").value = "";
  byId("leverage").value = 1;
  // A graph alone says nothing of how it is traded; a body that names no direction means both.
  const said = "strategyTemplate" in made ? { direction: "both", ...made } : { direction: "long", ...made };
  for (const [name, id] of Object.entries(OWN)) if (said[name] !== undefined) byId(id).value = said[name] ?? "";
}
