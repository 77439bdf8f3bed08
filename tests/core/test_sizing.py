"""From a signal to a quantity: floored, affordable, capped, and accepted by the filters (I15)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Reason
from core.run import RunSettings, SizeBy
from core.signal import Action, Signal
from core.sizing import Entry, Money, size_entry
from tests.core.tick_cases import RULES

D = Decimal
RICH = {"free_margin": D(1_000_000), "taker_fee_pct": D(0)}


def size(
    settings: dict[str, Any], signal: dict[str, Any] | None = None, price: str = "1000", **money: Any
) -> Entry | Reason:
    return size_entry(
        settings=RunSettings(**settings),
        signal=Signal(action=Action.LONG, **(signal or {})),
        price=D(price),
        money=Money(**{**RICH, **money}),
        rules=RULES,
    )


@pytest.mark.parametrize(
    ("settings", "signal", "money", "quantity"),
    [
        ({}, {}, {}, "10"),
        ({"capital": D(1000), "order_size_pct": D(50)}, {}, {}, "0.5"),
        ({"capital": D(1000), "leverage": 3}, {}, {}, "3"),
        ({"capital": D(1000)}, {"size_factor": D("0.5")}, {}, "0.5"),
        ({"capital": D(1000), "leverage": 5}, {"leverage": 2}, {}, "2"),
        ({"capital": D(1000), "leverage": 2}, {"leverage": 5}, {}, "2"),
        ({"capital": D("1234.5678")}, {}, {}, "1.234"),
        ({}, {}, {"free_margin": D(1000)}, "1"),
        ({}, {}, {"free_margin": D(1000), "taker_fee_pct": D("0.1")}, "0.999"),
        ({"leverage": 10}, {}, {"free_margin": D(1000), "taker_fee_pct": D("0.1")}, "9.900"),
        ({}, {}, {"free_margin": D(1000), "slippage_pct": D(25)}, "0.8"),
        ({}, {}, {"max_notional": D(2500)}, "2.5"),
        ({"capital": D(10_000_000)}, {}, {}, "100"),
        ({"size_by": SizeBy.AMOUNT}, {"amount": D("0.25")}, {}, "0.25"),
        ({"size_by": SizeBy.AMOUNT}, {}, {}, None),
        ({"size_by": SizeBy.RISK, "risk_pct": D(1)}, {"stop_loss": D(990)}, {}, "10"),
        ({"size_by": SizeBy.RISK, "risk_pct": D(1), "stop_loss_pct": D(2)}, {}, {}, "5"),
        ({"size_by": SizeBy.RISK, "risk_pct": D(1)}, {"stop_loss": D(1010)}, {}, "10"),
    ],
)
def test_sizes(
    settings: dict[str, Any], signal: dict[str, Any], money: dict[str, Any], quantity: str | None
) -> None:
    sized = size(settings, signal, **money)
    if quantity is None:
        assert sized is Reason.BELOW_MIN_NOTIONAL
    else:
        assert isinstance(sized, Entry)
        assert sized.quantity == D(quantity)


@pytest.mark.parametrize(
    ("settings", "money", "reason"),
    [
        ({"leverage": 11}, {}, Reason.LEVERAGE_TOO_HIGH),
        ({"leverage": 6}, {"max_leverage": 5}, Reason.LEVERAGE_TOO_HIGH),
        ({}, {"free_margin": D(0)}, Reason.NO_FREE_MARGIN),
        ({}, {"free_margin": D(-5)}, Reason.NO_FREE_MARGIN),
        ({"size_by": SizeBy.RISK, "risk_pct": D(1)}, {}, Reason.NO_STOP),
        ({"size_by": SizeBy.RISK, "stop_loss_pct": D(1)}, {}, Reason.NO_STOP),
        ({"capital": D("0.5")}, {}, Reason.BELOW_MIN_QUANTITY),
        ({"capital": D(4)}, {}, Reason.BELOW_MIN_NOTIONAL),
    ],
)
def test_refusals_are_named(settings: dict[str, Any], money: dict[str, Any], reason: Reason) -> None:
    assert size(settings, **money) is reason


amounts = st.decimals("0.01", "1000000", places=2)
percents = st.decimals("0", "10", places=2)


@given(
    st.integers(1, 125),
    amounts,
    st.decimals("0.1", "200000", places=1),
    amounts,
    percents,
    percents,
    st.one_of(st.none(), amounts),
)
def test_i15_an_entry_fits_margin_and_fee_filters_and_caps_whatever_it_is_asked(
    leverage: int,
    capital: Decimal,
    price: Decimal,
    free: Decimal,
    fee: Decimal,
    slippage: Decimal,
    most: Decimal | None,
) -> None:
    sized = size(
        {"leverage": leverage, "capital": capital},
        price=str(price),
        free_margin=free,
        taker_fee_pct=fee,
        slippage_pct=slippage,
        max_leverage=125,
        max_notional=most,
    )
    if isinstance(sized, Reason):
        return
    worst = price * (1 + slippage / 100)
    value = sized.quantity * worst
    assert value / leverage + value * fee / 100 <= free * (1 + D("1e-20"))
    assert most is None or value <= most
    assert sized.quantity * price <= capital * leverage * (1 + D("1e-20"))
    assert sized.quantity % RULES.market_step_size == 0
    assert RULES.refusal(sized.quantity, price) is None
    assert sized.quantity <= RULES.max_market_quantity
    assert 1 <= sized.leverage <= leverage
