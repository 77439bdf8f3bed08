// Requests to our own server: bounded in time, signed in again when the session has run out.

import { authorization, isDemo, isSignedIn, signIn } from "./session.js";

const TIMEOUT_MS = 8000;

export class Refused extends Error {}

export class Away extends Error {}

async function send(method, path, body) {
  const headers = { Accept: "application/json", ...authorization() };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  try {
    return await fetch(path, {
      method, headers, credentials: "same-origin", cache: "no-store",
      body: body === undefined ? undefined : JSON.stringify(body), signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch (error) {
    throw new Away(error.name === "TimeoutError" ? "The server does not answer." : "The server cannot be reached.");
  }
}

/** The answer's body. Throws Refused with the server's sentence, or Away when nobody answers. */
export async function call(method, path, body) {
  if (!isSignedIn()) await signIn("This page is for administrators. Paste a token to see it.");
  let response = await send(method, path, body);
  if (isDemo && response.status === 401 && (await send("POST", "/api/demo/login")).ok) {
    response = await send(method, path, body);
  }
  const answer = await response.json().catch(() => null);
  if (response.ok && answer !== null) return answer;
  const sentence = answer?.error ?? `The server answered ${response.status}.`;
  if (!isDemo && (response.status === 401 || response.status === 403)) {
    await signIn(sentence);
    return call(method, path, body);
  }
  throw response.status >= 502 ? new Away(sentence) : new Refused(sentence);
}
