"""orchestrator: the decision, from entry and exit conditions per side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from core.position import Side
from core.signal import Action, Signal, in_bounds
from core.strategies.graph.document import RawValue
from core.strategies.graph.nodes.base import PlainNode
from core.strategies.graph.params import AnyParam, NumberParam, Params, number, whole
from core.strategies.graph.ports import CONDITIONS, NUMBERS, PRICES, Frame, Given, Input, Unit, Units, Value
from core.strategies.graph.problems import NodeProblem

ENTRIES: Final = ("entry_long", "entry_short")
EXITS: Final = ("exit_long", "exit_short")
BANKROLL: Final = "paper_bankroll_usd"
LEAST_BANKROLL: Final = 100
MOST_BANKROLL: Final = 1_000_000
_HUNDRED: Final = Decimal(100)


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What came in at the slot, by port; a port to which nothing leads is absent."""

    conditions: Mapping[str, bool]
    numbers: Mapping[str, float]
    words: Mapping[str, str]


class Orchestrator(PlainNode):
    """An entry counts while its own side's exit does not hold, and nothing counts while both entries do.

    An entry says all there is to say about the other side's position: it is left first. Take profit and stop loss are
    prices that come in, or percentages of the close.
    """

    name: Final = "orchestrator"

    def declared(self, given: Mapping[str, RawValue]) -> Sequence[AnyParam]:
        return (
            NumberParam(name="take_profit_pct", minimum=0.01, maximum=1_000, usual=(0.1, 20)),
            NumberParam(name="stop_loss_pct", minimum=0.01, maximum=99.99, usual=(0.1, 20)),
            NumberParam(name="size_factor", minimum=0.01, maximum=10, usual=(0.1, 3)),
            NumberParam(name="leverage", minimum=1, maximum=125, whole=True, usual=(1, 20)),
            NumberParam(name="min_score", minimum=0, maximum=10),
            NumberParam(name=BANKROLL, minimum=LEAST_BANKROLL, maximum=MOST_BANKROLL),
        )

    def inputs(self, params: Params) -> Sequence[Input]:
        conditions = [
            Input(name=name, accepts=CONDITIONS, optional=True, named_only=True)
            for name in (*ENTRIES, *EXITS)
        ]
        return (
            *conditions,
            Input(name="score", accepts=NUMBERS, optional=True, named_only=True),
            Input(name="size_factor", accepts=NUMBERS, optional=True, named_only=True),
            Input(name="take_profit", accepts=PRICES, optional=True, named_only=True),
            Input(name="stop_loss", accepts=PRICES, optional=True, named_only=True),
        )

    def outputs(self, params: Params, units: Units) -> Mapping[str, Unit]:
        if not any(name in units for name in ENTRIES):
            raise NodeProblem("Nothing leads to an entry; one side at least has one.", port=ENTRIES[0])
        if "min_score" in params and "score" not in units:
            raise NodeProblem("is asked for, and no score comes in", field="min_score")
        for price in ("take_profit", "stop_loss"):
            if price in units and f"{price}_pct" in params:
                raise NodeProblem(f"is given beside the price that comes in at {price}", field=f"{price}_pct")
        if "size_factor" in units and "size_factor" in params:
            raise NodeProblem("is given as a number, and comes in as well", field="size_factor")
        return {}

    def run(self, params: Params, given: Given, frame: Frame) -> Mapping[str, Value]:
        return {}

    def signal(
        self,
        params: Params,
        verdict: Verdict,
        indicators: Mapping[str, float],
        price: float,
        held: Side | None,
    ) -> Signal:
        """The decision at a close of `price`; `held` matters only where both exits hold at once."""
        action, port = self._action(params, verdict, held)
        if action is Action.HOLD:
            return Signal(
                action=action, reason=port, indicators=indicators, score=verdict.numbers.get("score")
            )
        take_profit, stop_loss = self._prices(params, verdict, action, Decimal(repr(price)))
        size = verdict.numbers.get("size_factor")
        if size is None and "size_factor" in params:
            size = number(params, "size_factor")
        return Signal(
            action=action,
            reason=None if port is None else verdict.words[port],
            indicators=indicators,
            score=verdict.numbers.get("score"),
            size_factor=None if size is None else in_bounds("size_factor", Decimal(repr(size))),
            leverage=whole(params, "leverage") if "leverage" in params else None,
            take_profit=take_profit,
            stop_loss=stop_loss,
        )

    def _action(self, params: Params, verdict: Verdict, held: Side | None) -> tuple[Action, str | None]:
        """The action and the port that says so; for a hold the reason, where there is one to tell."""
        holds = verdict.conditions
        enough = verdict.numbers.get("score", 0.0) >= number({"min_score": 0.0, **params}, "min_score")
        long = enough and holds.get("entry_long", False) and not holds.get("exit_long", False)
        short = enough and holds.get("entry_short", False) and not holds.get("exit_short", False)
        if long and short:
            return Action.HOLD, "Both entries hold at once"
        if long:
            return Action.LONG, "entry_long"
        if short:
            return Action.SHORT, "entry_short"
        leave_long, leave_short = holds.get("exit_long", False), holds.get("exit_short", False)
        if leave_long and (not leave_short or held is Side.LONG):
            return Action.EXIT_LONG, "exit_long"
        if leave_short and (not leave_long or held is Side.SHORT):
            return Action.EXIT_SHORT, "exit_short"
        return Action.HOLD, None

    def _prices(
        self, params: Params, verdict: Verdict, action: Action, price: Decimal
    ) -> tuple[Decimal | None, Decimal | None]:
        if action not in (Action.LONG, Action.SHORT):
            return None, None
        gain = 1 if action is Action.LONG else -1
        prices: list[Decimal | None] = []
        for name, direction in (("take_profit", gain), ("stop_loss", -gain)):
            asked = verdict.numbers.get(name)
            if asked is not None:
                prices.append(in_bounds(name, Decimal(repr(asked))))
            elif f"{name}_pct" in params:
                share = Decimal(repr(number(params, f"{name}_pct"))) / _HUNDRED
                prices.append(max(price * (1 + direction * share), Decimal(0)) or None)
            else:
                prices.append(None)
        return prices[0], prices[1]
