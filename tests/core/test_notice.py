"""Which events are told outside, in one line, signed, and for how long they are tried."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import pytest

from core.email import is_email
from core.notice import MAX_TRIES, Notice, notice_of, signature, subject_of, try_again_s
from core.redact import Secret


@pytest.mark.parametrize(
    ("type", "payload", "notice"),
    [
        ("order_fill", {"symbol": "BTCUSDT"}, Notice.FILL),
        ("error", {"source": "adapter"}, Notice.ERROR),
        ("alert", {"action": "raised"}, Notice.ALERT),
        ("risk_block", {"action": "paused"}, Notice.PAUSE),
        ("risk_block", {"action": "blocked"}, None),
        ("risk_block", {"action": "expired"}, None),
        ("run.status", {"status": "auto_paused", "by": "policy"}, Notice.PAUSE),
        ("run.status", {"status": "stopped", "by": "policy"}, Notice.PAUSE),  # a key that may withdraw
        ("run.status", {"status": "error", "by": "supervisor"}, Notice.ERROR),
        ("run.status", {"status": "paused", "by": "ann"}, None),
        ("run.status", {"status": "active", "by": "ann"}, None),
        ("signal", {}, None),
        ("order_submit", {}, None),
    ],
)
def test_users_are_told_of_what_they_did_not_do_themselves(
    type: str, payload: dict[str, Any], notice: Notice | None
) -> None:
    assert notice_of(type, payload) is notice


@pytest.mark.parametrize(
    ("kind", "type", "payload", "said"),
    [
        (
            Notice.FILL,
            "order_fill",
            {"symbol": "BTCUSDT", "side": "buy", "quantity": "1", "price": "9", "leg": "entry"},
            "Filled: BTCUSDT buy 1 9 entry",
        ),
        (Notice.PAUSE, "run.status", {"status": "stopped", "reason": "key\nmay"}, "Run stopped: key may"),
        (
            Notice.PAUSE,
            "risk_block",
            {"until": "T", "reason": "daily_loss"},
            "Entries paused until T: daily_loss",
        ),
        (Notice.ERROR, "error", {"kind": "timeout"}, "Error: timeout"),
        (Notice.ERROR, "error", {}, "Error: see the run"),
        (
            Notice.ALERT,
            "alert",
            {"action": "raised", "kind": "silent", "detail": "x" * 500},
            f"Alert raised silent {'x' * 500}"[:200],
        ),
    ],
)
def test_a_subject_is_one_short_line(kind: Notice, type: str, payload: dict[str, Any], said: str) -> None:
    assert subject_of(kind, type, payload) == said


def test_a_signature_is_over_time_and_body_so_that_neither_can_be_another() -> None:
    secret, body = Secret("s3cret"), b'{"id":1}'
    expected = hmac.new(b"s3cret", b"1700000000." + body, hashlib.sha256).hexdigest()
    assert signature(secret, 1_700_000_000, body) == f"t=1700000000,v1={expected}"
    assert signature(secret, 1_700_000_001, body) != signature(secret, 1_700_000_000, body)


def test_tries_end_after_rising_waits() -> None:
    waits = [try_again_s(attempts) for attempts in range(1, MAX_TRIES + 1)]
    assert waits[-1] is None
    known = [wait for wait in waits if wait is not None]
    assert known == sorted(known)
    assert 7_200 < sum(known) < 10_800


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("ann@example.com", True),
        ("a.b+c@sub.example.org", True),
        ("ann@localhost", True),
        ("ann", False),
        ("ann@", False),
        ("ann@exa mple.com", False),
        ("ann@example.com\nBcc: bob@example.com", False),
        ("<ann@example.com>", False),
        ("ann@" + "x" * 400, False),
    ],
)
def test_a_mail_address_cannot_change_a_header(text: str, good: bool) -> None:
    assert is_email(text) is good
