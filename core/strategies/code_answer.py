"""The signal in what code answered: the fields of a signal, under the names authors are used to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from core.signal import BadSignal, Signal, SignalFault, read_signal

_ALSO_CALLED: Final = {
    "signal": "action",
    "stopLoss": "stop_loss",
    "takeProfit": "take_profit",
    "sizeFactor": "size_factor",
}


def read_code_answer(answer: object, *, held_short: bool = False) -> Signal:
    """`answer` is plain data: a mapping, or an action alone. Raises BadSignal naming the field."""
    if isinstance(answer, str):
        answer = {"action": answer}
    if answer is None:
        raise BadSignal(SignalFault.NOT_A_SIGNAL, "The strategy answered nothing; hold is an answer too.")
    if isinstance(answer, Mapping):
        named: dict[str, object] = {}
        for name, value in answer.items():
            field = _ALSO_CALLED.get(str(name), str(name))
            if field in named:
                raise BadSignal(SignalFault.NOT_A_SIGNAL, f"The signal's {field} is given twice.")
            named[field] = value
        answer = named
    return read_signal(answer, held_short=held_short)
