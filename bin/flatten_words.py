"""Asking a service to close positions, following it until they are flat, and saying what became of them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

_ASK_EVERY_S: Final = 0.5
_LISTED: Final = 200
_PATH: Final = "/api/runner/flatten"


class Client(Protocol):
    def get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]: ...

    def post(self, path: str, body: Mapping[str, object]) -> dict[str, Any]: ...


def closed(client: Client, target: Mapping[str, str], *, wait_s: float) -> list[dict[str, Any]]:
    """The requests as they stand when all have ended, or when the time is up."""
    until_s = time.monotonic() + wait_s
    asked: list[dict[str, Any]] = client.post(_PATH, target)["flattens"]
    ids = {each["id"] for each in asked}
    while asked and any(each["outcome"] is None for each in asked) and time.monotonic() < until_s:
        time.sleep(min(_ASK_EVERY_S, max(0.0, until_s - time.monotonic())))
        latest = client.get(_PATH, {"limit": str(_LISTED)})["flattens"]
        now = {each["id"]: each for each in latest if each["id"] in ids}
        asked = [now.get(each["id"], each) for each in asked]
    return asked


def flatten_words(flattens: Sequence[Mapping[str, Any]]) -> str:
    if not flattens:
        return "Nothing is open."
    said = {"flat": "flat", "given_up": "given up; see the run's orders", None: "still being closed"}
    return "\n".join(
        f"{each['symbol']} of run {each['runId']}: {said[each['outcome']]}." for each in flattens
    )
