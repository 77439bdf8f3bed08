"""Where stop and target stand: percent of the entry price, unleveraged; an absolute price replaces a percentage."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from core.market import SymbolRules
from core.order import Order
from core.position import OrderSide
from core.protection import Protection, Trailing, on_grid, protection_of
from core.signal import Action
from core.tick import Propose, begin
from tests.core.tick_cases import facts

D = Decimal


def entry(side: OrderSide, **fields: Decimal) -> Order:
    _, [propose] = begin(facts(Action.LONG, leverage=10))
    assert isinstance(propose, Propose)
    return replace(propose.order, side=side, **fields)


@pytest.mark.parametrize(
    ("side", "fields", "stop", "target"),
    [
        (OrderSide.BUY, {}, None, None),
        (OrderSide.BUY, {"stop_loss_pct": D("1.5"), "take_profit_pct": D(3)}, D(1970), D(2060)),
        (OrderSide.SELL, {"stop_loss_pct": D("1.5"), "take_profit_pct": D(3)}, D(2030), D(1940)),
        (OrderSide.BUY, {"stop_loss": D(1900), "stop_loss_pct": D(1)}, D(1900), None),
        (OrderSide.SELL, {"take_profit": D(1500), "stop_loss_pct": D(1)}, D(2020), D(1500)),
    ],
)
def test_protection(
    side: OrderSide, fields: dict[str, Decimal], stop: Decimal | None, target: Decimal | None
) -> None:
    assert protection_of(entry(side, **fields), D(2000)) == Protection(stop_loss=stop, take_profit=target)


RULES = SymbolRules(
    symbol="BTCUSDT",
    tick_size=D("0.5"),
    step_size=D(1),
    min_quantity=D(1),
    max_quantity=D(9),
    min_notional=D(0),
    market_step_size=D(1),
    max_market_quantity=D(9),
)


@pytest.mark.parametrize(
    ("side", "wanted", "stop", "target"),
    [
        (OrderSide.BUY, (D("99.1"), D("110.9")), D("99.5"), D("110.5")),
        (OrderSide.SELL, (D("110.9"), D("99.1")), D("110.5"), D("99.5")),
        (OrderSide.BUY, (D("99.5"), None), D("99.5"), None),
        (OrderSide.SELL, (None, D("0.2")), None, D("0.5")),
        (OrderSide.SELL, (None, D("-3")), None, None),
    ],
)
def test_on_the_grid_a_stop_loses_no_more_and_a_target_is_not_missed(
    side: OrderSide,
    wanted: tuple[Decimal | None, Decimal | None],
    stop: Decimal | None,
    target: Decimal | None,
) -> None:
    moved = on_grid(Protection(stop_loss=wanted[0], take_profit=wanted[1]), side, RULES)
    assert moved == Protection(stop_loss=stop, take_profit=target)


@pytest.mark.parametrize(
    ("side", "activation_pct", "activation", "best"),
    [
        (OrderSide.BUY, D(2), D(2040), None),
        (OrderSide.SELL, D(2), D(1960), None),
        (OrderSide.BUY, D(0), D(2000), D(2000)),
        (OrderSide.SELL, D(0), D(2000), D(2000)),
    ],
)
def test_a_trailing_stop_activates_so_far_beyond_the_entry_or_trails_from_it(
    side: OrderSide, activation_pct: Decimal, activation: Decimal, best: Decimal | None
) -> None:
    fields = {"trailing_callback_pct": D("0.5"), "trailing_activation_pct": activation_pct}
    wanted = protection_of(entry(side, **fields), D(2000)).trailing
    assert wanted == Trailing(callback_pct=D("0.5"), activation_price=activation, best=best)
    assert wanted.distance == activation * D("0.005")


@pytest.mark.parametrize(("side", "activation"), [(OrderSide.BUY, D("110.5")), (OrderSide.SELL, D(111))])
def test_an_activation_price_moves_on_the_grid_as_a_target_does(side: OrderSide, activation: Decimal) -> None:
    wanted = Protection(trailing=Trailing(callback_pct=D(1), activation_price=D("110.9")))
    moved = on_grid(wanted, side, RULES).trailing
    assert moved is not None
    assert moved.activation_price == activation


def test_what_limits_a_loss_is_a_stop_that_stays_or_one_that_trails() -> None:
    assert not Protection(take_profit=D(1)).limits_loss
    assert Protection(stop_loss=D(1)).limits_loss
    assert Protection(trailing=Trailing(callback_pct=D(1), activation_price=D(1))).limits_loss
