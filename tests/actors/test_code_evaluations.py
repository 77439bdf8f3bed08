"""Evaluations of code: shared as those of templates, by position where it is looked at; and who is to blame."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from actors.messages import TickRequested
from actors.runtime.behaviour import Context
from actors.sandbox.frames import Failed, Fault
from actors.sandbox.judge import CodeTask, NoVerdict, Verdict
from actors.sandbox.warm import WarmSandbox
from core.definition import StrategyDefinition, StrategyKind
from core.ids import RunId
from core.order import Leg
from core.run import ExecutionMode, RunCommand, RunStatus
from core.signal import Action, Signal
from core.strategies.code import StrategyCode
from tests.actors.world import World

# The first asks for 2 closes and says what `sma_trend` over them says; the second is long while prices fall.
TREND = """
def strategy(context):
    close = context.candles.close
    return {"action": "buy" if close[-1] > close[-2] else "sell" if close[-1] < close[-2] else "hold"}
"""
HOLDER = """
def strategy(context):
    if context.position is None:
        return "long" if context.candles.close[-1] > context.candles.close[-2] else "hold"
    assert context.position.side == "long" and context.position.quantity > 0
    return "close" if context.price < context.position.entry_price else "hold"
"""
PATH = "ud-uudd-du"


class Scripted:
    """Answers every task by the same verdict, and remembers what it was asked."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        self.asked: list[CodeTask] = []

    def ask(
        self,
        ctx: Context,
        task: CodeTask,
        reply: Callable[[Verdict], object],
        failed: Callable[[Exception], object],
    ) -> None:
        self.asked.append(task)
        ctx.call(lambda: self.verdict, reply, failed)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[WarmSandbox]:
    with WarmSandbox() as started:
        yield started


def coded(world: World, text: str, **declared: Any) -> StrategyDefinition:
    """A strategy of the world's that is code over two candles."""
    code = StrategyCode(text=text, lookback=2, min_candles=2, **declared)
    template = world.strategy()
    definition = replace(
        template, kind=StrategyKind.PYTHON, template="python", source=code.source(), parameters={}
    )
    world.memory._tables.strategies[definition.id] = definition
    return definition


def traded(world: World, run: RunId) -> list[tuple[Leg, str, object]]:
    return [(order.leg, order.side.value, order.slot) for order in world.orders(run)]


def played(sandbox: WarmSandbox, text: str | None, *, replayed: bool, **declared: Any) -> Sequence[object]:
    world = World(PATH, replayed=replayed)
    world.code = sandbox.ask
    run = world.run(strategy=world.strategy() if text is None else coded(world, text, **declared))
    world.play()
    return traded(world, run)


def test_code_trades_live_and_in_replay_what_the_template_does(sandbox: WarmSandbox) -> None:
    template = played(sandbox, None, replayed=False)
    assert len(template) > 4
    assert played(sandbox, TREND, replayed=False) == template
    assert played(sandbox, TREND, replayed=True) == template


def test_runs_on_the_same_code_share_one_evaluation_a_slot() -> None:
    """I20: two strategies of different owners with the same content are one evaluation too."""
    world = World("u")
    runner = Scripted(Verdict(signal=Signal(action=Action.HOLD)))
    world.code = runner.ask
    runs = [world.run(user, strategy=coded(world, TREND)) for user in ("ann", "bob")]
    world.to_slot(0)
    assert len(runner.asked) == 1
    assert [world.tick(run, 0) for run in runs] == [("ok", None)] * 2
    assert world.evaluations() == [world.slot(0)]


def test_code_that_looks_at_positions_is_asked_once_for_each(sandbox: WarmSandbox) -> None:
    """Decision 16: by side, entry price and quantity."""
    world = World("uu-")
    strategy = coded(world, TREND, uses_position=True)
    world.code = sandbox.ask
    runs = [world.run(user, strategy=strategy) for user in ("ann", "bob")]
    world.to_slot(0, plus_s=20)
    assert all(not world.position(run).is_flat for run in runs)
    late = world.run("cid", strategy=strategy)
    world.wait(25)  # its row is read
    world.to_slot(1, plus_s=20)
    assert world.evaluations() == [world.slot(0), world.slot(1), world.slot(1)]
    assert [world.tick(run, 1) for run in runs] == [("ok", "already_open")] * 2
    assert world.tick(late, 1) == ("ok", None)


def test_what_a_run_holds_is_what_its_code_sees_live_and_in_replay(sandbox: WarmSandbox) -> None:
    live = played(sandbox, HOLDER, replayed=False, uses_position=True)
    assert [(leg, side) for leg, side, _ in live][:2] == [(Leg.ENTRY, "buy"), (Leg.EXIT, "sell")]
    assert played(sandbox, HOLDER, replayed=True, uses_position=True) == live


@pytest.mark.parametrize(
    ("nothing", "reason"), [(NoVerdict.STARVED, "host_busy"), (NoVerdict.AWAY, "sandbox_away")]
)
def test_what_the_machine_could_not_do_is_skipped_and_nobodys_fault(nothing: NoVerdict, reason: str) -> None:
    world = World("uuu")
    world.code = Scripted(Verdict(nothing=nothing, sentence="Too busy.")).ask
    run = world.run(strategy=coded(world, TREND))
    world.play()
    assert world.outcomes(run) == [(index, "skipped", reason) for index in range(3)]
    assert (world.status(run).status, world.status(run).adapter_errors) == (RunStatus.ACTIVE, 0)


def test_without_a_sandbox_code_is_skipped() -> None:
    world = World("u")
    run = world.run(strategy=coded(world, TREND))
    world.to_slot(0)
    assert world.tick(run, 0) == ("skipped", "sandbox_away")


def test_a_fault_stops_the_run_with_its_line_and_no_other_run() -> None:
    """Invariants §5; I20: one failure never stops another."""
    world = World("u-")
    failed = Failed(fault=Fault.EXCEPTION, sentence="KeyError: 'x'", line=3)
    world.code = Scripted(Verdict(failed=failed, sentence="Line 3: KeyError: 'x'")).ask
    run, other = world.run(strategy=coded(world, TREND)), world.run("bob")
    world.to_slot(0, plus_s=20)
    assert world.tick(run, 0) == ("error", "strategy_error")
    assert (world.status(run).status, world.status(run).adapter_errors) == (RunStatus.ERROR, 0)
    assert "Line 3: KeyError" in (world.status(run).status_reason or "")
    assert world.tick(other, 0) == ("ok", None)
    assert world.status(other).status is RunStatus.ACTIVE


def test_a_run_that_asks_late_shares_the_evaluation_and_is_counted() -> None:
    """Decision 16: the number is that of all so far, so that telling it twice changes nothing."""
    world = World("u-")
    strategy = world.strategy()
    world.run(strategy=strategy)
    late = [
        world.run(user, strategy=strategy, active=False, execution_mode=ExecutionMode.MANUAL)
        for user in ("bob", "cid")
    ]
    for run in late:
        world.memory.command(run, RunCommand.DEPLOY, by="owner")
    world.to_slot(0, plus_s=5)
    for run in late:
        world.system.ref("scheduler").tell(TickRequested(run_id=run, slot=world.slot(0)))
        world.wait(2)
    reports = [answer[0][0] for what, answer in world.calls if what == "store.report"]
    assert [row.runs_reached for report in reports for row in report.executions] == [1]
    assert [(more.slot, more.runs) for report in reports for more in report.reached] == [
        (world.slot(0), 2),
        (world.slot(0), 3),
    ]
    [first, *others] = [tick.evaluation for run in world.memory.runs() for tick in world.ticks(run.id)]
    assert first is not None
    assert others == [first, first]
