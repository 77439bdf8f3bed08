"""Messages, arguments and results as JSON: the same value gives the same text, whichever store it came from."""

from __future__ import annotations

import re
from decimal import Decimal
from enum import Enum
from hashlib import sha256
from typing import Any

import msgspec
import numpy as np

from actors.runtime.letter import ChildEvent, Failed, Letter, Pause, Renew, RestartDue, Signal, Stop
from actors.runtime.ref import ShellRef
from core.candles import CandleColumns

_NUMBER = re.compile(r"-?\d+(\.\d+)?(E[+-]?\d+)?")


def columns_hash(columns: CandleColumns) -> str:
    """The name of these candles, wherever they are kept."""
    return sha256(np.ascontiguousarray(columns.data).tobytes()).hexdigest()


def _other(value: object) -> object:
    match value:
        case BaseException():
            return {"error": getattr(value, "recorded_type", type(value).__name__)}
        case CandleColumns():
            return {"candles": len(value), "sha256": columns_hash(value)}
        case ShellRef():
            return {"actor": value.name}
        case Signal():
            return _signal(value)
        case Enum():
            return value.value
    return {"type": type(value).__name__}


def _signal(signal: Signal) -> dict[str, object]:
    match signal:
        case Failed(error=error, starting=starting):
            return _of_child(signal) | {"error": error, "starting": starting}
        case RestartDue(error=error):
            return _of_child(signal) | {"error": error}
        case ChildEvent():
            return _of_child(signal)
        case Stop(mode=mode, close=close):
            return {"mode": mode, "close": close}
        case Renew(error=error):
            return {"error": error}
        case Pause(reason=reason):
            return {"reason": reason}
    return {}


def _of_child(event: ChildEvent) -> dict[str, object]:
    return {"child": event.shell.name, "life": event.incarnation}


_encoder = msgspec.json.Encoder(enc_hook=_other)


def text(value: object) -> bytes:
    """JSON; what has no form of its own is named by its type, an exception by its class alone."""
    return _encoder.encode(value)


def message_of(item: object) -> object:
    """What lies in a mailbox, without the letter around it."""
    return item.message if isinstance(item, Letter) else item


def kind_of(message: object) -> str:
    return type(message).__name__


def same(recorded: bytes, replayed: bytes) -> bool:
    """Equal, but for how a decimal number is written: a database fills up with zeros."""
    return recorded == replayed or normal(recorded) == normal(replayed)


def normal(encoded: bytes) -> Any:
    return _normal(msgspec.json.decode(encoded))


def _normal(value: Any) -> Any:
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return f"{Decimal(value).normalize():f}" if Decimal(value) else "0"
    if isinstance(value, list):
        return [_normal(each) for each in value]
    if isinstance(value, dict):
        return {key: _normal(each) for key, each in value.items()}
    return value
