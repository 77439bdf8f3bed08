// The page of strategies: write one, see what is wrong with it, try it, deploy it, subscribe to others'.

import { AlertKeys } from "./alerts.js";
import { Away, actAs, call } from "./api.js";
import { byId, fill, h, setText, toast } from "./dom.js";
import { Editor } from "./editor.js";
import { price, words } from "./format.js";
import { Market } from "./market.js";
import { OwnRuns } from "./own.js";
import { isDemo, isSignedIn, signOut } from "./session.js";
import { Trials } from "./trials.js";
import { BadDocument, CODE, content, follow, toBacktest, toDeploy } from "./wanted.js";

const REFRESH_MS = 2500;
const VALIDATE_MS = 45_000;
const KEPT_AS = "acting";
const STARTS = { python: "sma_position", typescript: "sma_position" };
const ENDINGS = { python: ".py", typescript: ".ts", graph: " (graph)", template: " (built in)" };

let examples = [];
/** The text as it was put there: what nobody has changed may be replaced unasked. */
let pristine = "";
let timer = null;
let refreshing = null;

const editor = new Editor(() => say([]));
const trials = new Trials();
const alerts = new AlertKeys();
const own = new OwnRuns(refresh, (strategy) => alerts.open(strategy));
const market = new Market(async (runId) => {
  own.choose(runId);
  await refresh();
});

async function refresh() {
  if (refreshing !== null) await refreshing;
  clearTimeout(timer);
  refreshing ??= load().finally(() => {
    refreshing = null;
    clearTimeout(timer);
    if (!document.hidden) timer = setTimeout(refresh, REFRESH_MS);
  });
  await refreshing;
}

async function load() {
  const banner = byId("banner");
  try {
    await market.refresh(await own.refresh());
    banner.hidden = true;
  } catch (error) {
    banner.hidden = false;
    setText(banner, `${error.message} Trying again…`);
  }
}

/** What the page says of the strategy: lines of text or elements, in place of what it said before. */
function say(children, tone = "calm") {
  const box = byId("said");
  box.dataset.tone = tone;
  box.replaceChildren(...children);
}

function complain(errors) {
  editor.mark(errors);
  const first = errors.find((error) => error.line !== null && error.line !== undefined);
  if (first !== undefined) editor.show(first.line);
  say(errors.map((error) => {
    const where = [error.node, error.port, error.field].filter(Boolean).join(".");
    const place = error.line ? lineButton(error.line) : where === "" ? null : h("b", {}, `${where}: `);
    const hint = error.hint ? h("span", { class: "hint" }, error.hint) : null;
    return h("p", {}, place, error.message, hint);
  }), "bad");
}

function lineButton(line) {
  const button = h("button", { type: "button", class: "link to-line" }, `Line ${line}`);
  button.addEventListener("click", () => editor.goTo(line));
  return button;
}

/** Of a request that was refused: its sentence, and what of it names a field. */
function refused(error) {
  const named = (error.details ?? []).filter((detail) => detail.field && !error.message.includes(detail.message));
  complain([{ line: null, message: error.message }, ...named.map(({ field, message }) => ({ line: null, field, message }))]);
  if (error instanceof Away) toast(error.message);
}

/** What the text is, or null after saying why it cannot be read. */
function read() {
  if (editor.text.trim() === "") {
    complain([{ line: null, message: "There is no strategy yet: write one, paste one, or choose an example." }]);
    return null;
  }
  try {
    return content(byId("language").value, editor.text);
  } catch (error) {
    if (!(error instanceof BadDocument)) throw error;
    complain([{ line: error.line, message: error.message }]);
    return null;
  }
}

/** Whether it may be tried further. */
async function checked(made) {
  if (made.code === undefined && made.nodeGraph === undefined) return true;
  const { code, type, nodeGraph, strategyParams } = made;
  const asked = { code, type, nodeGraph, params: strategyParams, symbol: byId("symbol").value, timeframe: byId("timeframe").value };
  const found = await call("POST", "/api/strategies/validate", asked, VALIDATE_MS);
  if (!found.ok) complain(found.errors);
  else fine(found);
  if (found.log !== "") byId("said").append(h("p", { class: "sub" }, "It printed:"), h("pre", {}, found.log));
  return found.ok;
}

function fine(found) {
  editor.mark([]);
  const seen = Object.entries(found.indicators).map(([name, value]) => `${name} ${price(value)}`).join(", ");
  const facts = [`Looks back ${found.lookback} candles${found.usesPosition ? " and at its position" : ""}.`];
  for (const each of found.parameters ?? []) facts.push(`${each.name} = ${each.default} (${each.minimum} to ${each.maximum})${each.meaning ? `: ${each.meaning}` : ""}`);
  say([
    h("p", {}, h("b", {}, "It runs. "), `At the last of ${found.evaluations} sample slots it says ${words(found.signal)}${seen === "" ? "" : `, with ${seen}`}.`),
    ...facts.map((fact) => h("p", { class: "sub" }, fact)),
  ], "good");
}

/** One thing at a time: its button waits, what is refused is said. */
async function attempt(button, deed) {
  const buttons = ["check", "backtest", "deploy"].map(byId);
  for (const each of buttons) each.disabled = true;
  button.setAttribute("aria-busy", "true");
  try {
    const made = read();
    if (made !== null && await checked(made)) await deed(made);
  } catch (error) {
    refused(error);
  }
  button.removeAttribute("aria-busy");
  for (const each of buttons) each.disabled = false;
}

async function check(made) {
  if (made.code !== undefined || made.nodeGraph !== undefined) return;
  const why = made.type === "external" ? "Its signals come from outside: deploy it, then make a key for alerts below."
    : "It is built in; its parameters are checked when it is backtested or deployed.";
  say([h("p", {}, why)]);
}

async function deploy(made) {
  const answer = await call("POST", "/api/strategies/deploy", toDeploy(made), VALIDATE_MS);
  const next = made.type === "external" ? "It acts upon what is sent to it: see Alerts at its run."
    : `Its next slot is at ${answer.run.nextSlotAt?.slice(11, 19) ?? "its schedule"}.`;
  const shared = byId("publish").checked ? " Others can subscribe to it." : "";
  say([h("p", {}, h("b", {}, "It is deployed on paper. "), `${next}${shared}`)], "good");
  own.choose(answer.runId);
  await refresh();
  byId("own").scrollIntoView({ block: "nearest" });
}

function put(example) {
  const code = CODE.includes(example.type);
  byId("language").value = code ? example.type : "json";
  editor.text = pristine = example.text;
  byId("name").value = words(example.name).replace(/^./, (letter) => letter.toUpperCase());
  if (!code) {
    try {
      follow(content("json", example.text));
    } catch {
      toast("The example cannot be read.");
    }
  }
  say([]);
}

/** A language is chosen: the text of the other one's beginning gives way to its own. */
function switched() {
  const language = byId("language").value;
  const start = examples.find((each) => each.type === language && each.name === STARTS[language]);
  if (start !== undefined && (editor.text === pristine || editor.text.trim() === "")) put(start);
  say([]);
  editor.mark([]);
}

async function offer() {
  examples = (await call("GET", "/api/strategies/examples")).examples;
  fill(byId("examples"), String(examples.length), () => [
    h("option", { value: "" }, "examples …"),
    ...examples.map((each, at) => h("option", { value: at }, `${words(each.name)}${ENDINGS[each.type]}`)),
  ]);
  const start = examples.find((each) => each.type === "python" && each.name === STARTS.python);
  if (start !== undefined && editor.text === "") put(start);
}

async function actingAs(user) {
  sessionStorage.setItem(KEPT_AS, user);
  await actAs(user);
  trials.forget();
  alerts.close();
  own.choose(null);
}

byId("write").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(byId("check"), check);
});
byId("backtest").addEventListener("click", (event) => attempt(event.currentTarget, (made) => trials.begin(toBacktest(made))));
byId("deploy").addEventListener("click", (event) => attempt(event.currentTarget, deploy));
byId("code").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) byId("write").requestSubmit();
});
byId("language").addEventListener("change", switched);
byId("examples").addEventListener("change", (event) => {
  const chosen = examples[Number(event.target.value)];
  if (event.target.value !== "" && chosen !== undefined) put(chosen);
  event.target.value = "";
});
document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : refresh()));
if (isDemo) {
  const acting = byId("acting");
  acting.value = sessionStorage.getItem(KEPT_AS) ?? acting.value;
  acting.addEventListener("change", () => actingAs(acting.value).then(refresh).catch((error) => toast(error.message)));
  await actingAs(acting.value);
} else {
  byId("sign-out").hidden = !isSignedIn();
  byId("sign-out").addEventListener("click", signOut);
}
await offer().catch((error) => toast(error.message));
await refresh();
