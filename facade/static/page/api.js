// Requests to our own server: bounded in time, signed in again when the session has run out.

import { authorization, become, isDemo, isSignedIn, signIn } from "./session.js";

const TIMEOUT_MS = 8000;
/** As whom a demo's page acts; null: as its operator. */
let actor = null;

/** `details`: what the server says of single fields or lines, if anything. */
export class Refused extends Error {
  constructor(sentence, answer) {
    super(sentence);
    this.code = answer?.code ?? null;
    this.details = answer?.details ?? [];
  }
}

export class Away extends Error {}

async function send(method, path, body, timeoutMs = TIMEOUT_MS) {
  const headers = { Accept: "application/json", ...authorization() };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  try {
    return await fetch(path, {
      method, headers, credentials: "same-origin", cache: "no-store",
      body: body === undefined ? undefined : JSON.stringify(body), signal: AbortSignal.timeout(timeoutMs),
    });
  } catch (error) {
    throw new Away(error.name === "TimeoutError" ? "The server does not answer." : "The server cannot be reached.");
  }
}

/** Go on as a user of the demo; from here on every request is that user's. */
export async function actAs(user) {
  const response = await send("POST", "/api/demo/act-as", { user });
  const answer = await response.json().catch(() => null);
  if (!response.ok) throw new Refused(answer?.error ?? `The server answered ${response.status}.`, answer);
  actor = user;
  become(answer.token);
}

async function renewed() {
  if (actor === null) return (await send("POST", "/api/demo/login")).ok;
  await actAs(actor);
  return true;
}

/** A response that is fine. Throws Refused with the server's sentence, or Away when nobody answers. */
async function fetched(method, path, body, timeoutMs) {
  if (!isSignedIn()) await signIn(document.body.dataset.signIn);
  let response = await send(method, path, body, timeoutMs);
  if (isDemo && response.status === 401 && await renewed()) response = await send(method, path, body, timeoutMs);
  if (response.ok) return response;
  const answer = await response.json().catch(() => null);
  const sentence = answer?.error ?? `The server answered ${response.status}.`;
  if (!isDemo && (response.status === 401 || response.status === 403)) {
    await signIn(sentence);
    return fetched(method, path, body, timeoutMs);
  }
  throw response.status >= 502 ? new Away(sentence) : new Refused(sentence, answer);
}

/** The answer's body. */
export async function call(method, path, body, timeoutMs) {
  const response = await fetched(method, path, body, timeoutMs);
  return response.json().catch(() => { throw new Refused(`The server answered ${response.status}.`, null); });
}

/** A file of the server's, as it is. */
export async function file(path) {
  return (await fetched("GET", path)).blob();
}
