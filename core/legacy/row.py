"""A row of an older deployment, read: whatever its columns were called, and whatever its JSON held."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Final, TypeVar

import msgspec

from core.errors import RunnerError
from core.legacy.columns import Table, columns_of, snake
from core.run import Direction, RunSettings, SizeBy
from core.strategies import TEMPLATES, template
from core.strategy import strategy_parameters
from core.symbols import parse_symbol
from core.timeframe import Timeframe

T = TypeVar("T")

TEMPLATE_NAMES: Final[Mapping[str, str]] = {
    **{name: name for name in TEMPLATES},
    **dict.fromkeys(("rsi", "rsi_strategy", "rsi_reversal"), "rsi_oversold_overbought"),
    **dict.fromkeys(("sma", "sma_strategy", "price_above_sma"), "sma_trend"),
    **dict.fromkeys(("ema", "ema_crossover", "ema_strategy"), "ema_cross"),
    **dict.fromkeys(("macd_cross", "macd_crossover", "macd_strategy"), "macd"),
    **dict.fromkeys(("bollinger", "bollinger_bands", "bb_reversion"), "bollinger_reversion"),
    **dict.fromkeys(("donchian", "donchian_channel", "turtle"), "donchian_breakout"),
}
ACTIVE: Final = frozenset({"active", "running", "started", "live", "enabled", "true", "t", "1", "yes"})
INACTIVE: Final = frozenset(
    {"inactive", "paused", "stopped", "disabled", "idle", "draft", "error", "false", "f", "0", "no"}
)
ENDED: Final = frozenset({"archived", "deleted", "cancelled", "canceled"})
_DIRECTIONS: Final = {
    "both": Direction.BOTH,
    "long": Direction.LONG,
    "long_only": Direction.LONG,
    "short": Direction.SHORT,
    "short_only": Direction.SHORT,
}
_MODES: Final = {"isolated": "isolated", "cross": "cross", "crossed": "cross"}
_POSITION_MODES: Final = {"one_way": "one_way", "oneway": "one_way", "hedge": "hedge"}
_LEAST: Final = Decimal("0.0001")
_MOST_CAPITAL: Final = 1_000_000_000
_MOST_LEVERAGE: Final = 125
_MOST_NAME: Final = 120


class RowProblem(RunnerError):
    """Why a row cannot be taken over."""


class Defined(msgspec.Struct, frozen=True, kw_only=True):
    """What a row says is traded."""

    name: str
    template: str
    parameters: Mapping[str, int | float]
    symbol: str
    timeframe: Timeframe


class Raw(msgspec.Struct, frozen=True, kw_only=True):
    """A row's values by what they mean; what its JSON held beside them is `params`."""

    table: str
    id: str
    values: Mapping[str, object]
    params: Mapping[str, object]

    def text(self, meaning: str) -> str | None:
        value = self.values.get(meaning)
        return None if value is None or str(value).strip() == "" else str(value).strip()

    def behind(self, other: Raw) -> Raw:
        """This row where it says something, and else the one it points to."""
        said = {meaning: value for meaning, value in self.values.items() if value is not None}
        defined = {name: other.values.get(name) for name in ("name", "template", "symbol", "timeframe")}
        sized = {name: value for name, value in other.values.items() if name in _FALL_BACK}
        return Raw(
            table=self.table,
            id=self.id,
            values={**sized, **defined, **said},
            params={**other.params, **self.params},
        )


_FALL_BACK: Final = frozenset(
    {
        *("capital", "order_size_pct", "risk_pct", "take_profit_pct", "stop_loss_pct", "leverage"),
        *("direction", "margin_mode", "position_mode"),
    }
)


def raw_row(table: Table, row: Mapping[str, object]) -> Raw:
    """Columns count before what stands in the JSON of the parameters. Raises RowProblem."""
    values = {meaning: row[column] for meaning, column in table.columns.items()}
    held = _object(values.pop("params", None))
    params = {snake(name): value for name, value in held.items()}
    inside = columns_of(params)
    nested = inside.pop("params", None)
    for meaning, key in inside.items():
        if meaning in ("id", "user", "deleted", "strategy"):
            continue
        value = params.pop(key)
        if values.get(meaning) is None:
            values[meaning] = value
    if nested is not None:
        own = _object(params.pop(nested))
        params |= {snake(name): value for name, value in own.items()}
    return Raw(table=table.name, id=str(values.get("id")), values=values, params=params)


def defined(raw: Raw) -> Defined:
    """Raises RunnerError with the reason."""
    spelled = raw.text("template")
    if spelled is None:
        raise RowProblem("It names no strategy template.")
    name = snake(spelled.replace("-", "_").replace(" ", "_"))
    chosen = template(TEMPLATE_NAMES.get(name, name))
    symbol, timeframe = raw.text("symbol"), raw.text("timeframe")
    if symbol is None or timeframe is None:
        raise RowProblem(f"It has no {'symbol' if symbol is None else 'timeframe'}.")
    symbol, parsed = parse_symbol(symbol), Timeframe.parse(timeframe)
    return Defined(
        name=(raw.text("name") or f"{chosen.name} {symbol} {parsed}")[:_MOST_NAME],
        template=chosen.name,
        parameters=strategy_parameters(chosen, raw.params),
        symbol=symbol,
        timeframe=parsed,
    )


def settings(raw: Raw) -> RunSettings:
    """How the row's run trades; what it does not say is as for any run. Raises RowProblem."""
    for unclear in ("stop_loss", "take_profit"):
        if raw.text(unclear) is not None and raw.text(f"{unclear}_pct") is None:
            raise RowProblem(f"Its {unclear} may be a price or a percentage; name the column {unclear}_pct.")
    usual = RunSettings()
    risk = _number(raw, "risk_pct", 100)
    stop = _number(raw, "stop_loss_pct", 100)
    if risk is not None and stop is None:
        raise RowProblem("It sizes by risk_pct and has no stop_loss_pct, from which the size would follow.")
    leverage = _number(raw, "leverage", _MOST_LEVERAGE) or Decimal(1)
    if leverage != int(leverage):
        raise RowProblem(f"Its leverage of {leverage} is no whole number.")
    return RunSettings(
        direction=_word(raw, "direction", _DIRECTIONS, usual.direction),
        leverage=int(leverage),
        margin_mode=_word(raw, "margin_mode", _MODES, usual.margin_mode),
        position_mode=_word(raw, "position_mode", _POSITION_MODES, usual.position_mode),
        capital=_number(raw, "capital", _MOST_CAPITAL) or usual.capital,
        size_by=SizeBy.PERCENT if risk is None else SizeBy.RISK,
        order_size_pct=_number(raw, "order_size_pct", 100) or usual.order_size_pct,
        risk_pct=risk,
        take_profit_pct=_number(raw, "take_profit_pct", 1_000),
        stop_loss_pct=stop,
    )


def was_active(raw: Raw) -> bool:
    """invariants §5: running or is_active is active, the rest is paused. A status counts before a flag.

    Raises RowProblem for a row that had ended and for a status nobody knows.
    """
    if raw.text("deleted") not in (None, "False", "false", "0"):
        raise RowProblem("It was deleted or archived there.")
    for meaning in ("status", "active"):
        word = raw.text(meaning)
        if word is None:
            continue
        if word.lower() in ENDED:
            raise RowProblem(f"It was {word.lower()} there.")
        if word.lower() not in ACTIVE | INACTIVE:
            raise RowProblem(f"Its {meaning} {word!r:.40} is not known.")
        return word.lower() in ACTIVE
    return False


def _number(raw: Raw, meaning: str, most: int) -> Decimal | None:
    """A finite number above 0; None where the row has none or 0, as older deployments said "off"."""
    text = raw.text(meaning)
    if text is None:
        return None
    try:
        number = Decimal(text.removesuffix("%").removesuffix("x").strip())
    except InvalidOperation:
        raise RowProblem(f"Its {meaning} {text!r:.40} is no number.") from None
    if number == 0:
        return None
    if not number.is_finite() or not _LEAST <= number <= most:
        raise RowProblem(f"Its {meaning} of {text:.40} does not lie in {_LEAST} to {most}.")
    return number


def _word(raw: Raw, meaning: str, known: Mapping[str, T], usual: T) -> T:
    text = raw.text(meaning)
    if text is None:
        return usual
    found = known.get(snake(text.replace("-", "_").replace(" ", "_")))
    if found is None:
        raise RowProblem(f"Its {meaning} {text!r:.40} is not one of {', '.join(known)}.")
    return found


def _object(value: object) -> Mapping[str, object]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise RowProblem("Its parameters are not JSON.") from None
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise RowProblem("Its parameters are no JSON object.")
    return {str(name): inner for name, inner in value.items()}
