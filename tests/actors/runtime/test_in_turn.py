"""A call `in_turn`: where the system answers at once its answer is handled within the turn, elsewhere it is mail."""

from __future__ import annotations

from typing import Any

import pytest

from actors.runtime import ActorSystem, Behaviour, ChildSpec, Context, VirtualClock
from tests.actors.runtime.world import START


class Caller(Behaviour):
    """Notes when a call's answer is handled: before or after the handler that made it has ended."""

    def __init__(self, ctx: Context, notes: list[Any]) -> None:
        super().__init__(ctx)
        self.notes = notes

    def receive(self, message: Any) -> None:
        match message:
            case ("do", fn, in_turn):
                self.ctx.call(
                    fn, lambda value: ("told", value), lambda error: ("failed", error), in_turn=in_turn
                )
                self.notes.append("end of handler")
            case ("told", value):
                self.notes.append(value)
            case ("failed", error):
                self.notes.append(type(error))
            case "crash":
                raise ValueError


def played(answers_at_once: bool, *messages: object) -> list[Any]:
    notes: list[Any] = []
    system = ActorSystem.deterministic(VirtualClock(START), answers_at_once=answers_at_once)
    system.start([ChildSpec(id="a", factory=lambda ctx: Caller(ctx, notes))])
    for message in messages:
        system.ref("a").tell(message)
    assert system.virtual is not None
    system.virtual.run_until_idle()
    return notes


def fails() -> int:
    raise KeyError


@pytest.mark.parametrize(
    ("at_once", "in_turn", "notes"),
    [
        (True, True, [42, "end of handler"]),
        (True, False, ["end of handler", 42]),
        (False, True, ["end of handler", 42]),
    ],
)
def test_only_a_system_that_answers_at_once_answers_within_the_turn(
    at_once: bool, in_turn: bool, notes: list[Any]
) -> None:
    assert played(at_once, ("do", lambda: 42, in_turn)) == notes


def test_a_failure_is_told_in_turn_as_well() -> None:
    assert played(True, ("do", fails, True)) == [KeyError, "end of handler"]


def test_an_answer_in_turn_overtakes_waiting_mail() -> None:
    """Who asks for it says that the order does not matter to it."""
    waiting = ("told", "mail")
    assert played(True, ("do", lambda: 1, True), waiting) == [1, "end of handler", "mail"]
    assert played(False, ("do", lambda: 1, True), waiting) == ["end of handler", "mail", 1]


def test_a_behaviour_that_fails_over_an_answer_in_turn_is_restarted() -> None:
    class Fragile(Caller):
        def receive(self, message: Any) -> None:
            if message == ("told", "bad"):
                self.notes.append("failing")
                raise ValueError("it cannot stand this answer")
            super().receive(message)

    notes: list[Any] = []
    system = ActorSystem.deterministic(VirtualClock(START), answers_at_once=True)
    system.start([ChildSpec(id="a", factory=lambda ctx: Fragile(ctx, notes))])
    system.ref("a").tell(("do", lambda: "bad", True))
    system.ref("a").tell(("do", lambda: "good", True))
    assert system.virtual is not None
    system.virtual.run_until_us(system.virtual.clock.us + 10_000_000)
    assert notes == ["failing", "good", "end of handler"]
