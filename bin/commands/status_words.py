"""Statuses, reasons and gates of the service's answers in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from facade.report.prose import reason_text

_NOT_TICKING: Final = {
    "draft": "It has not been started",
    "paused": "It is paused",
    "stopped": "It is stopped",
    "auto_paused": "It was paused after failures of its venue",
    "error": "It ended in an error",
    "archived": "It is archived",
}
_HELD: Final = frozenset({"hold", None})


def tick_words(tick: Mapping[str, Any]) -> str:
    """What one tick came to: `hold`, `long, ok`, `blocked: daily loss limit reached`."""
    signal, status, reason = tick["signal"], tick["status"], tick["reason"]
    why = f": {reason_text(reason).lower()}" if reason else ""
    if status == "ok":
        return str(signal or "ok") + why
    return f"{signal}, {status}{why}" if signal else f"{status}{why}"


def trigger_words(tick: Mapping[str, Any]) -> str:
    """Who asked for the slot, the winner first: `timer -2.0 s, then candle +0.1 s`; `nobody` for most missed ones."""
    asked = [] if tick["status"] == "missed" else [_ask_words(tick["source"], tick["lateMs"])]
    asked += [_ask_words(lost["source"], lost["lateMs"]) for lost in tick["lostTriggers"]]
    return ", then ".join(asked) or "nobody"


def gate_words(reason: str) -> str:
    """Why a user's entries are refused."""
    return f"entries blocked, {reason_text(reason).lower()}"


def _ask_words(source: str, late_ms: float | None) -> str:
    return source if late_ms is None else f"{source} {late_ms / 1_000:+.1f} s"


def why_no_trade(
    run: Mapping[str, Any], ticks: list[Mapping[str, Any]], status: Mapping[str, Any]
) -> list[str]:
    """What keeps the run from trading now, outermost first; then what its newest tick came to."""
    found = []
    if not status["enabled"]:
        found.append("The runner is disabled (ENABLE_STRATEGY_RUNNER): nothing ticks.")
    if status["killSwitch"]:
        found.append(f"The global kill switch is on: {status['killSwitchReason'] or 'no reason given'}.")
    if run["status"] in _NOT_TICKING:
        message = f": {run['errorMessage']}" if run["errorMessage"] else ""
        found.append(f"{_NOT_TICKING[run['status']]}{message.rstrip('.')}.")
    elif run["executionMode"] == "MANUAL":
        found.append("It ticks by execute-tick only (MANUAL).")
    if run["tradingMode"] == "signals":
        found.append("It publishes signals and places no orders.")
    shut = status["lastBlockedReasons"].get(run["userId"])
    if shut:
        found.append(f"A risk gate of {run['userId']} is shut: {reason_text(shut).lower()}.")
    if not ticks:
        found.append("It has not ticked yet.")
    elif ticks[0]["status"] == "ok" and ticks[0]["signal"] in _HELD:
        held = next((n for n, tick in enumerate(ticks) if tick["signal"] not in _HELD), len(ticks))
        found.append(
            f"The strategy said hold at {f'its last {held} ticks' if held > 1 else 'its last tick'}."
        )
    else:
        found.append(f"Its newest tick: {tick_words(ticks[0])}.")
    return found
