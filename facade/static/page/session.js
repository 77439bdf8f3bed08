// Who is using the page. A demo's page has a cookie that no script can read. Any other asks for a token and keeps it for
// this tab alone: it goes out in a header, never in an address or a cookie, so no other page can make use of it.

import { byId } from "./dom.js";

const KEPT_AS = "token";

export const isDemo = document.body.hasAttribute("data-demo");
let asking = null;
let acting = null;

/** A demo's page goes on as one of the demo's users, whose token this is; without one it has its cookie. */
export function become(token) {
  acting = token;
}

/** Headers of a request in the signed-in user's name. */
export function authorization() {
  const token = isDemo ? acting : sessionStorage.getItem(KEPT_AS);
  return token === null ? {} : { Authorization: `Bearer ${token}` };
}

export function isSignedIn() {
  return isDemo || sessionStorage.getItem(KEPT_AS) !== null;
}

/** Forget the token and ask for one; all who ask meanwhile wait for the same answer. */
export function signIn(why) {
  sessionStorage.removeItem(KEPT_AS);
  asking ??= ask(why).finally(() => { asking = null; });
  return asking;
}

export function signOut() {
  sessionStorage.removeItem(KEPT_AS);
  location.reload();
}

function ask(why) {
  const dialog = byId("sign-in");
  const field = byId("sign-in-token");
  byId("sign-in-text").textContent = why;
  byId("sign-out").hidden = true;
  field.value = "";
  return new Promise((resolve) => {
    const keep = (event) => event.preventDefault(); // Escape leaves nothing to go on with
    dialog.addEventListener("cancel", keep);
    dialog.addEventListener("close", () => {
      dialog.removeEventListener("cancel", keep);
      sessionStorage.setItem(KEPT_AS, field.value.trim().replace(/^bearer\s+/i, ""));
      field.value = "";
      byId("sign-out").hidden = false;
      resolve();
    }, { once: true });
    if (!dialog.open) dialog.showModal();
  });
}
