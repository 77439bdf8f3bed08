"""A day with signals from outside is replayed to the same: they are commands of somebody outside, and rows."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from msgspec.structs import replace

from actors.recording.day import Day
from actors.recording.recording import Recording, find_recording
from core.definition import StrategyKind
from core.external_signal import SentSignal
from core.ids import StrategyId
from core.order import Leg
from core.signal import Action, Signal
from schema.desk import ReviseStrategy
from schema.external import Accepted, NewSignal
from schema.records import TickSource
from tests.actors.recording.demo_day import LIMITS, DemoDay, WallClock, WitnessedStore
from tests.actors.recording.test_recorded_days import assert_identical

OURS = StrategyId(UUID(int=205))
"""Of the only run of its user."""


def test_a_day_of_signals_from_outside_replays_to_identical_orders_events_and_ticks(tmp_path: Path) -> None:
    def external(day: DemoDay) -> None:
        strategy = day.store.strategy(OURS)
        assert strategy is not None
        revised = replace(strategy, version=2, kind=StrategyKind.EXTERNAL, template="external", parameters={})
        day.store.arrange(ReviseStrategy(definition=revised))

    day = DemoDay(WitnessedStore(WallClock(), LIMITS), tmp_path, before=external, rate=60.0)
    strategy = day.store.strategy(OURS)
    assert strategy is not None

    def send(number: int, action: Action) -> None:
        now = day.service.market_now()
        new = NewSignal(
            id=UUID(int=900 + number),
            strategy_id=OURS,
            user_id=strategy.owner_id,
            key=f"alert-{number:04}",
            received_at=now,
            sent=SentSignal(signal=Signal(action=action)),
        )
        assert isinstance(day.service.store.receive_signal(new), Accepted)
        day.service.signal_sent()

    day.service.start()
    day.pass_minutes(1)
    send(1, Action.LONG)
    day.pass_minutes(1)
    send(2, Action.EXIT_LONG)
    day.pass_minutes(1)
    assert day.service.stop()
    assert_identical(Day(Recording(find_recording(tmp_path))).play())
    [run] = [run for run in day.store.runs() if run.strategy.id == OURS]
    ticks = [tick for tick in day.store.ticks(run_id=run.id) if tick.source is TickSource.EXTERNAL]
    assert [(tick.status.value, tick.reason) for tick in ticks] == [("ok", None), ("ok", None)]
    assert [order.leg for order in day.store.orders(run_id=run.id, limit=10)][::-1] == [Leg.ENTRY, Leg.EXIT]
