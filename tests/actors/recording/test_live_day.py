"""A recorded day with an account at a venue beyond the process: what it answered and pushed is fed back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from uuid import UUID

from actors.live.venue import LiveVenue
from actors.recording.entries import EffectEntry
from actors.recording.recording import Recording, find_recording
from actors.venue_calls import MakeVenue, PaperVenue, VenueState
from core.definition import StrategyDefinition
from core.ids import AccountId, RunId, StrategyId, UserId
from core.run import Run, RunCommand, RunSettings, TradingMode
from core.timeframe import Timeframe
from exchanges.base import News
from exchanges.errors import ErrorKind, Unreachable
from exchanges.paper.adapter import PaperExchange
from schema.memory import MemoryStore
from schema.records import Account, AccountKind
from schema.store import Store
from tests.actors.live.world import Session, Venue
from tests.actors.recording.demo_day import LIMITS, DemoDay, WallClock, WitnessedStore
from tests.actors.recording.test_recorded_days import assert_identical, replayed

ACCOUNT = AccountId(UUID(int=900))
RUN = RunId(UUID(int=902))


class LiveDay(DemoDay):
    """Eve trades beside the others, on a connection."""

    def __init__(self, store: Store, directory: Path) -> None:
        self.venue: Venue | None = None
        super().__init__(store, directory, before=engage, venues=self._venues)

    def _venues(self, make_paper: MakeVenue) -> MakeVenue:
        def make(state: VenueState, on_news: Callable[[News], None]) -> PaperVenue:
            paper = make_paper(state, self._told)
            if state.account.kind is AccountKind.PORTFOLIO:
                return make_paper(state, on_news)
            assert isinstance(paper, PaperExchange)
            if self.venue is None:
                self.venue = Venue(paper, self.service.system.clock)
                self.venue.fail("protect", Unreachable(ErrorKind.CONNECTION, "away"))
            return LiveVenue(Session(self.venue, on_news, asyncio.sleep))

        return make

    def _told(self, news: News) -> None:
        if self.venue is not None:
            self.venue.tell(news)


def engage(day: DemoDay) -> None:
    store = day.store
    strategy = StrategyDefinition(
        id=StrategyId(UUID(int=901)),
        owner_id=UserId("eve"),
        name="trend",
        template="sma_trend",
        parameters={"period": 2},
        symbol="BTCUSDT",
        timeframe=Timeframe.M1,
    )
    store.create_strategy(strategy)
    store.create_account(
        Account(id=ACCOUNT, user_id=UserId("eve"), name="live", kind=AccountKind.CONNECTION, venue="binance")
    )
    store.create_run(
        Run(
            id=RUN,
            user_id=UserId("eve"),
            strategy=strategy,
            account_id=ACCOUNT,
            trading_mode=TradingMode.LIVE,
            settings=RunSettings(order_size_pct=Decimal(20), stop_loss_pct=Decimal(20)),
        )
    )
    store.set_limits(UserId("eve"), LIMITS)
    store.command(RUN, RunCommand.START, by="eve")


def test_a_recorded_day_at_a_venue_beyond_the_process_replays_identically(tmp_path: Path) -> None:
    day = LiveDay(WitnessedStore(WallClock(), LIMITS), tmp_path)
    day.play()
    assert isinstance(day.store, MemoryStore)
    orders = day.store.orders(run_id=RUN)
    assert len(orders) >= 3, "a day without live orders shows nothing"
    folder = find_recording(tmp_path)
    answered = {each.type for each in Recording(folder).entries() if isinstance(each, EffectEntry)}
    assert {"Connected", "RulesRead", "VenueLook", "OrderReport", "Protection"} <= answered
    assert_identical(replayed(folder))
