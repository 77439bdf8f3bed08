"""What goes between the service and a worker: MessagePack behind a length of four bytes, both ways capped."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

import msgspec

MAX_ASK: Final = 16 << 20
MAX_REPLY: Final = 256 << 10
MAX_LOG: Final = 8 << 10
"""Bytes of what the code printed that are kept of one evaluation."""
LENGTH_BYTES: Final = 4


class Fault(StrEnum):
    """What the code did wrong; stable codes."""

    SYNTAX = "syntax"
    NO_ENTRY = "no_entry"
    IMPORT = "import"
    EXCEPTION = "exception"
    MEMORY = "memory"
    TIMEOUT = "timeout"
    DIED = "died"
    OVERSIZED = "oversized"
    FORGED = "forged"
    BAD_ANSWER = "bad_answer"
    BAD_DECLARATION = "bad_declaration"


class Program(msgspec.Struct, frozen=True, kw_only=True, tag="program"):
    """To be loaded before anything is asked. `explains`: slower, with the line an answer came from. `compiled`: the
    text is what loading it once before has made of the author's. `code`: what `Compile` has made of it.
    """

    kind: str
    text: str
    symbol: str = ""
    timeframe: str = ""
    explains: bool = False
    compiled: bool = False
    code: bytes | None = None


class Compile(msgspec.Struct, frozen=True, kw_only=True, tag="compile"):
    """Python to be read and not run: a worker that is asked this and nothing else runs nothing of the author's."""

    text: str


class Held(msgspec.Struct, frozen=True, kw_only=True):
    side: str
    quantity: float
    entry_price: float
    unrealised_pnl: float


class Ask(msgspec.Struct, frozen=True, kw_only=True, tag="ask"):
    """One evaluation: seven rows of float64 (core.candles.COLUMNS), the last candle closing at `slot_ms`; `extra`: as
    many of each further window, whose last candle has closed by then.
    """

    columns: bytes
    parameters: Mapping[str, int | float]
    slot_ms: int
    position: Held | None = None
    extra: Mapping[str, bytes] = {}


class Loaded(msgspec.Struct, frozen=True, kw_only=True, tag="loaded"):
    """`declared`: what the code says of itself, unchecked; its names are those of the declaration. `compiled`: what is
    to be loaded instead of the text from now on, where that is another.
    """

    declared: Any = None
    compiled: str | None = None
    log: str = ""


class Compiled(msgspec.Struct, frozen=True, kw_only=True, tag="compiled"):
    """For workers of the same text; nobody else reads it."""

    code: bytes


class Answered(msgspec.Struct, frozen=True, kw_only=True, tag="answered"):
    """`answer` is plain data, unchecked; `line`: where it came from."""

    answer: Any = None
    line: int | None = None
    log: str = ""


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="failed"):
    """The code's own doing. `trace`: the author's lines on the way, outermost first."""

    fault: Fault
    sentence: str
    line: int | None = None
    hint: str | None = None
    trace: tuple[tuple[int, str], ...] = ()
    log: str = ""


Asked = Program | Ask | Compile
Reply = Loaded | Answered | Failed | Compiled

ENCODER: Final = msgspec.msgpack.Encoder()
ASKED: Final[msgspec.msgpack.Decoder[Asked]] = msgspec.msgpack.Decoder(Asked)
REPLY: Final[msgspec.msgpack.Decoder[Reply]] = msgspec.msgpack.Decoder(Reply)


def framed(content: bytes) -> bytes:
    return len(content).to_bytes(LENGTH_BYTES, "little") + content
