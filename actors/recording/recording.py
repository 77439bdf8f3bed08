"""A recording as it is read: checked as a whole first, then entry by entry."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from hashlib import blake2b
from io import BytesIO
from pathlib import Path

import msgspec
import numpy as np

from actors.recording.canonical import columns_hash
from actors.recording.entries import FORMAT, EndEntry, Entry, Header
from actors.recording.writer import HEADER
from core.candles import CandleColumns
from core.errors import RunnerError

_entries = msgspec.json.Decoder(Entry)


class Recording:
    """Raises RunnerError sentences for what is no recording, or is not whole."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.header = _header(folder)
        self.end: EndEntry | None = None
        self.count = 0
        self._check()

    def entries(self) -> Iterator[Entry]:
        """All but the end, in order."""
        for line in self._lines():
            entry = _entries.decode(line)
            if not isinstance(entry, EndEntry):
                yield entry

    def candles(self, sha256: str) -> CandleColumns:
        path = self.folder / "candles" / f"{sha256}.npy"
        try:
            columns = CandleColumns(np.load(BytesIO(path.read_bytes()), allow_pickle=False))
        except (OSError, ValueError, EOFError) as error:
            raise RunnerError(f"The recording {self.folder} lacks the candles {sha256[:12]}.") from error
        if columns_hash(columns) != sha256:
            raise RunnerError(f"In the recording {self.folder} the candles {sha256[:12]} are damaged.")
        return columns

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
        except msgspec.MsgspecError as error:
            raise self._damaged(str(error)) from error
        if not isinstance(end, EndEntry):
            raise RunnerError(
                f"The recording {self.folder} has no end: the process was killed, is still running, or the files"
                " were cut off."
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


def newest(directory: Path) -> Path:
    """The recording `directory` is, or the newest of those it holds."""
    if (directory / HEADER).exists():
        return directory
    held = sorted(path.parent for path in directory.glob(f"*/{HEADER}"))
    if not held:
        raise RunnerError(f"{directory} holds no recording.")
    return held[-1]


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
