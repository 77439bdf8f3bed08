"""What a strategy made of code declares."""

from __future__ import annotations

from uuid import UUID

import pytest

from core.definition import StrategyDefinition, StrategyKind
from core.ids import StrategyId, UserId
from core.parameters import ParameterError, ParameterSpec
from core.strategies import strategy_of
from core.strategies.code import CodeStrategy, NoCode, StrategyCode
from core.strategy import strategy_parameters
from core.timeframe import Timeframe

PERIOD = ParameterSpec(name="period", default=20, minimum=2, maximum=100, meaning="candles")


def definition(source: str, **parameters: int | float | bool | str) -> StrategyDefinition:
    return StrategyDefinition(
        id=StrategyId(UUID(int=1)),
        owner_id=UserId("ann"),
        name="mine",
        template="python",
        kind=StrategyKind.PYTHON,
        source=source,
        parameters=parameters,
        symbol="BTCUSDT",
        timeframe=Timeframe.M5,
    )


def code_of(code: StrategyCode, **parameters: int | float | bool | str) -> CodeStrategy:
    strategy = strategy_of(definition(code.source(), **parameters))
    assert isinstance(strategy, CodeStrategy)
    return strategy


def test_declared_parameters_are_checked_as_those_of_a_template() -> None:
    code = StrategyCode(text="x", specs=(PERIOD,), lookback=30, min_candles=20, uses_position=True)
    strategy = code_of(code, period=5)
    assert strategy_parameters(strategy, {}) == {"period": 20}
    assert (strategy.lookback({}), strategy.min_candles({}), strategy.uses_position) == (30, 20, True)
    with pytest.raises(ParameterError, match="period"):
        strategy_parameters(strategy, {"period": 101})


def test_code_that_declares_no_parameters_takes_any_number_as_it_is() -> None:
    given = {"period": 14, "share": 0.5, "spelled": "3"}
    taken = strategy_parameters(code_of(StrategyCode(text="x"), **given), given)
    assert taken == {"period": 14, "share": 0.5, "spelled": 3}
    assert [type(value) for value in taken.values()] == [int, float, int]


@pytest.mark.parametrize("given", ["x", "nan", "inf", True, 1e13])
def test_what_is_no_number_is_refused_by_name(given: bool | float | str) -> None:
    with pytest.raises(ParameterError, match="period"):
        strategy_parameters(code_of(StrategyCode(text="x"), period=given), {"period": given})


def test_content_names_the_text() -> None:
    one, other = code_of(StrategyCode(text="a")), code_of(StrategyCode(text="b"))
    assert one.content == code_of(StrategyCode(text="a", lookback=3)).content != other.content


@pytest.mark.parametrize("source", ["", "{}", "def strategy(): ..."])
def test_a_definition_without_code_is_refused(source: str) -> None:
    with pytest.raises(NoCode):
        strategy_of(definition(source))
