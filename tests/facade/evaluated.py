"""Runs of one strategy of code, live on paper over a real database: slots come as the test says, in its one thread."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from actors.feed import HeldFeed
from actors.runtime.behaviour import Context
from actors.runtime.deterministic import VirtualClock
from actors.runtime.spec import Intensity, StopMode, Supervision
from actors.runtime.system import ActorSystem
from actors.sandbox.judge import CodeTask, Verdict
from actors.sandbox.pool import Pool
from actors.strategy_watch import Shadows
from actors.system import Options, Parts, specs
from core.definition import StrategyDefinition, StrategyKind, Visibility
from core.ids import AccountId, NodeId, RunId, StrategyId, UserId
from core.run import Run, RunCommand, RunSettings
from core.strategies.code import StrategyCode
from core.timeframe import Timeframe
from schema.pg import PgStore
from schema.records import Account
from tests.actors.candles import SYMBOL, rules, scripted, source
from tests.facade.world import START

JUDGED_WITHIN_S = 30.0


class InTurn:
    """The sandbox's real pool, waited for in the asking actor's turn."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def ask(
        self,
        ctx: Context,
        task: CodeTask,
        reply: Callable[[Verdict], object],
        failed: Callable[[Exception], object],
    ) -> None:
        ctx.call(lambda: self._pool.submit(task).result(JUDGED_WITHIN_S), reply, failed)

    def shadow(
        self,
        ctx: Context,
        task: CodeTask,
        reply: Callable[[Verdict], object],
        failed: Callable[[Exception], object],
    ) -> None:
        ctx.call(lambda: self._pool.submit_shadow(task).result(JUDGED_WITHIN_S), reply, failed)


class LivePaper:
    """Candles of `path`, a minute each; `users` run the strategy of `author`."""

    def __init__(self, store: PgStore, pool: Pool, path: str) -> None:
        self._store = store
        self._ids = iter(range(1, 1_000))
        self.columns = scripted(path, start=START)
        self.clock = VirtualClock(START + timedelta(seconds=30))
        self._market(START + timedelta(seconds=30))
        self.system = ActorSystem.deterministic(self.clock)
        self._code = InTurn(pool)

    def strategy(self, text: str, *, author: str = "ann", **declared: Any) -> StrategyDefinition:
        definition = StrategyDefinition(
            id=StrategyId(UUID(int=next(self._ids))),
            owner_id=UserId(author),
            name="Prints",
            kind=StrategyKind.PYTHON,
            template="python",
            parameters={},
            source=StrategyCode(text=text, lookback=2, min_candles=2, **declared).source(),
            symbol=SYMBOL,
            timeframe=Timeframe.M1,
            visibility=Visibility.PUBLIC,
        )
        self._store.create_strategy(definition)
        return definition

    def run(self, strategy: StrategyDefinition, user: str, *, active: bool = True, **fields: Any) -> RunId:
        account = Account(id=AccountId(UUID(int=next(self._ids))), user_id=UserId(user), name=f"of {user}")
        self._store.create_account(account)
        run = Run(
            id=RunId(UUID(int=next(self._ids))),
            user_id=UserId(user),
            strategy=strategy,
            account_id=account.id,
            **{"settings": RunSettings(order_size_pct=Decimal(10)), **fields},
        )
        self._store.create_run(run)
        if active:
            self._store.command(run.id, RunCommand.START, by=user)
        return run.id

    def play(self, slots: int) -> None:
        """Start, and let so many candles close, each with the minute after it."""
        end = START + Timeframe.M1.delta * len(self.columns)
        feed = HeldFeed(source(self.columns), (START, end))
        options = Options(node=NodeId("node"), version="1", worker="worker", claim_lead=timedelta(0))
        parts = Parts(
            store=self._store,
            feed=feed,
            rules=rules((SYMBOL,)),
            options=options,
            code=self._code.ask,
            shadows=Shadows(again=self._code.shadow, share_pct=100.0),
        )
        supervision = Supervision(intensity=Intensity(max_restarts=5, window_s=60.0))
        self.system.start(specs(self.system, parts), supervision)
        for number in range(1, slots + 1):
            slot = START + Timeframe.M1.delta * number
            self._to(slot - timedelta(seconds=20))
            self._market(slot)
            self._to(slot + timedelta(seconds=20))
        assert self.system.failure is None
        assert self.system.stop(StopMode.DRAIN)

    def _to(self, when: datetime) -> None:
        assert self.system.virtual is not None
        self.system.virtual.run_until(when)

    def _market(self, at: datetime) -> None:
        self._store.set_clock(at=at, ceiling=at)
