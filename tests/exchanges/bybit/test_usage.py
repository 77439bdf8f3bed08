"""How long a refusal of Bybit's lasts, as its headers and texts say."""

from __future__ import annotations

from datetime import timedelta

import pytest

from core.timeframe import to_ms
from exchanges.bybit.usage import BAN, banned_until, retry_after_s
from tests.fakes.loop_clock import START

START_MS = to_ms(START)


def headers(limit: str = "10", left: str = "9", reset: str = "") -> dict[str, str]:
    told = {"x-bapi-limit": limit, "x-bapi-limit-status": left}
    return told | ({"x-bapi-limit-reset-timestamp": reset} if reset else {})


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ({}, 5.0),
        (headers(reset=str(START_MS + 800)), 0.8),
        (headers(reset=str(START_MS - 800)), 0.0),
        (headers(reset=str(START_MS + 10**9)), 60.0),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "99999"}, 60.0),
        ({"retry-after": "soon"}, 5.0),
    ],
)
def test_a_pause_lasts_until_the_window_ends_within_a_minute(told: dict[str, str], seconds: float) -> None:
    assert retry_after_s(told, START) == pytest.approx(seconds)


def test_a_ban_lasts_as_its_text_says_or_ten_minutes() -> None:
    assert banned_until("access too frequent", START) == START + BAN
    later = START + timedelta(minutes=3)
    assert banned_until(f"banned until {to_ms(later)}.", START) == later
