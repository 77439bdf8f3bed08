"""Where stop and target stand: percent of the entry price, unleveraged; an absolute price replaces a percentage."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from core.market import SymbolRules
from core.order import Order
from core.position import OrderSide
from core.protection import Protection, on_grid, protection_of
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
