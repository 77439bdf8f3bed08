"""Which signals are told outside: a table of cases, then laws over drawn days."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.published_signal import Announced
from core.signal_policy import SignalLimits, Told, Withheld, withheld

LONG, SHORT, CLOSE = Announced.LONG, Announced.SHORT, Announced.CLOSE
T0 = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
LIMITS = SignalLimits(cooldown=timedelta(minutes=15), ttl=timedelta(minutes=5), max_alive=2)


def told(action: Announced, minutes: float) -> Told:
    return Told(action=action, at=T0 + timedelta(minutes=minutes))


@pytest.mark.parametrize(
    ("action", "minutes", "before", "expected"),
    [
        (LONG, 0, {}, None),
        (LONG, 14.99, {"BTC": told(LONG, 0)}, Withheld.COOLDOWN),
        (SHORT, 14.99, {"BTC": told(LONG, 0)}, Withheld.COOLDOWN),
        (LONG, 14.99, {"BTC": told(CLOSE, 0)}, Withheld.COOLDOWN),
        (LONG, 15, {"BTC": told(LONG, 0)}, None),
        (LONG, 1, {"ETH": told(LONG, 0)}, None),
        (CLOSE, 1, {"BTC": told(LONG, 0)}, None),
        (CLOSE, 1, {"BTC": told(CLOSE, 0)}, Withheld.COOLDOWN),
        (CLOSE, 15, {"BTC": told(CLOSE, 0)}, None),
        (LONG, 4.99, {"ETH": told(LONG, 0), "SOL": told(SHORT, 0)}, Withheld.TOO_MANY_ALIVE),
        (CLOSE, 4.99, {"ETH": told(LONG, 0), "SOL": told(SHORT, 0)}, None),
        (LONG, 5, {"ETH": told(LONG, 0), "SOL": told(SHORT, 4)}, None),
        (LONG, 1, {"ETH": told(LONG, 0), "SOL": told(CLOSE, 0)}, None),
    ],
)
def test_a_signal_is_told_unless_a_limit_says_why_not(
    action: Announced, minutes: float, before: dict[str, Told], expected: Withheld | None
) -> None:
    assert withheld("BTC", action, T0 + timedelta(minutes=minutes), before, LIMITS) is expected


@given(
    st.lists(
        st.tuples(st.sampled_from("ABCDE"), st.sampled_from([LONG, SHORT, CLOSE]), st.integers(0, 240)),
        max_size=60,
    )
)
def test_entries_of_a_symbol_keep_their_distance_and_no_more_are_alive_than_allowed(
    steps: list[tuple[str, Announced, int]],
) -> None:
    now, before, alive_until = T0, dict[str, Told](), dict[str, datetime]()
    for symbol, action, seconds in steps:
        now += timedelta(seconds=seconds)
        last = before.get(symbol)
        reason = withheld(symbol, action, now, before, LIMITS)
        if action is CLOSE and last is not None and last.action is not CLOSE:
            assert reason is None, "who follows an entry hears of its end"
        if reason is not None:
            continue
        if action is not CLOSE and last is not None:
            assert now - last.at >= LIMITS.cooldown
        before[symbol] = Told(action=action, at=now)
        alive_until[symbol] = now if action is CLOSE else now + LIMITS.ttl
        assert sum(1 for until in alive_until.values() if until > now) <= LIMITS.max_alive
