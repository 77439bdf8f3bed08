"""What owners and subscribers change: whole or not at all, with events, followed by every run (decision 15)."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from core.errors import Conflict, IllegalTransition, RunnerError
from core.ids import AccountId, RunId, StrategyId, UserId
from core.order import Leg
from core.run import ExecutionMode, Run, RunCommand, RunSettings, RunStatus
from core.timeframe import Timeframe
from schema.desk import CancelRun, OpenRun, RetireStrategy, ReviseStrategy, SetRunSettings
from schema.records import Account
from tests.schema.conformance.world import World


def subscriber(world: World, run: Run, user: str = "bob", **fields: object) -> Run:
    """Another user's run of the same strategy, made by subscribing."""
    account = Account(id=AccountId(world.id()), user_id=UserId(user), name="paper")
    new = replace(
        run,
        id=RunId(world.id()),
        user_id=UserId(user),
        account_id=account.id,
        status=RunStatus.DRAFT,
        version=1,
    )
    opened = world.store.arrange(OpenRun(run=new, account=account, subscribed=True, **fields)).run  # type: ignore[arg-type]
    assert opened is not None
    return opened


def revised(run: Run, **fields: object) -> ReviseStrategy:
    return ReviseStrategy(definition=replace(run.strategy, version=run.strategy.version + 1, **fields))


def test_a_subscription_is_a_run_on_anothers_strategy_active_with_its_events(world: World) -> None:
    """I11: run, account, status and events commit together."""
    run = world.run()
    opened = subscriber(world, run, begin=RunCommand.START)
    assert opened.status is RunStatus.ACTIVE
    assert world.store.run(opened.id) == opened
    assert world.event_types(opened) == ["subscription.created", "run.status"]


def test_an_operation_that_fails_leaves_nothing(world: World) -> None:
    run = world.run(status=RunStatus.DRAFT)
    account = Account(id=AccountId(world.id()), user_id=UserId("bob"), name="paper")
    new = replace(run, id=RunId(world.id()), user_id=UserId("bob"), account_id=account.id)
    with pytest.raises(IllegalTransition):
        world.store.arrange(OpenRun(run=new, account=account, begin=RunCommand.PAUSE))
    assert world.store.run(new.id) is None
    assert world.store.account(account.id) is None


def test_a_revision_reaches_every_run_and_raises_its_version(world: World) -> None:
    """Each run's row says that it changed, so that a claim in the next slot tells of it."""
    run = world.run()
    other = subscriber(world, run)
    mark = world.store.runs_since(None, statuses=[RunStatus.ACTIVE]).mark
    made = world.store.arrange(revised(run, parameters={"period": 7}, timeframe=Timeframe.M5)).strategy
    assert made == world.store.strategy(run.strategy.id)
    for before in (run, other):
        after = world.store.run(before.id)
        assert after is not None
        assert after.strategy == made
        assert after.version == before.version + 1
        assert world.event_types(after)[-1] == "strategy.settings.updated"
    changed = world.store.runs_since(mark, statuses=[RunStatus.ACTIVE]).runs
    assert {each.id for each in changed} >= {run.id, other.id}


def test_an_owner_without_a_run_has_the_event_as_well(world: World) -> None:
    run = world.run(status=RunStatus.DRAFT)
    world.store.command(run.id, RunCommand.ARCHIVE, by="ann")
    world.store.arrange(revised(run, name="another"))
    [event] = world.store.events(user_id=UserId("ann"), newest=True, limit=1)
    assert (event.type, event.run_id, event.payload["version"]) == ("strategy.settings.updated", None, 2)


def test_only_the_next_version_is_taken(world: World) -> None:
    run = world.run()
    world.store.arrange(revised(run, name="first"))
    with pytest.raises(Conflict):
        world.store.arrange(revised(run, name="second"))
    found = world.store.strategy(run.strategy.id)
    assert found is not None
    assert (found.name, found.version) == ("first", 2)


def test_a_symbol_stays_while_any_run_holds_it(world: World) -> None:
    """Decision 15."""
    run = world.run()
    other = subscriber(world, run, begin=RunCommand.START)
    fence = world.held(other)
    with pytest.raises(IllegalTransition):
        world.store.arrange(revised(run, symbol="ETHUSDT"))
    assert world.store.strategy(run.strategy.id) == run.strategy
    world.filled(world.committed(other, fence, leg=Leg.EXIT), "101")
    world.store.arrange(revised(run, symbol="ETHUSDT"))
    for each in (run, other):
        found = world.store.run(each.id)
        assert found is not None
        assert found.strategy.symbol == "ETHUSDT"
    with pytest.raises(Conflict):  # decision 13 holds of the new symbol
        world.store.create_run(replace(found, id=RunId(world.id())))


def test_a_timeframe_that_a_schedule_does_not_fit_is_refused(world: World) -> None:
    run = world.run(timeframe=Timeframe.M5, execution_mode=ExecutionMode.SCHEDULED, schedule="*/5 * * * *")
    with pytest.raises(IllegalTransition):
        world.store.arrange(revised(run, timeframe=Timeframe.H1))


def test_a_strategy_is_archived_with_its_runs_but_not_under_an_active_one(world: World) -> None:
    """Decision 15."""
    run = world.run(status=RunStatus.DRAFT)
    other = subscriber(world, run, begin=RunCommand.START)
    retire = RetireStrategy(strategy_id=run.strategy.id, by=UserId("ann"))
    with pytest.raises(IllegalTransition):
        world.store.arrange(retire)
    found = world.store.run(run.id)
    assert found is not None
    assert found.status is RunStatus.DRAFT
    world.store.command(other.id, RunCommand.STOP, by="bob")
    world.store.arrange(retire)
    assert world.event_types(other)[-2:] == ["run.status", "subscription.cancelled"]
    for again in (retire, revised(run), OpenRun(run=replace(run, id=RunId(world.id())))):
        with pytest.raises(Conflict):
            world.store.arrange(again)


def test_run_settings_are_changed_at_the_version_they_were_read(world: World) -> None:
    run = world.run()
    settings = RunSettings(capital=Decimal(500), leverage=3, stop_loss_pct=Decimal(2))
    changed = world.store.arrange(SetRunSettings(run_id=run.id, settings=settings, expected=run.version)).run
    assert changed is not None
    assert changed == world.store.run(run.id)
    assert (changed.settings, changed.version) == (settings, run.version + 1)
    [event] = world.store.events(run_id=run.id)
    assert (event.type, event.payload["capital"], event.payload["leverage"]) == (
        "run.settings.updated",
        "500",
        3,
    )
    with pytest.raises(Conflict):
        world.store.arrange(SetRunSettings(run_id=run.id, settings=RunSettings(), expected=run.version))


def test_leverage_stays_while_something_is_open(world: World) -> None:
    run = world.run()
    world.held(run)
    with pytest.raises(IllegalTransition):
        world.store.arrange(SetRunSettings(run_id=run.id, settings=RunSettings(leverage=2)))
    world.store.arrange(SetRunSettings(run_id=run.id, settings=RunSettings(capital=Decimal(7))))


@pytest.mark.parametrize("status", [RunStatus.DRAFT, RunStatus.ACTIVE, RunStatus.AUTO_PAUSED])
def test_a_flat_run_is_cancelled_into_the_archive(world: World, status: RunStatus) -> None:
    run = world.run(status=status)
    for _ in range(2):
        cancelled = world.store.arrange(CancelRun(run_id=run.id, by=UserId("ann"))).run
        assert cancelled is not None
        assert cancelled.status is RunStatus.ARCHIVED
    assert world.event_types(run).count("subscription.cancelled") == 1


def test_a_cancelled_run_is_archived_once_it_is_flat(world: World) -> None:
    run = world.run()
    fence = world.held(run)
    cancelled = world.store.arrange(CancelRun(run_id=run.id, by=UserId("ann"))).run
    assert cancelled is not None
    assert cancelled.status is RunStatus.STOPPED
    assert world.store.archive_ended() == []
    order = world.committed(run, fence, leg=Leg.FLATTEN)
    assert world.store.archive_ended() == []
    world.filled(order, "100")
    assert world.store.archive_ended() == [run.id]
    assert world.store.archive_ended() == []
    found = world.store.run(run.id)
    assert found is not None
    assert found.status is RunStatus.ARCHIVED


def test_a_cancelled_run_that_is_started_again_stays(world: World) -> None:
    run = world.run()
    fence = world.held(run)
    world.store.arrange(CancelRun(run_id=run.id, by=UserId("ann")))
    world.store.command(run.id, RunCommand.RESUME, by="ann")
    world.filled(world.committed(run, fence, leg=Leg.FLATTEN), "100")
    world.store.command(run.id, RunCommand.PAUSE, by="ann")
    assert world.store.archive_ended() == []


def test_what_is_not_there_cannot_be_changed(world: World) -> None:
    run = world.run()
    with pytest.raises(RunnerError):
        world.store.arrange(CancelRun(run_id=RunId(world.id()), by=UserId("ann")))
    with pytest.raises(Conflict):
        world.store.arrange(RetireStrategy(strategy_id=StrategyId(world.id()), by=run.user_id))
