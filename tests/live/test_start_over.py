"""The rows of a demo, made and renewed step by step: cut off anywhere, the next try completes them."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from actors.demo import Demo, demo_of, seed, start_over
from actors.runtime.deterministic import VirtualClock
from core.ids import AccountId, RunId, UserId
from core.order import Leg
from core.position import Fill, OrderSide
from core.risk import RiskLimits
from core.run import Run, RunCommand, RunStatus, TradingMode
from schema.memory import MemoryStore
from schema.ops import ObserveFill
from schema.records import Account, AccountKind
from tests.live.candle_folder import START, generated_source


class CutOff(Exception):
    """The process died here."""


class Mortal:
    """A store in a process that dies before its `lives`-th call."""

    def __init__(self, store: MemoryStore, lives: int) -> None:
        self._store = store
        self.lives = lives

    def __getattr__(self, name: str) -> Any:
        def called(*arguments: Any, **named: Any) -> Any:
            if self.lives == 0:
                raise CutOff
            self.lives -= 1
            return getattr(self._store, name)(*arguments, **named)

        return called


@pytest.fixture(scope="module")
def demo() -> Demo:
    return demo_of(generated_source(timedelta(days=1)))


def new_store(demo: Demo) -> MemoryStore:
    store = MemoryStore(VirtualClock(START), RiskLimits())
    store.mark_demo(start=demo.stage.start, rate=1.0)
    store.set_clock(ceiling=demo.stage.start)
    return store


def rows(store: MemoryStore) -> tuple[Any, ...]:
    """What the runs came to, and how many events each has: a step done twice would leave one more."""
    runs = sorted((str(run.id), run.user_id, run.status) for run in store.runs())
    return (*runs, Counter(event.run_id for event in store.events(limit=1_000)))


def held_by(run: Run, demo: Demo) -> ObserveFill:
    """A fill that leaves the run with a position, a minute before the end of round 0."""
    assert run.account_id is not None
    fill = Fill(
        trade_id="held",
        side=OrderSide.BUY,
        quantity=Decimal("0.01"),
        price=Decimal(100),
        commission=Decimal(0),
        executed_at=demo.end_of(0) - timedelta(minutes=1),
    )
    return ObserveFill(
        account_id=run.account_id,
        symbol=run.strategy.symbol,
        fill=fill,
        run_id=run.id,
        venue_leg=Leg.TAKE_PROFIT,
    )


def with_a_position(store: MemoryStore, demo: Demo) -> MemoryStore:
    """At the end of round 0, one run holding something."""
    seed(store, demo.source, demo.stage)
    store.set_clock(at=demo.end_of(0), ceiling=demo.end_of(0))
    run = next(run for run in store.runs() if run.account_id is not None)
    store.settle([held_by(run, demo)])
    assert [held.position.is_flat for held in store.open_positions()] == [False]
    return store


def calls_of(store: MemoryStore, demo: Demo, *, round_: int) -> int:
    counted = Mortal(store, 10_000)
    begin(counted, demo, round_)
    return 10_000 - counted.lives


def begin(store: Any, demo: Demo, round_: int) -> None:
    if round_:
        start_over(store, demo, round_, now=now_of(store))
    else:
        seed(store, demo.source, demo.stage)


def now_of(store: Any) -> Any:
    settings = store.clock()
    return (
        settings.anchor_market if settings.ceiling is None else min(settings.ceiling, settings.anchor_market)
    )


@pytest.mark.parametrize("round_", [0, 1])
def test_wherever_it_is_cut_off_the_next_try_leaves_the_same_rows(demo: Demo, round_: int) -> None:
    def prepared() -> MemoryStore:
        store = new_store(demo)
        return with_a_position(store, demo) if round_ else store

    whole = prepared()
    calls = calls_of(whole, demo, round_=round_)
    for lives in range(calls):
        store = prepared()
        with pytest.raises(CutOff):
            begin(Mortal(store, lives), demo, round_)
        begin(store, demo, round_)
        assert rows(store) == rows(whole), f"cut off before call {lives}"


def test_a_second_process_that_starts_over_later_changes_nothing(demo: Demo) -> None:
    store = with_a_position(new_store(demo), demo)
    start_over(store, demo, 1, now=demo.end_of(0))
    before = rows(store)
    start_over(store, demo, 1, now=demo.start_of(1))
    assert rows(store) == before
    assert {run.status for run in store.runs()} == {RunStatus.ACTIVE, RunStatus.ARCHIVED}
    assert now_of(store) == demo.start_of(1)
    assert store.open_positions() == []


def test_what_stands_at_a_venue_is_not_booked_out_when_the_candles_start_over(demo: Demo) -> None:
    """A stand-in has books of its own: a fill made up here would be in ours alone."""
    store = new_store(demo)
    seed(store, demo.source, demo.stage)
    store.set_clock(at=demo.end_of(0), ceiling=demo.end_of(0))
    account = Account(
        id=AccountId(UUID(int=1)),
        user_id=UserId("eve"),
        name="stand-in",
        kind=AccountKind.CONNECTION,
        venue="binance",
    )
    store.create_account(account)
    run = Run(
        id=RunId(UUID(int=2)),
        user_id=account.user_id,
        strategy=store.runs()[0].strategy,
        account_id=account.id,
        trading_mode=TradingMode.LIVE,
    )
    store.create_run(run)
    store.command(run.id, RunCommand.START, by="eve")
    store.settle([held_by(run, demo)])
    start_over(store, demo, 1, now=demo.end_of(0))
    assert [held.run_id for held in store.open_positions()] == [run.id]
    left = store.run(run.id)
    assert left is not None
    assert left.status is RunStatus.STOPPED
