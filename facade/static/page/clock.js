// Market time between two answers, and the controls of a demo's clock.

import { call } from "./api.js";
import { byId, h, setAttribute, setText, toast } from "./dom.js";
import { clock as shown, date, whole } from "./format.js";

const SPEEDS = [1, 10, 60, 300, 1200];
/** Beyond this a difference is no hold at a slot but another time: the shown clock follows back too. */
const FOLLOW_BACK_MS = 120_000;

export class MarketClock {
  #anchorMarket = null;
  #anchorReal = 0;
  #speed = 1;
  #paused = false;
  #last = 0;
  #onChange;

  constructor(onChange) {
    this.#onChange = onChange;
  }

  adopt(state) {
    this.#anchorMarket = Date.parse(state.now);
    this.#anchorReal = performance.now();
    this.#speed = state.speed;
    this.#paused = state.paused;
    if (Math.abs(this.#last - this.#anchorMarket) > FOLLOW_BACK_MS) this.#last = 0;
    if (state.demo) this.#controls(state);
  }

  /** Epoch ms of market time now; never a little backwards. Null before the first answer. */
  now() {
    if (this.#anchorMarket === null) return null;
    const elapsed = this.#paused ? 0 : (performance.now() - this.#anchorReal) * this.#speed;
    // Time stands at a minute until its ticks are durable; an answer is about a second old at most.
    this.#last = Math.max(this.#last, this.#anchorMarket + Math.min(elapsed, 1500 * this.#speed));
    return this.#last;
  }

  draw() {
    setText(byId("real-clock"), shown(Date.now()));
    const now = this.now();
    if (now === null) return;
    setText(byId("market-clock"), shown(now));
    const pace = this.#paused ? "paused" : this.#speed === 1 ? "real time" : `${whole(this.#speed)}× speed`;
    setText(byId("market-date"), `${date(now)}, ${pace}`);
  }

  #controls(state) {
    const group = byId("clock-controls");
    if (group.childElementCount === 0) this.#build(group, state.speed);
    for (const button of group.querySelectorAll("[data-speed]")) {
      setAttribute(button, "aria-pressed", Number(button.dataset.speed) === state.speed ? "true" : "false");
    }
    const pause = group.querySelector(".pause");
    setText(pause, state.paused ? "Resume" : "Pause");
    setAttribute(pause, "aria-label", state.paused ? "Let market time run" : "Let market time stand still");
    group.hidden = false;
  }

  #build(group, speed) {
    const offered = SPEEDS.includes(speed) ? SPEEDS : [...SPEEDS, speed].sort((a, b) => a - b);
    const speeds = offered.map((each) => {
      const button = h("button", { type: "button", "data-speed": each, "aria-label": `${each} times real speed` }, `${each}×`);
      button.addEventListener("click", () => this.#set({ speed: each }));
      return button;
    });
    const pause = h("button", { type: "button", class: "pause" });
    pause.addEventListener("click", () => this.#set({ paused: !this.#paused }));
    group.append(pause, h("div", { class: "speeds" }, ...speeds));
  }

  async #set(change) {
    try {
      const answer = await call("POST", "/api/demo/clock", change);
      this.adopt({ ...answer.clock, demo: true });
      this.#onChange();
    } catch (error) {
      toast(error.message);
    }
  }
}
