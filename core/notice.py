"""Which events users are told of outside, in which words, how a webhook is signed, and when it is tried again."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from core.backoff import Backoff
from core.redact import Secret

MAX_TRIES: Final = 10
"""Attempts at one delivery, over two hours and a half; then it has failed."""
_BETWEEN: Final = Backoff(min_s=20.0, max_s=3_600.0)
_OURS: Final = frozenset({"policy", "supervisor"})
_ENDED: Final = frozenset({"paused", "auto_paused", "stopped"})


class Notice(StrEnum):
    """What a user may want to hear of; `alert` is the operator's."""

    PAUSE = "pause"
    ERROR = "error"
    FILL = "fill"
    ALERT = "alert"


FOR_USERS: Final = (Notice.PAUSE, Notice.ERROR, Notice.FILL)
TYPES: Final = ("run.status", "risk_block", "error", "order_fill", "alert", "strategy.warning")
"""Types of the events that may be notices; all others are passed over unread."""


def notice_of(type: str, payload: Mapping[str, Any]) -> Notice | None:
    """What an event is a notice of; None: nobody is told. What users did themselves is no news to them."""
    match type:
        case "order_fill":
            return Notice.FILL
        case "error" | "strategy.warning":
            return Notice.ERROR
        case "alert":
            return Notice.ALERT
        case "risk_block":
            return Notice.PAUSE if payload.get("action") == "paused" else None
        case "run.status" if payload.get("by") in _OURS:
            if payload.get("status") == "error":
                return Notice.ERROR
            return Notice.PAUSE if payload.get("status") in _ENDED else None
        case _:
            return None


def subject_of(kind: Notice, type: str, payload: Mapping[str, Any]) -> str:
    """One line, without a break."""
    match kind:
        case Notice.FILL:
            line = f"Filled: {_said(payload, 'symbol', 'side', 'quantity', 'price', 'leg')}"
        case Notice.PAUSE if type == "risk_block":
            line = f"Entries paused until {payload.get('until')}: {payload.get('reason')}"
        case Notice.ALERT:
            line = f"Alert {_said(payload, 'action', 'kind', 'subject', 'detail')}"
        case _ if type == "strategy.warning":
            line = f"Strategy {_said(payload, 'strategy', 'kind')} (version {payload.get('version')})"
        case _ if type == "run.status":
            line = f"Run {payload.get('status')}: {payload.get('reason')}"
        case _:
            cause = payload.get("kind") or payload.get("detail") or payload.get("reason")
            line = f"Error: {cause or 'see the run'}"
    return " ".join(line.split())[:200]


def _said(payload: Mapping[str, Any], *names: str) -> str:
    return " ".join(str(payload.get(name, "")) for name in names)


def try_again_s(attempts: int) -> float | None:
    """Seconds until a delivery is tried again after so many attempts; None: not any more."""
    return None if attempts >= MAX_TRIES else _BETWEEN.delay_s(attempts - 1, 0.0)


def signature(secret: Secret, timestamp_s: int, body: bytes) -> str:
    """`t=<seconds>,v1=<hex>`: HMAC-SHA256 of `<seconds>.<body>`, so that an old body cannot be sent again as new."""
    digest = hmac.new(secret.reveal().encode(), f"{timestamp_s}.".encode() + body, hashlib.sha256)
    return f"t={timestamp_s},v1={digest.hexdigest()}"
