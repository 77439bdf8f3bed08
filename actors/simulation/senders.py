"""Who sends signals from outside: to each strategy that takes them one every few minutes, in calm as under faults."""

from __future__ import annotations

from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING
from uuid import UUID

from actors.messages import SignalsSent
from actors.simulation.market import FINEST
from core.definition import StrategyDefinition
from core.external_signal import SentSignal
from core.signal import Action, Signal
from core.strategies.external import is_external
from schema.external import NewSignal

if TYPE_CHECKING:
    from actors.simulation.world import World

BETWEEN_S = (5.0, 500.0)
ACTIONS = (Action.LONG, Action.SHORT, Action.LONG, Action.SHORT, Action.EXIT_LONG, Action.EXIT_SHORT)
HEARD = 0.8
"""How often a process hears of a signal at once; otherwise when it looks by itself, too late for some."""
COLLARED = 0.2


class Senders:
    def __init__(self, world: World) -> None:
        self._world = world
        self._numbers = count(1)

    def begin(self) -> None:
        for strategy in self._world.people.strategies:
            if is_external(strategy):
                self._next(strategy)

    def _next(self, strategy: StrategyDefinition) -> None:
        first, last = BETWEEN_S

        def now() -> None:
            self._send(strategy)
            self._next(strategy)

        self._world.later(first + (last - first) * self._world.rng.random(), now)

    def _send(self, strategy: StrategyDefinition) -> None:
        """As the API does: the row first, then a hint that may get lost, except in calm."""
        world, rng = self._world, self._world.rng
        now = world.clock.now()
        sent = SentSignal(signal=Signal(action=rng.choice(ACTIONS)))
        if rng.random() < COLLARED:
            price = Decimal(repr(world.market.candle_at(strategy.symbol, FINEST.floor(now)).open))
            sent = SentSignal(signal=sent.signal, max_price=price * Decimal(rng.choice(("0.999", "1.001"))))
        number = next(self._numbers)
        new = NewSignal(
            id=UUID(int=0xE000 + number),
            strategy_id=strategy.id,
            user_id=strategy.owner_id,
            key=f"signal-{number}",
            received_at=now,
            sent=sent,
        )
        world.log.add("signal sent", (number, world.store.receive_signal(new)))
        for process in world.processes:
            if not world.faults.on or rng.random() < HEARD:
                process.tell("external", SignalsSent())
