"""What a strategy answers: a Signal, and the reading of one from what its code returned."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from math import isfinite
from typing import Final

import msgspec

from core.errors import RunnerError

MAX_METADATA_BYTES: Final = 4096
MAX_INDICATORS: Final = 64
MAX_REASON_CHARS: Final = 500
LEAST: Final = Decimal("1E-12")
MOST: Final = Decimal("1E+15")
"""Of a price, an amount or a factor: beyond, no market is, and arithmetic in 28 digits and the database's end."""
MAX_DIGITS: Final = 60
MAX_LEVERAGE: Final = 1_000_000
"""Of what is said; what is used has limits of its own."""


class Action(StrEnum):
    LONG = "long"
    SHORT = "short"
    HOLD = "hold"
    EXIT_LONG = "exit_long"
    EXIT_SHORT = "exit_short"


class SignalFault(StrEnum):
    """Why an evaluation's answer was refused; stable codes."""

    TOO_FEW_CANDLES = "too_few_candles"
    NOT_A_SIGNAL = "not_a_signal"
    UNKNOWN_ACTION = "unknown_action"
    NAN_RESULT = "nan_result"
    NON_FINITE = "non_finite"
    NODE_FAILED = "node_failed"
    OUT_OF_BOUNDS = "out_of_bounds"
    BAD_METADATA = "bad_metadata"


class BadSignal(RunnerError):
    """A strategy answered something that is no signal."""

    def __init__(self, fault: SignalFault, sentence: str) -> None:
        super().__init__(sentence)
        self.fault = fault


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """One slot's answer. Prices and amounts are Decimal: from here on they are money."""

    action: Action
    price: Decimal | None = None
    amount: Decimal | None = None
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    score: float | None = None
    confidence: float | None = None
    size_factor: Decimal | None = None
    leverage: int | None = None
    reason: str | None = None
    indicators: Mapping[str, float] = {}
    metadata: Mapping[str, object] = {}


_ACTIONS: Final[Mapping[str, Action]] = {
    "long": Action.LONG,
    "buy": Action.LONG,
    "short": Action.SHORT,
    "sell": Action.SHORT,
    "hold": Action.HOLD,
    "exit_long": Action.EXIT_LONG,
    "exit_short": Action.EXIT_SHORT,
}
_DECIMALS: Final = ("price", "amount", "stop_loss", "take_profit", "size_factor")
_SCALES: Final[Mapping[str, float]] = {"score": 10.0, "confidence": 1.0}
_FIELDS: Final = frozenset(Signal.__struct_fields__)


def read_action(text: object, *, held_short: bool = False) -> Action:
    """The action `text` means; `close` exits whatever side is held, long unless `held_short`."""
    word = text.strip().lower() if isinstance(text, str) else ""
    if word == "close":
        return Action.EXIT_SHORT if held_short else Action.EXIT_LONG
    action = _ACTIONS.get(word)
    if action is None:
        sentence = f"The strategy answered the unknown action {text!r:.60}; there are {', '.join(Action)}."
        raise BadSignal(SignalFault.UNKNOWN_ACTION, sentence)
    return action


def read_signal(answer: object, *, held_short: bool = False) -> Signal:
    """The signal in what a strategy's code returned: a Signal or a mapping of its fields.

    Raises BadSignal naming the field; nothing of a bad answer is used.
    """
    if isinstance(answer, Signal):
        answer = {name: getattr(answer, name) for name in Signal.__struct_fields__}
    if not isinstance(answer, Mapping):
        kind = type(answer).__name__
        raise BadSignal(SignalFault.NOT_A_SIGNAL, f"The strategy answered a {kind} instead of a signal.")
    unknown = sorted(str(name) for name in answer if name not in _FIELDS)
    if unknown:
        raise BadSignal(SignalFault.NOT_A_SIGNAL, f"A signal has no field {unknown[0]!r:.60}.")
    decimals = {name: _decimal(name, answer.get(name)) for name in _DECIMALS}
    scales = {name: _scale(name, answer.get(name), top) for name, top in _SCALES.items()}
    reason = answer.get("reason")
    return Signal(
        action=read_action(answer.get("action"), held_short=held_short),
        leverage=_leverage(answer.get("leverage")),
        reason=None if reason is None else storable(str(reason)[:MAX_REASON_CHARS]),
        indicators=_indicators(answer.get("indicators")),
        metadata=_metadata(answer.get("metadata")),
        price=decimals["price"],
        amount=decimals["amount"],
        stop_loss=decimals["stop_loss"],
        take_profit=decimals["take_profit"],
        size_factor=decimals["size_factor"],
        score=scales["score"],
        confidence=scales["confidence"],
    )


def storable(text: str) -> str:
    """`text` as the database can keep it: a NUL is shown as what cannot be shown."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _number(name: str, value: object) -> float:
    """`value` as a finite float; numpy's numbers count as numbers, text and booleans do not."""
    if isinstance(value, (str, bytes, bool)) or not hasattr(value, "__float__"):
        raise BadSignal(SignalFault.NOT_A_SIGNAL, f"The signal's {name} is not a number.")
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError) as error:  # a signalling NaN, an integer beyond any float
        raise BadSignal(SignalFault.NON_FINITE, f"The signal's {name} is not a finite number.") from error
    if number != number:
        raise BadSignal(SignalFault.NAN_RESULT, f"The signal's {name} is NaN.")
    if not isfinite(number):
        raise BadSignal(SignalFault.NON_FINITE, f"The signal's {name} is not finite.")
    return number


def _decimal(name: str, value: object) -> Decimal | None:
    if value is None:
        return None
    number = _number(name, value)
    try:
        exact = value if isinstance(value, Decimal) else Decimal(repr(number))
    except InvalidOperation as error:
        raise BadSignal(SignalFault.NOT_A_SIGNAL, f"The signal's {name} is not a number.") from error
    return in_bounds(name, exact)


def in_bounds(name: str, exact: Decimal) -> Decimal:
    """`exact` as it may be traded upon. Raises BadSignal by name."""
    if exact <= 0:
        raise BadSignal(SignalFault.OUT_OF_BOUNDS, f"The signal's {name} of {exact:.12g} is not above 0.")
    if not LEAST <= exact <= MOST or len(exact.as_tuple().digits) > MAX_DIGITS:
        sentence = f"The signal's {name} of {exact:.12g} is not in {LEAST} to {MOST}, or has too many digits."
        raise BadSignal(SignalFault.OUT_OF_BOUNDS, sentence)
    return exact


def _scale(name: str, value: object, top: float) -> float | None:
    if value is None:
        return None
    number = _number(name, value)
    if not 0 <= number <= top:
        sentence = f"The signal's {name} of {number:g} is not in 0 to {top:g}."
        raise BadSignal(SignalFault.OUT_OF_BOUNDS, sentence)
    return number


def _leverage(value: object) -> int | None:
    if value is None:
        return None
    number = _number("leverage", value)
    if number < 1 or number != int(number):
        raise BadSignal(SignalFault.OUT_OF_BOUNDS, f"The signal's leverage of {number:g} is not 1, 2, 3 …")
    if number > MAX_LEVERAGE:
        raise BadSignal(SignalFault.OUT_OF_BOUNDS, f"The signal's leverage is above {MAX_LEVERAGE}.")
    return int(number)


def _indicators(value: object) -> dict[str, float]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or len(value) > MAX_INDICATORS:
        sentence = f"The signal's indicators are not a mapping of ≤ {MAX_INDICATORS} numbers."
        raise BadSignal(SignalFault.NOT_A_SIGNAL, sentence)
    return {storable(str(name)): _number(f"indicator {name}", number) for name, number in value.items()}


def _metadata(value: object) -> dict[str, object]:
    if value is None:
        return {}
    try:
        encoded = msgspec.json.encode(value)
        decoded = msgspec.json.decode(encoded)
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise BadSignal(SignalFault.BAD_METADATA, "The signal's metadata is not JSON.") from error
    if not isinstance(decoded, dict) or len(encoded) > MAX_METADATA_BYTES:
        sentence = f"The signal's metadata is not a JSON object of ≤ {MAX_METADATA_BYTES} bytes."
        raise BadSignal(SignalFault.BAD_METADATA, sentence)
    return decoded
