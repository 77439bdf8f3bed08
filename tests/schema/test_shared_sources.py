"""A strategy's text is one object, however many runs of it are read, together or one by one."""

from __future__ import annotations

from uuid import UUID

from core.definition import StrategyDefinition, StrategyKind
from core.ids import AccountId, RunId, StrategyId, UserId
from core.risk import RiskLimits
from core.run import Run, RunStatus
from core.strategies.code import StrategyCode
from core.timeframe import Timeframe
from schema.pg import PgStore
from schema.records import Account
from tests.schema.conftest import Database


def test_runs_of_one_version_share_its_text(database: Database) -> None:
    """Issue 6: a thousand subscribers of 50 kB are 50 kB."""
    text = "def strategy(context):\n    return 'hold'  # " + "x" * 50_000
    strategy = StrategyDefinition(
        id=StrategyId(UUID(int=1)),
        owner_id=UserId("ann"),
        name="Long",
        kind=StrategyKind.PYTHON,
        template="python",
        parameters={},
        source=StrategyCode(text=text).source(),
        symbol="BTCUSDT",
        timeframe=Timeframe.M5,
    )
    store = PgStore(database.service_dsn, default_limits=RiskLimits(), worker="test", pool_size=1)
    store.create_strategy(strategy)
    runs = []
    for number in range(3):
        account = Account(id=AccountId(UUID(int=10 + number)), user_id=UserId(f"user-{number}"), name="paper")
        run = Run(
            id=RunId(UUID(int=20 + number)), user_id=account.user_id, strategy=strategy, account_id=account.id
        )
        store.create_account(account)
        store.create_run(run)
        runs.append(run.id)
    alone = [store.run(run_id) for run_id in runs]
    together = [start.state.run for run_id in runs for start in store.run_starts([run_id], recent=1)]
    followed = store.runs_since(None, statuses=list(RunStatus)).runs
    store.close()
    read = [run for run in (*alone, *together, *followed) if run is not None]
    assert len(read) == 9
    assert {run.strategy.source for run in read} == {strategy.source}
    assert len({id(run.strategy.source) for run in read}) == 1
