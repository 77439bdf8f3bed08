"""Public reads take their weight of what all processes share: never more than their part, and nothing under a ban."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from exchanges.budgets import Share
from exchanges.feeds.public_turn import NoTurn, PublicTurn
from exchanges.limits import BINANCE, Limits
from exchanges.wire import Answer

HOST = "fapi.binance.com:443"
NOW = datetime(2026, 1, 5, tzinfo=UTC)


class Time:
    def __init__(self) -> None:
        self.s = 0.0

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.s)

    def monotonic(self) -> float:
        return self.s

    def seconds_until(self, when: datetime) -> float:
        return max(0.0, (when - self.now()).total_seconds())

    async def sleep(self, seconds: float) -> None:
        self.s += seconds


class Windows:
    """Windows of a minute, as in the database; `others` use of each what they like first."""

    def __init__(self, time: Time, others: int = 0) -> None:
        self._time = time
        self._others = others
        self.used: dict[int, int] = {}
        self.bans: dict[str, datetime] = {}
        self.asked = 0

    def banned_until(self, host: str) -> datetime | None:
        return self.bans.get(host)

    async def take(self, host: str, limits: Limits, wanted: int) -> Share:
        assert host == HOST
        self.asked += 1
        number = int(self._time.s // limits.shared_window_s)
        used = self.used.setdefault(number, self._others)
        granted = max(0, min(wanted, limits.shared_weight - used))
        self.used[number] = used + granted
        left_s = (number + 1) * limits.shared_window_s - self._time.s
        return Share(weight=granted, ends_in_s=left_s, banned_until=self.bans.get(host))

    async def ban(self, host: str, until: datetime) -> None:
        self.bans[host] = until


def turn(windows: Windows, time: Time, *, share: float = 0.5, max_wait_s: float = 120.0) -> PublicTurn:
    return PublicTurn(
        "https://fapi.binance.com",
        BINANCE,
        windows,
        clock=time,
        share=share,
        max_wait_s=max_wait_s,
        sleep=time.sleep,
    )


def test_no_window_holds_more_than_the_part_that_is_theirs() -> None:
    time = Time()
    windows = Windows(time)

    async def read() -> None:
        reads = turn(windows, time)
        for _ in range(300):
            await reads.take(10)

    asyncio.run(read())
    assert max(windows.used.values()) <= BINANCE.shared_weight // 2
    assert windows.asked < 150
    assert 60 <= time.s < 180


def test_what_others_have_used_is_waited_for_and_no_longer_than_may_be() -> None:
    time = Time()
    windows = Windows(time, others=BINANCE.shared_weight)
    with pytest.raises(NoTurn, match="No weight is left"):
        asyncio.run(turn(windows, time, max_wait_s=3.0).take(10))
    assert time.s <= 3.0


def test_a_ban_is_told_to_all_and_nothing_is_sent_under_it() -> None:
    time = Time()
    windows = Windows(time)
    reads = turn(windows, time)
    asyncio.run(reads.heard(Answer(status=418, headers={"retry-after": "30"}, body=b"")))
    assert windows.bans[HOST] == NOW + timedelta(seconds=30)
    with pytest.raises(NoTurn, match="has banned this address"):
        asyncio.run(turn(windows, time).take(1))
    time.s = 31.0
    asyncio.run(turn(windows, time).take(1))
