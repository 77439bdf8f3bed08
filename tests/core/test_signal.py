"""What a strategy may answer; everything else is refused by name."""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.market import Rounding, SymbolRules
from core.signal import Action, BadSignal, Signal, SignalFault, read_action, read_signal


@pytest.mark.parametrize(
    ("word", "action"),
    [
        ("long", Action.LONG),
        ("LONG", Action.LONG),
        ("buy", Action.LONG),
        ("short", Action.SHORT),
        ("sell", Action.SHORT),
        ("hold", Action.HOLD),
        ("EXIT_LONG", Action.EXIT_LONG),
        ("exit_short", Action.EXIT_SHORT),
        ("CLOSE", Action.EXIT_LONG),
    ],
)
def test_actions_are_read_as_their_equals(word: str, action: Action) -> None:
    assert read_action(word) is action
    assert read_signal({"action": word}).action is action


def test_close_exits_the_side_that_is_held() -> None:
    assert read_action("close", held_short=True) is Action.EXIT_SHORT


def test_a_full_answer_is_read_with_exact_decimals() -> None:
    signal = read_signal(
        {
            "action": "buy",
            "price": 0.1,
            "amount": Decimal("0.001"),
            "stop_loss": np.float64(95.5),
            "take_profit": 110,
            "score": 7,
            "confidence": 0.5,
            "size_factor": 1.5,
            "leverage": 3,
            "reason": "because",
            "indicators": {"rsi": np.float64(29.5)},
            "metadata": {"phase": 2},
        }
    )
    assert signal == Signal(
        action=Action.LONG,
        price=Decimal("0.1"),
        amount=Decimal("0.001"),
        stop_loss=Decimal("95.5"),
        take_profit=Decimal("110.0"),
        score=7.0,
        confidence=0.5,
        size_factor=Decimal("1.5"),
        leverage=3,
        reason="because",
        indicators={"rsi": 29.5},
        metadata={"phase": 2},
    )
    assert read_signal(signal) == signal


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (None, SignalFault.NOT_A_SIGNAL),
        ("buy", SignalFault.NOT_A_SIGNAL),
        ({}, SignalFault.UNKNOWN_ACTION),
        ({"action": "moon"}, SignalFault.UNKNOWN_ACTION),
        ({"action": 1}, SignalFault.UNKNOWN_ACTION),
        ({"action": "hold", "orders": 5}, SignalFault.NOT_A_SIGNAL),
        ({"action": "hold", "price": "100"}, SignalFault.NOT_A_SIGNAL),
        ({"action": "hold", "price": True}, SignalFault.NOT_A_SIGNAL),
        ({"action": "hold", "price": math.nan}, SignalFault.NAN_RESULT),
        ({"action": "hold", "price": Decimal("NaN")}, SignalFault.NAN_RESULT),
        ({"action": "hold", "price": math.inf}, SignalFault.NON_FINITE),
        ({"action": "hold", "price": Decimal("sNaN")}, SignalFault.NON_FINITE),
        ({"action": "hold", "price": 10**400}, SignalFault.NON_FINITE),
        ({"action": "hold", "price": 0}, SignalFault.OUT_OF_BOUNDS),
        ({"action": "hold", "amount": -1}, SignalFault.OUT_OF_BOUNDS),
        ({"action": "hold", "take_profit": 1e300}, SignalFault.OUT_OF_BOUNDS),
        ({"action": "hold", "size_factor": 5e-324}, SignalFault.OUT_OF_BOUNDS),
        ({"action": "hold", "stop_loss": Decimal("1E-999999999")}, SignalFault.OUT_OF_BOUNDS),
        ({"action": "hold", "amount": Decimal("1." + 100 * "1")}, SignalFault.OUT_OF_BOUNDS),
        ({"action": "hold", "score": 10.5}, SignalFault.OUT_OF_BOUNDS),
        ({"action": "hold", "confidence": 1.5}, SignalFault.OUT_OF_BOUNDS),
        ({"action": "hold", "leverage": 0}, SignalFault.OUT_OF_BOUNDS),
        ({"action": "hold", "leverage": 2.5}, SignalFault.OUT_OF_BOUNDS),
        ({"action": "hold", "leverage": 10**30}, SignalFault.OUT_OF_BOUNDS),
        ({"action": "hold", "indicators": {"rsi": math.nan}}, SignalFault.NAN_RESULT),
        ({"action": "hold", "indicators": [1]}, SignalFault.NOT_A_SIGNAL),
        ({"action": "hold", "indicators": {str(n): 1 for n in range(65)}}, SignalFault.NOT_A_SIGNAL),
        ({"action": "hold", "metadata": {"x": object()}}, SignalFault.BAD_METADATA),
        ({"action": "hold", "metadata": {"x": "y" * 5000}}, SignalFault.BAD_METADATA),
        ({"action": "hold", "metadata": [1]}, SignalFault.BAD_METADATA),
    ],
)
def test_a_bad_answer_is_refused_by_name(answer: object, fault: SignalFault) -> None:
    with pytest.raises(BadSignal) as refused:
        read_signal(answer)
    assert refused.value.fault is fault


RULES = SymbolRules(
    symbol="BTCUSDT",
    tick_size=Decimal("1E-8"),
    step_size=Decimal("1E-8"),
    min_quantity=Decimal("1E-8"),
    max_quantity=Decimal(10**6),
    min_notional=Decimal(5),
    market_step_size=Decimal("1E-8"),
    max_market_quantity=Decimal(10**6),
)


@given(
    st.floats(min_value=0, exclude_min=True) | st.decimals(min_value=0, allow_nan=False, allow_infinity=False)
)
def test_what_is_read_can_be_put_on_a_grid_shown_and_stored(number: float | Decimal) -> None:
    """A target of 1e300 ended the venue's step at an entry; a stop of 1E-999999999 is a gigabyte in an event."""
    try:
        signal = read_signal({"action": "long", "stop_loss": number})
    except BadSignal:
        return
    assert signal.stop_loss is not None
    assert RULES.price(signal.stop_loss, Rounding.UP) > 0
    assert len(format(signal.stop_loss, "f")) < 100


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.decimals(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(list(Signal.__struct_fields__)), junk) | junk)
def test_no_answer_breaks_the_reader(answer: object) -> None:
    try:
        signal = read_signal(answer)
    except BadSignal:
        return
    numbers = [*signal.indicators.values(), *filter(None, (signal.score, signal.confidence))]
    assert all(math.isfinite(number) for number in numbers)
    assert all(value is None or value.is_finite() for value in (signal.price, signal.stop_loss))
