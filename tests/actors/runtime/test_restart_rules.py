"""Supervision cases S01 to S09: which failure leads to which restart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import pytest

from actors.runtime import (
    Backoff,
    ChildCounts,
    ChildSpec,
    Context,
    CountChildren,
    Directive,
    GaveUp,
    Intensity,
    Restart,
    RestartChild,
    Strategy,
    Supervision,
    Supervisor,
    TerminateChild,
)
from tests.actors.runtime.world import Log, Probe, World, probe, supervisor


def counts(world: World, ref: object) -> ChildCounts:
    answer: ChildCounts = world.system.ask(ref, CountChildren())  # type: ignore[arg-type]
    return answer


UP = ChildCounts(specs=1, active=1)
DOWN = ChildCounts(specs=1, active=0)


def test_s01_permanent_comes_back_whatever_ended_it(world: World, log: Log) -> None:
    """A run's actor comes back with fresh state behind the same address (invariants, further promises)."""
    root = world.system.start([probe("a", log)], Supervision(intensity=Intensity(max_restarts=9)))
    ref = world.system.ref("a")
    enders: tuple[Callable[[], object], ...] = (
        lambda: ref.tell("end"),
        lambda: ref.stop(block=False),
        lambda: ref.tell(("raise", ValueError())),
    )
    for life, end in enumerate(enders, start=2):
        ref.tell("inc")
        end()
        world.until(partial(log.count, "started", "a", life))
        assert world.system.ask(ref, "get") == 0
        assert world.system.ref("a") is ref
        assert counts(world, root) == UP
    world.system.ask(root, TerminateChild(id="a"))
    assert counts(world, root) == DOWN
    assert not ref.is_alive()


def test_s02_transient_tells_failure_from_completion(world: World, log: Log) -> None:
    root = world.system.start([probe("a", log, restart=Restart.TRANSIENT)])
    ref = world.system.ref("a")
    ref.tell("end")
    world.until(lambda: not ref.is_alive())
    world.until(lambda: counts(world, root) == DOWN)
    assert world.system.ask(root, RestartChild(id="a")) is ref
    assert world.system.ask(ref, "incarnation") == 2
    ref.tell(("raise", ValueError()))
    world.until(lambda: log.count("started", "a", 3))
    assert world.system.ask(ref, "get") == 0


def test_s03_too_many_restarts_escalate(world: World, log: Log) -> None:
    heard: list[BaseException] = []
    world.system.on_failure = heard.append
    world.system.start(
        [probe("a", log), probe("b", log)],
        Supervision(intensity=Intensity(max_restarts=2, window_s=3600.0)),
    )
    a, b = world.system.ref("a"), world.system.ref("b")
    a.tell(("raise", ValueError("first")))
    world.until(lambda: log.count("started", "a", 2))
    b.tell(("raise", ValueError("second")))
    world.until(lambda: log.count("started", "b", 2))
    cause = ValueError("third")
    a.tell(("raise", cause))
    world.until(lambda: heard)
    world.system.wait_stopped(5.0)
    assert isinstance(heard[0], GaveUp)
    assert heard[0].child_id == "a"
    assert heard[0].cause is cause
    assert not a.is_alive()
    assert not b.is_alive()


def test_s03_a_nested_supervisor_that_gives_up_is_restarted_by_its_own(world: World, log: Log) -> None:
    inner = supervisor("inner", [probe("a", log)], Supervision(intensity=Intensity(max_restarts=0)))
    world.system.start([inner, probe("other", log)])
    ref = world.system.ref("a")
    ref.tell(("raise", ValueError()))
    world.until(lambda: log.count("started", "a") == 2)
    world.until(ref.is_alive)
    assert world.system.ref("a") is ref
    assert world.system.ask(ref, "get") == 0
    assert log.count("started", "other") == 1


class FailsToStart(Probe):
    """Starts once, then never again."""

    starts = 0

    def __init__(self, ctx: Context, log: Log) -> None:
        super().__init__(ctx, log)
        log.add("tried", ctx.name)
        if log.count("tried", ctx.name) > 1:
            raise RuntimeError("cannot start")


def test_s04_a_restart_that_fails_is_a_failure_too(world: World, log: Log) -> None:
    world.system.start(
        [
            ChildSpec(id="a", factory=lambda ctx: FailsToStart(ctx, log)),
            probe("sibling", log),
        ],
        Supervision(intensity=Intensity(max_restarts=4, window_s=3600.0)),
    )
    world.system.ref("a").tell(("raise", ValueError()))
    world.system.wait_stopped(5.0)
    assert log.count("tried", "a") == 1 + 4
    assert log.count("stopped", "sibling") == 1
    assert isinstance(world.system.failure, GaveUp)


def test_s05_one_for_all_replaces_the_whole_group(world: World, log: Log) -> None:
    world.system.start([probe("a", log), probe("b", log)], Supervision(strategy=Strategy.ONE_FOR_ALL))
    a, b = world.system.ref("a"), world.system.ref("b")
    for number in range(20):
        b.tell(number)
    a.tell(("raise", ValueError()))
    for number in range(20, 40):
        b.tell(number)
    world.until(lambda: log.count("started", "b", 2))
    world.until(lambda: log.count("got", "b") == 40)
    entries = [entry for entry in log.entries if entry[0] in ("started", "stopped")]
    assert [entry[:3] for entry in entries] == [
        ("started", "a", 1),
        ("started", "b", 1),
        ("stopped", "b", 1),
        ("started", "a", 2),
        ("started", "b", 2),
    ]
    renewed = log.entries.index(("started", "a", 2))
    assert not [entry for entry in log.entries[renewed:] if entry[0] == "got" and entry[2] == 1]
    assert [number for _, number in log.of("got", "b")] == list(range(40))


def test_s05_rest_for_one_leaves_earlier_children_alone(world: World, log: Log) -> None:
    specs = [probe(name, log) for name in "abc"]
    world.system.start(specs, Supervision(strategy=Strategy.REST_FOR_ONE))
    world.system.ref("b").tell(("raise", ValueError()))
    world.until(lambda: log.count("started", "c", 2))
    assert log.count("started", "a") == 1
    assert log.count("started", "b") == 2


class E1(Exception): ...


class E2(Exception): ...


class E3(Exception): ...


def test_s06_directives_by_exception_class(world: World, log: Log) -> None:
    spec = probe(
        "a",
        log,
        directives={E2: Directive.RESUME, E3: Directive.RESTART},
        otherwise=Directive.STOP,
    )
    world.system.start([spec])
    ref = world.system.ref("a")
    ref.tell("inc")
    ref.tell(("raise", E2()))
    assert world.system.ask(ref, "get") == 1
    ref.tell(("raise", E3()))
    assert world.system.ask(ref, "get") == 0
    assert log.count("restarting", "a") == 1
    ref.tell(("raise", E1()))
    world.until(lambda: not ref.is_alive())
    world.until(lambda: log.count("stopped", "a") == 1)


@pytest.mark.parametrize("fatal", [KeyboardInterrupt, SystemExit, MemoryError])
def test_s07_fatal_is_not_supervised(world: World, log: Log, fatal: type[BaseException]) -> None:
    world.system.start([probe("a", log, directives={Exception: Directive.RESTART}), probe("b", log)])
    with pytest.raises(fatal):
        world.system.ask("a", ("raise", fatal()))
    world.system.wait_stopped(5.0)
    assert log.count("started", "a") == 1
    assert log.count("stopped", "b") == 1
    assert isinstance(world.system.failure, fatal)


def test_s07_a_cancelled_error_is_an_ordinary_failure(world: World, log: Log) -> None:
    world.system.start([probe("a", log)])
    with pytest.raises(asyncio.CancelledError):
        world.system.ask("a", ("raise", asyncio.CancelledError()))
    world.until(lambda: log.count("started", "a", 2))
    assert world.system.failure is None


def failing_start(world: World, log: Log, backoff: Backoff) -> None:
    world.system.start([probe("a", log, backoff=backoff)], Supervision(intensity=Intensity(max_restarts=99)))


def frozen(world: World) -> bool:
    info = world.system.snapshot()
    return info is not None and info.children[0].state == "failed"


def waiting(world: World) -> bool:
    """The back-off timer is set: its supervisor's note says so."""
    root = world.system._root
    assert root is not None
    return any(child.status == "waiting" for child in root.behaviour.children())  # type: ignore[union-attr]


def running(world: World) -> bool:
    """Its start is noted, from which a quiet spell is counted."""
    root = world.system._root
    assert root is not None
    return all(child.status == "running" for child in root.behaviour.children())  # type: ignore[union-attr]


@pytest.mark.parametrize(("reset_after_s", "quiet_s"), [(3.0, 3.0), (None, 5.5)])
def test_s09_backoff_forgets_after_a_quiet_spell(
    world: World, log: Log, reset_after_s: float | None, quiet_s: float
) -> None:
    failing_start(world, log, Backoff(min_s=1.0, max_s=10.0, reset_after_s=reset_after_s))
    ref = world.system.ref("a")

    def fail_and_wait(life: int, delay_s: float) -> None:
        ref.tell(("raise", ValueError()))
        world.until(lambda: waiting(world))
        world.advance(delay_s - 0.125)
        assert log.count("started", "a", life) == 0
        world.advance(0.125)
        world.until(lambda: log.count("started", "a", life))
        world.until(lambda: running(world))
        assert world.system.ask(ref, "get") == 0

    fail_and_wait(2, 1.0)
    fail_and_wait(3, 2.0)
    world.advance(quiet_s)
    fail_and_wait(4, 1.0)
    world.advance(quiet_s - 0.25)
    fail_and_wait(5, 2.0)


def test_s08_mail_is_held_while_backing_off(world: World, log: Log) -> None:
    failing_start(world, log, Backoff(min_s=1.0, max_s=10.0))
    ref = world.system.ref("a")
    ref.tell(("raise", ValueError()))
    ref.tell("held")
    world.until(lambda: waiting(world))
    for message in ("urgent", "urgent too"):
        ref.signal(message)
    world.until(lambda: not ref.actor_inbox.control)
    assert log.count("got") == 0
    world.advance(1.0)
    world.until(lambda: log.of("got", "a") == [(2, "urgent"), (2, "urgent too"), (2, "held")])


def test_i20_one_failing_run_never_stops_another(world: World, log: Log) -> None:
    """I20: with limits per child, the sixth restart within 60 s takes down that child only (decision 24)."""
    gave_up: list[str] = []

    class Runs(Supervisor):
        def child_gave_up(self, child_id: str, error: BaseException) -> None:
            gave_up.append(child_id)

    runs = ChildSpec(
        id="runs",
        factory=lambda ctx: Runs(
            ctx,
            [probe("bad", log), probe("good", log)],
            Supervision(intensity=Intensity(max_restarts=5, window_s=60.0, per_child=True)),
        ),
        dispatcher="control",
    )
    world.system.start([runs])
    bad = world.system.ref("bad")
    for _ in range(6):
        bad.tell(("raise", ValueError()))
    world.until(lambda: gave_up == ["bad"])
    assert log.count("started", "bad") == 6
    assert not bad.is_alive()
    assert world.system.ask("good", "incarnation") == 1
