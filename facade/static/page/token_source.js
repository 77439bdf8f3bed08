// What EventSource does, for a stream that wants a header: frames of text/event-stream as events of their type.

import { authorization } from "./session.js";

const FRAME_END = /\r?\n\r?\n/;

export class TokenSource extends EventTarget {
  readyState = EventSource.CONNECTING;

  constructor(address) {
    super();
    this.#read(address).catch(() => null).finally(() => {
      this.readyState = EventSource.CLOSED;
      this.dispatchEvent(new Event("error"));
    });
  }

  async #read(address) {
    const response = await fetch(address, { headers: authorization(), cache: "no-store" });
    if (!response.ok) return;
    this.readyState = EventSource.OPEN;
    this.dispatchEvent(new Event("open"));
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let held = "", part; !(part = await reader.read()).done;) {
      const frames = (held + part.value).split(FRAME_END);
      held = frames.pop();
      frames.forEach((frame) => this.#told(frame));
    }
  }

  #told(frame) {
    const fields = new Map(frame.split(/\r?\n/).map((line) => [line.slice(0, line.indexOf(": ")), line.slice(line.indexOf(": ") + 2)]));
    if (fields.has("data")) this.dispatchEvent(new MessageEvent(fields.get("event"), { data: fields.get("data") }));
  }
}
