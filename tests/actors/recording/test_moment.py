"""A statement that looks at the time itself is replayed at the moment whose answer was recorded."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from actors.recording.canonical import same, text
from actors.recording.moment import Moment
from actors.recording.replayed_runtime import ReplayedClock
from core.ids import UserId
from schema.memory import MemoryStore
from schema.ops import SimulateTrade
from tests.actors.candles import START
from tests.actors.recording.demo_day import LIMITS, seed

MIDNIGHT = START.replace(hour=0) + timedelta(days=1)
BEFORE, AFTER = MIDNIGHT - timedelta(milliseconds=5), MIDNIGHT + timedelta(milliseconds=5)
LOSS = LIMITS.daily_max_loss_usdt + 1

Ask = Callable[[MemoryStore], Any]


def world() -> tuple[MemoryStore, ReplayedClock]:
    """Ann has traded on the day that ends; Cid has lost enough to be paused until just before midnight."""
    clock = ReplayedClock(MIDNIGHT - timedelta(hours=2))
    store = MemoryStore(clock, LIMITS)
    seed(store)
    store.settle([SimulateTrade(user_id=UserId("ann"), delta=Decimal(-7))])
    clock.at = MIDNIGHT - timedelta(minutes=15)
    store.settle([SimulateTrade(user_id=UserId("cid"), delta=-LOSS)])
    return store, clock


def claim(store: MemoryStore) -> Any:
    run_ids = [run.id for run in store.runs()]
    return store.claim(run_ids, slot=MIDNIGHT, owner="node", ttl_s=1.0)


def acquire(store: MemoryStore) -> Any:
    return store.acquire(store.runs()[0].id, owner="node", ttl_s=10.0)


def close_interrupted(store: MemoryStore) -> Any:
    return store.close_interrupted(older_than_s=0.0)


def expired_pauses(store: MemoryStore) -> Any:
    return store.expired_pauses()


@pytest.mark.parametrize("answered", ["at the beginning", "at the end"])
@pytest.mark.parametrize(
    ("name", "ask", "held"),
    [
        ("claim", claim, None),
        ("claim", claim, acquire),
        ("acquire", acquire, acquire),
        ("expired_pauses", expired_pauses, None),
        ("close_interrupted", close_interrupted, claim),
    ],
    ids=["claim at midnight", "claim as a lease ends", "acquire", "pauses", "interrupted slots"],
)
def test_the_moment_is_the_one_whose_answer_was_recorded(
    name: str, ask: Ask, held: Ask | None, answered: str
) -> None:
    began_s, ended_s = 9.99, 10.01

    def at(moment: datetime, process_s: float) -> tuple[MemoryStore, ReplayedClock]:
        store, clock = world()
        if held is not None:
            clock.deed(MIDNIGHT - timedelta(minutes=1), 9.0 if held is claim else 0.0, ())
            held(store)
        clock.deed(moment, process_s, ())
        return store, clock

    live, _ = at(BEFORE, began_s) if answered == "at the beginning" else at(AFTER, ended_s)
    recorded = text(ask(live))
    store, clock = at(BEFORE, began_s)
    moment = Moment(store, clock)
    moment.done_by(AFTER, ended_s)
    if name == "close_interrupted":  # its rows say when, which the recording gives
        assert len(moment.ask(name, recorded, lambda: ask(store))) == recorded.count(b"interrupted")
    else:
        assert same(recorded, text(moment.ask(name, recorded, lambda: ask(store))))


def test_the_two_moments_give_different_answers() -> None:
    """Else the test above could not fail."""
    for ask in (claim, expired_pauses):
        store, clock = world()
        clock.deed(BEFORE, 0.0, ())
        before = text(ask(store))
        store, clock = world()
        clock.deed(AFTER, 0.0, ())
        assert text(ask(store)) != before
