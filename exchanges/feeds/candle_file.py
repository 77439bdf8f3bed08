"""Reads one Binance archive candle file: header or none, gzip or not, ms or µs, 12 columns or OHLCV only."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from core.candles import CandleColumns, FloatArray, first_impossible
from core.errors import RunnerError
from core.timeframe import Timeframe, from_ms

MAX_FILE_BYTES: Final = 2_000_000_000
_GZIP_MAGIC: Final = b"\x1f\x8b"
# Millisecond stamps stay below this until the year 5138, microsecond stamps are above it since 1973.
_MICROSECONDS_FROM: Final = 1e14

_ARCHIVE: Final = (
    "open_time",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "close_time",
    "quote_volume",
    "count",
    "taker_buy_volume",
    "taker_buy_quote_volume",
    "ignore",
)
_HEADERLESS_WIDTHS: Final = (6, 7, 12)
_ALIASES: Final = {
    "timestamp": "open_time",
    "time": "open_time",
    "taker_buy_base_asset_volume": "taker_buy_volume",
    "taker_buy_base_volume": "taker_buy_volume",
}
_NEEDED: Final = _ARCHIVE[:6]


class CandleFileError(RunnerError):
    """A file that is no candle file: one sentence with its name, and its line where one is to blame."""

    def __init__(self, path: Path, what: str, line: int | None = None) -> None:
        where = path.name if line is None else f"{path.name}, line {line}"
        super().__init__(f"{where}: {what}.")
        self.path = path
        self.line = line


class CandleFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file's candles, checked, and the timeframe their spacing tells."""

    path: Path
    timeframe: Timeframe
    columns: CandleColumns

    @property
    def has_taker_volume(self) -> bool:
        return not bool(np.isnan(self.columns.taker_buy_volume).all())


def read_candle_file(path: Path, timeframe: Timeframe | None = None) -> CandleFile:
    """The candles of `path`. Raises CandleFileError for anything that is not clean, nothing is repaired."""
    body = content(path)
    first, _, rest = body.partition(b"\n")
    names, header_lines = _columns(path, first.decode("utf-8", "replace"))
    rows = rest if header_lines else body
    if not rows.strip():
        raise CandleFileError(path, "it holds no candles")
    table = _numbers(path, rows, names, header_lines)
    return _checked(path, table, names, header_lines, timeframe)


def content(path: Path) -> bytes:
    """The file's bytes, unpacked where it is gzip. Raises CandleFileError."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise CandleFileError(path, f"it is larger than {MAX_FILE_BYTES:,} bytes")
        raw = path.read_bytes()
        if not raw.startswith(_GZIP_MAGIC):
            return raw
        with gzip.GzipFile(fileobj=io.BytesIO(raw)) as packed:
            body = packed.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError as error:
        raise CandleFileError(path, "there is no such file") from error
    except (OSError, EOFError, zlib.error) as error:
        raise CandleFileError(path, f"it cannot be read ({error})") from error
    if len(body) > MAX_FILE_BYTES:
        raise CandleFileError(path, f"it unpacks to more than {MAX_FILE_BYTES:,} bytes")
    return body


def _columns(path: Path, first_line: str) -> tuple[Sequence[str], int]:
    """Names of the columns in file order, and how many header lines there are."""
    cells = [cell.strip().strip('"').lower() for cell in first_line.split(",")]
    if _is_number(cells[0]):
        if len(cells) not in _HEADERLESS_WIDTHS:
            raise CandleFileError(path, f"a file without header has 6, 7 or 12 columns, not {len(cells)}", 1)
        return _ARCHIVE[: len(cells)], 0
    names = [_ALIASES.get(cell, cell) for cell in cells]
    missing = [name for name in _NEEDED if name not in names]
    if missing:
        raise CandleFileError(path, f"the header lacks {', '.join(missing)}", 1)
    return names, 1


def _numbers(path: Path, rows: bytes, names: Sequence[str], header_lines: int) -> FloatArray:
    """(columns, candles): needed columns, then close_time and taker_buy_volume where the file has them."""
    wanted = [names.index(name) for name in _wanted(names)]
    lines = rows.count(b"\n") + (not rows.endswith(b"\n"))
    regular = rows.count(b",") == lines * (len(names) - 1) and b"\n\n" not in rows and b"\r\n\r" not in rows
    if regular:
        try:
            table = np.loadtxt(
                io.BytesIO(rows), delimiter=",", usecols=wanted, comments=None, ndmin=2, dtype=np.float64
            )
            return np.ascontiguousarray(table.T)
        except ValueError:
            pass
    line, what = _malformed(rows, names, wanted)
    raise CandleFileError(path, what, line + header_lines)


def _wanted(names: Sequence[str]) -> list[str]:
    return [*_NEEDED, *(name for name in ("close_time", "taker_buy_volume") if name in names)]


def _malformed(rows: bytes, names: Sequence[str], wanted: Sequence[int]) -> tuple[int, str]:
    """The first line that is no row, found one by one: only a file that failed is read this way."""
    for number, line in enumerate(rows.decode("utf-8", "replace").splitlines(), start=1):
        cells = line.split(",")
        if not line.strip():
            return number, "it is empty"
        if len(cells) != len(names):
            return number, f"it has {len(cells)} columns instead of {len(names)}"
        for column in wanted:
            if not _is_number(cells[column]):
                return number, f"{names[column]} is {cells[column].strip()!r:.40}, not a number"
    return 1, "it cannot be read as numbers"


def _checked(
    path: Path, table: FloatArray, names: Sequence[str], header_lines: int, timeframe: Timeframe | None
) -> CandleFile:
    found = dict(zip(_wanted(names), table, strict=True))
    opens = found["open_time"]
    unit = 1000 if opens[0] >= _MICROSECONDS_FROM else 1
    opens = opens / unit
    spacing = timeframe or _spacing(path, opens, found.get("close_time"), unit)
    taker = found.get("taker_buy_volume", np.full(len(opens), np.nan))
    prices = (found[name] for name in _NEEDED[1:])
    columns = CandleColumns(np.vstack([opens, *prices, taker]))
    index = first_impossible(columns, spacing)
    if index is not None:
        raise CandleFileError(path, _impossible(columns, index, spacing), index + 1 + header_lines)
    if "close_time" in found:
        closes = found["close_time"] // unit
        late = np.flatnonzero(closes != opens + spacing.ms - 1)
        if len(late):
            what = f"close_time is not the end of a {spacing} candle"
            raise CandleFileError(path, what, int(late[0]) + 1 + header_lines)
    return CandleFile(path=path, timeframe=spacing, columns=columns)


def _impossible(columns: CandleColumns, index: int, timeframe: Timeframe) -> str:
    at, open_, high, low, close, volume, taker = columns.data[:, index].tolist()
    if index and at <= columns.open_time[index - 1]:
        return "its open_time is not after the one before"
    if not 0 <= at < _MICROSECONDS_FROM or at % timeframe.ms:
        return f"open_time {at:.15g} is no boundary of {timeframe}"
    numbers = f"open {open_}, high {high}, low {low}, close {close}, volume {volume}, taker buys {taker}"
    return f"no candle can have {numbers}"


def _spacing(path: Path, opens: FloatArray, closes: FloatArray | None, unit: int) -> Timeframe:
    """The timeframe the smallest step between two candles tells; a single candle's own length."""
    steps = np.diff(opens)
    rising = steps[steps > 0]
    if len(rising):
        length = float(rising.min())
    elif closes is not None:
        length = float(closes[0] // unit + 1 - opens[0])
    else:
        raise CandleFileError(path, "one candle without close_time does not tell its timeframe")
    for timeframe in Timeframe:
        if timeframe.ms == length:
            return timeframe
    raise CandleFileError(path, f"candles {length / 1000:g} s apart are of no timeframe this service knows")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def file_name(*, venue: str, market: str, symbol: str, candles: CandleFile) -> str:
    """The name under which a folder of recorded candles finds this file again."""
    opens = candles.columns.open_time
    first, last = (f"{from_ms(int(at)):%Y%m%d}" for at in (opens[0], opens[-1]))
    suffix = "" if candles.has_taker_volume else "-ohlcv"
    return f"{venue}-{market}-{symbol}-{candles.timeframe}-{first}-{last}{suffix}.csv.gz"
