"""A recording as it is read: checked as a whole first, then entry by entry."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from datetime import datetime
from hashlib import blake2b, sha256
from pathlib import Path

import msgspec
import numpy as np

from actors.recording.entries import FORMAT, EndEntry, Entry, Header, KeptCandles
from actors.recording.writer import HEADER
from core.candles import COLUMNS, CandleColumns
from core.errors import RunnerError

_entries = msgspec.json.Decoder(Entry)


class Recording:
    """Raises RunnerError sentences for what is no recording, or is not whole."""

    def __init__(self, folder: Path, *, whole: bool = True) -> None:
        """`whole` False: one without an end will do, as a killed process leaves it."""
        self.folder = folder
        self._whole = whole
        self.header = _header(folder)
        self.end: EndEntry | None = None
        self.count = 0
        self._check()

    def entries(self) -> Iterator[Entry]:
        """All but the end, in order."""
        for line in self._lines():
            try:
                entry = _entries.decode(line)
            except msgspec.MsgspecError:
                return  # the line a killed process was at; in a whole recording there is none
            if not isinstance(entry, EndEntry):
                yield entry

    def candles(self, kept: KeptCandles) -> CandleColumns:
        data, name = kept.data, kept.sha256[:12]
        if data is None:
            try:
                data = gzip.decompress((self.folder / "candles" / f"{kept.sha256}.gz").read_bytes())
            except FileNotFoundError:
                raise RunnerError(f"The recording {self.folder} lacks the candles {name}.") from None
            except (OSError, EOFError, zlib.error) as error:
                raise self._damaged(f"candles {name}: {error}") from error
        if sha256(data).hexdigest() != kept.sha256:
            raise self._damaged(f"the candles {name} are others")
        return CandleColumns(np.frombuffer(data, dtype=np.float64).reshape(len(COLUMNS), kept.candles))

    def _check(self) -> None:
        digest = blake2b(digest_size=16)
        last = b""
        for line in self._lines():
            if last:
                digest.update(last)
                self.count += 1
            last = line
        try:
            end = _entries.decode(last) if last else None
        except msgspec.MsgspecError:
            end = None
        if not isinstance(end, EndEntry):
            if not self._whole:
                return
            raise RunnerError(
                f"The recording {self.folder} has no end: its process was killed or is still running, or the"
                " files were cut off. With --to T it is replayed as far as it goes, up to T."
            )
        if (end.entries, end.digest) != (self.count, digest.hexdigest()):
            raise self._damaged("its entries are not those it was ended with")
        self.end = end

    def _lines(self) -> Iterator[bytes]:
        for path in sorted(self.folder.glob("entries-*.jsonl.gz")):
            try:
                with gzip.open(path) as segment:
                    yield from segment
            except EOFError:
                return  # cut off: whoever counts sees that the end is missing
            except (OSError, zlib.error) as error:
                raise self._damaged(f"{path.name}: {error}") from error

    def _damaged(self, why: str) -> RunnerError:
        return RunnerError(f"The recording {self.folder} is damaged ({why}).")


def find_recording(directory: Path, at: datetime | None = None) -> Path:
    """The recording `directory` is, or of those it holds the newest, or the one that was running at `at`."""
    if (directory / HEADER).exists():
        return directory
    held = sorted((_header(path.parent).at, path.parent) for path in directory.glob(f"*/{HEADER}"))
    if not held:
        raise RunnerError(f"{directory} holds no recording.")
    before = [folder for began, folder in held if at is None or began <= at]
    if not before:
        raise RunnerError(
            f"The oldest recording in {directory} begins at {held[0][0]:%Y-%m-%d %H:%M:%S} UTC."
        )
    return before[-1]


def _header(folder: Path) -> Header:
    path = folder / HEADER
    try:
        header = msgspec.json.decode(gzip.decompress(path.read_bytes()), type=Header)
    except FileNotFoundError:
        raise RunnerError(f"{folder} is no recording: it has no {HEADER}.") from None
    except (OSError, EOFError, zlib.error, msgspec.MsgspecError) as error:
        raise RunnerError(f"The recording {folder} is damaged ({HEADER}: {error}).") from error
    if header.format != FORMAT:
        raise RunnerError(f"The recording {folder} has format {header.format}; this program reads {FORMAT}.")
    return header
