// The page: one answer holds all rows; events only hint that there is a newer one.

import { showActors } from "./actors.js";
import { Away, call } from "./api.js";
import { PriceChart } from "./chart.js";
import { MarketClock } from "./clock.js";
import { byId, confirmed, setAttribute, setText, toast } from "./dom.js";
import { EquityChart } from "./equity.js";
import { EventFeed } from "./events.js";
import { accountName, words } from "./format.js";
import { showFigures } from "./figures.js";
import { PositionsTable } from "./positions.js";
import { RiskTable, showSwitch } from "./risk.js";
import { RunsTable } from "./runs.js";
import { isDemo, isSignedIn, signOut } from "./session.js";
import { EventStream } from "./stream.js";
import { TicksTable } from "./ticks.js";

/** At most two answers a second, however many events arrive; without any, one every second. */
const SOONEST_MS = 500;
const LATEST_MS = 1000;
const CHART_MS = 1500;
const ACTORS_MS = 3000;
const CLOCK_MS = 250;

let overview = null;
let fetchedAt = -Infinity;
let chartAt = -Infinity;
let actorsAt = -Infinity;
let timer = null;
let fetching = null;
let streamState = "connecting";

const runNames = () => new Map((overview?.runs ?? []).map((run) => [run.id, run]));
const clock = new MarketClock(refresh);
const chart = new PriceChart(() => {
  chartAt = -Infinity;
  refresh();
});
const runs = new RunsTable({
  onChoose: (id) => {
    chart.choose(id);
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    byId("chart").scrollIntoView({ block: "nearest", behavior: still ? "auto" : "smooth" });
  },
  onChanged: refresh,
});
const risk = new RiskTable();
const positions = new PositionsTable();
const ticks = new TicksTable();
const equity = new EquityChart();
const feed = new EventFeed((id) => runNames().get(id) ?? null);

/** Fetch now; a call during a fetch waits for the one after it. */
async function refresh() {
  if (fetching !== null) await fetching.catch(() => null);
  clearTimeout(timer);
  fetching ??= load().finally(() => {
    fetching = null;
    plan(LATEST_MS);
  });
  await fetching;
}

function plan(inMs) {
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(refresh, inMs);
}

/** An event arrived: fetch soon, but no sooner than the rate allows. */
function hinted() {
  if (fetching === null) plan(Math.max(0, fetchedAt + SOONEST_MS - performance.now()));
}

async function load() {
  fetchedAt = performance.now();
  try {
    overview = await call("GET", "/api/overview");
    show();
    const due = (at, every) => performance.now() - at >= every;
    const more = [];
    if (due(chartAt, CHART_MS)) {
      chartAt = performance.now();
      more.push(chart.refresh(), ticks.refresh(runNames().get(chart.chosen) ?? null));
    }
    if (due(actorsAt, ACTORS_MS)) {
      actorsAt = performance.now();
      more.push(call("GET", "/api/runner/actors").then((answer) => showActors(answer.actors, actorName)));
    }
    await Promise.all(more);
    trouble(null);
  } catch (error) {
    trouble(error);
  }
}

function show() {
  clock.adopt(overview.clock);
  chart.offer(overview.runs);
  showFigures(overview);
  runs.show(overview, chart.chosen);
  risk.show(overview);
  positions.show(overview);
  equity.show(overview);
  showSwitch(overview.killSwitch);
  setText(byId("origin"), overview.origin);
  const live = overview.runs.filter((run) => run.tradingMode === "live").length;
  setText(byId("money"), live === 0 ? "Trades are on paper." : `${live} of ${overview.runs.length} runs trade live.`);
  tick();
}

function tick() {
  clock.draw();
  const now = clock.now();
  if (now === null) return;
  runs.tick(now);
  risk.tick(now);
  positions.tick(now);
}

function actorName(name) {
  const [kind, id] = name.split(":", 2);
  const run = kind === "run" ? runNames().get(id) : undefined;
  if (run !== undefined) return `run: ${run.name}, ${run.userId}`;
  const account = kind === "account" ? overview?.accounts.find((each) => each.accountId === id) : undefined;
  return account === undefined ? words(name) : `account: ${accountName(account)}`;
}

/** What is wrong, if anything, in the header's light and in a banner. */
function trouble(error) {
  const banner = byId("banner");
  const down = Object.entries(overview?.ready ?? {}).filter(([, up]) => !up).map(([name]) => name.replaceAll("_", " "));
  let state = "ok";
  let text = "healthy";
  if (error !== null) [state, text] = ["bad", error instanceof Away ? "disconnected" : "error"];
  else if (down.length > 0) [state, text] = ["bad", `${down.join(", ")} down`];
  else if (streamState === "cut") [state, text] = ["warn", "reconnecting"];
  setAttribute(byId("health"), "data-state", state);
  setText(byId("health-text"), text);
  const old = overview === null ? "" : " What is shown is the last that was heard.";
  banner.hidden = error === null;
  setText(banner, error === null ? "" : `${error.message}${old} Trying again…`);
}

function streamed(state) {
  streamState = state;
  setText(byId("stream-state"), state === "live" ? "live" : "reconnecting…");
  if (byId("banner").hidden) trouble(null);
}

async function toggleSwitch() {
  const turnOn = !overview.killSwitch.on;
  const sure = await confirmed(turnOn
    ? {
      title: "Turn the kill switch on?", yes: "Turn it on",
      text: "No new order leaves, exits included, until it is turned off again. Paper stops and targets still work.",
    }
    : { title: "Turn the kill switch off?", yes: "Turn it off", text: "Active runs trade again from their next slot." });
  if (!sure) return;
  try {
    await call("PUT", "/api/runner/kill-switch", { on: turnOn, reason: "turned on the page" });
    await refresh();
  } catch (error) {
    toast(error.message);
  }
}

async function listen() {
  try {
    const recent = await call("GET", "/api/overview/events");
    feed.begin(recent.events);
    new EventStream({
      lastId: recent.lastId,
      onEvent: (event) => {
        feed.add(event);
        hinted();
      },
      onState: streamed,
    });
  } catch {
    setTimeout(listen, LATEST_MS);
  }
}

if (!isDemo) {
  byId("sign-out").hidden = !isSignedIn();
  byId("sign-out").addEventListener("click", signOut);
}
byId("kill-switch").addEventListener("click", toggleSwitch);
document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : refresh()));
setInterval(tick, CLOCK_MS);
await refresh();
await listen();
