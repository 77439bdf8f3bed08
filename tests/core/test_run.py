"""Statuses, commands and the adapter-error counter of a run (invariants §5)."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

import pytest
from msgspec.structs import replace

from core.definition import StrategyDefinition
from core.errors import IllegalTransition
from core.ids import AccountId, RunId, StrategyId, UserId
from core.position import Side
from core.run import (
    Direction,
    ExecutionMode,
    Run,
    RunCommand,
    RunStatus,
    after_adapter_error,
    margin_of,
    ticks,
    transition,
)
from core.timeframe import Timeframe

RUN = Run(
    id=RunId(UUID(int=1)),
    user_id=UserId("ann"),
    strategy=StrategyDefinition(
        id=StrategyId(UUID(int=2)),
        owner_id=UserId("ann"),
        name="RSI",
        template="rsi_oversold_overbought",
        parameters={},
        symbol="BTCUSDT",
        timeframe=Timeframe.M5,
    ),
    account_id=AccountId(UUID(int=3)),
)

TABLE = {
    "deploy": {"draft": "active"},
    "start": {
        "draft": "active",
        "paused": "active",
        "stopped": "active",
        "auto_paused": "active",
        "error": "active",
    },
    "resume": {"paused": "active", "stopped": "active", "auto_paused": "active", "error": "active"},
    "pause": {"active": "paused"},
    "stop": {"active": "stopped", "paused": "stopped", "auto_paused": "stopped", "error": "stopped"},
    "archive": dict.fromkeys(("draft", "paused", "stopped", "auto_paused", "error"), "archived"),
    "auto_pause": {"active": "auto_paused"},
    "fail": {"active": "error"},
}
TARGETS = {
    "deploy": "active",
    "start": "active",
    "resume": "active",
    "pause": "paused",
    "stop": "stopped",
    "archive": "archived",
    "auto_pause": "auto_paused",
    "fail": "error",
}


@pytest.mark.parametrize("command", RunCommand)
@pytest.mark.parametrize("status", RunStatus)
def test_every_command_in_every_status(status: RunStatus, command: RunCommand) -> None:
    run = replace(RUN, status=status, adapter_errors=2)
    target = TABLE[command.value].get(status.value)
    if target is not None:
        change = transition(run, command)
        assert (change.status.value, change.changed) == (target, True)
        assert change.adapter_errors == (0 if target == "active" else 2)
    elif status.value == TARGETS[command.value]:
        change = transition(run, command)
        assert (change.status, change.changed, change.adapter_errors) == (status, False, 2)
    else:
        with pytest.raises(IllegalTransition):
            transition(run, command)


@pytest.mark.parametrize(("flat", "open_orders"), [(False, False), (True, True), (False, True)])
def test_a_run_that_is_not_flat_or_has_an_open_order_is_not_archived(flat: bool, open_orders: bool) -> None:
    run = replace(RUN, status=RunStatus.STOPPED)
    with pytest.raises(IllegalTransition):
        transition(run, RunCommand.ARCHIVE, flat=flat, open_orders=open_orders)
    assert transition(run, RunCommand.STOP, flat=flat, open_orders=open_orders).changed is False


@pytest.mark.parametrize("status", RunStatus)
def test_a_manual_run_is_never_started(status: RunStatus) -> None:
    """It becomes active when it is deployed, and again when it is resumed; no slot claims it."""
    manual = replace(RUN, execution_mode=ExecutionMode.MANUAL, status=status)
    with pytest.raises(IllegalTransition):
        transition(manual, RunCommand.START)
    assert not ticks(manual)
    if status is RunStatus.DRAFT:
        assert transition(manual, RunCommand.DEPLOY).status is RunStatus.ACTIVE
    if status is RunStatus.STOPPED:
        assert transition(manual, RunCommand.RESUME).status is RunStatus.ACTIVE


@pytest.mark.parametrize("status", RunStatus)
def test_only_an_active_run_ticks(status: RunStatus) -> None:
    assert ticks(replace(RUN, status=status)) is (status is RunStatus.ACTIVE)


@pytest.mark.parametrize(
    ("errors", "status", "pauses"),
    [
        (0, "active", False),
        (1, "active", False),
        (2, "active", True),
        (5, "active", True),
        (2, "paused", False),
    ],
)
def test_the_third_adapter_error_in_a_row_pauses_an_active_run(
    errors: int, status: str, pauses: bool
) -> None:
    verdict = after_adapter_error(replace(RUN, status=RunStatus(status), adapter_errors=errors))
    assert (verdict.adapter_errors, verdict.auto_pause) == (errors + 1, pauses)


def test_a_direction_allows_its_own_side() -> None:
    allowed = {
        direction.value: [side.value for side in Side if direction.allows(side)] for direction in Direction
    }
    assert allowed == {"both": ["long", "short"], "long": ["long"], "short": ["short"]}


def test_margins_are_rounded_so_that_changes_add_up_to_nothing() -> None:
    used = Decimal(12_345)
    for leverage in (3, 7, 9):
        bound = margin_of(Decimal("100.01"), leverage)
        used = used + bound - margin_of(Decimal(0), leverage)
        used = used + margin_of(Decimal(0), leverage) - bound
    assert used == 12_345
    assert margin_of(Decimal(100), 3) == Decimal("33.333333333333")
