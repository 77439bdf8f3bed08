"""The writer's thread: takes what is done off the tape, in order, and puts it on disk as compressed JSON lines.

A recording is a folder: `header.json.gz`, `entries-0001.jsonl.gz` and so on, each up to SEGMENT_BYTES of text or an
hour, and `candles/<sha256>.gz`, each window once. It ends, with its reason, at MAX_BYTES on disk; of older
recordings in the same directory the oldest go until all together are below MAX_ALL_BYTES.
"""

from __future__ import annotations

import gzip
import shutil
import threading
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, cast

import msgspec
import numpy as np

from actors.recording.canonical import columns_hash, kind_of, message_of, text
from actors.recording.entries import (
    NOTHING,
    CallEntry,
    CommandEntry,
    EffectEntry,
    EndEntry,
    Entry,
    Header,
    KeptCandles,
    Outcome,
    OutsideEntry,
    StopEntry,
    TurnEntry,
)
from actors.recording.tape import Call, Deed, Item, Outside, Stopping, Tape, Turn
from core.candles import CandleColumns
from core.clock import Clock

SEGMENT_BYTES = 64 << 20
SEGMENT_S = 3_600.0
MAX_BYTES = 4 << 30
MAX_ALL_BYTES = 8 << 30
FEW_CANDLES = 64
IDLE_S = 0.05
FLUSH_S = 1.0
CLOSE_TIMEOUT_S = 10.0
HEADER = "header.json.gz"


class Writer:
    def __init__(self, folder: Path, header: Header, tape: Tape, clock: Clock) -> None:
        """Raises OSError where the folder cannot be written."""
        self._folder = folder
        self._tape = tape
        self._clock = clock
        self._segment: BinaryIO | None = None
        self._segments = 0
        self._written = 0
        self._disk = 0
        self._since_s = 0.0
        self._flushed_s = clock.monotonic()
        self._entries = 0
        self._digest = blake2b(digest_size=16)
        self._stopping = threading.Event()
        (folder / "candles").mkdir(parents=True)
        self._put(folder / HEADER, gzip.compress(msgspec.json.encode(header)))
        self._thread = threading.Thread(target=self._run, name="recording", daemon=True)
        self._thread.start()

    def close(self, outcome: Outcome | None, shared_with: Sequence[str]) -> bool:
        """Write what is left and the end; false when it could not be done in time."""
        self._stopping.set()
        self._thread.join(CLOSE_TIMEOUT_S)
        if self._thread.is_alive():
            return False
        end = EndEntry(
            at=self._clock.now(),
            entries=self._entries,
            digest=self._digest.hexdigest(),
            outcome=outcome,
            shared_with=tuple(shared_with),
            problem=self._tape.problem,
        )
        try:
            self._write(end)
            self._end_segment()
        except OSError:
            return False
        return True

    def _run(self) -> None:
        waiting = self._tape.waiting
        try:
            while True:
                stopping = self._stopping.is_set()
                while waiting and waiting[0].done:
                    self._write(self._entry(waiting.popleft()))
                self._flush()
                if self._segment is not None and self._clock.monotonic() - self._since_s > SEGMENT_S:
                    self._end_segment()
                if stopping or (not self._tape.on and not waiting):
                    return
                self._stopping.wait(IDLE_S)
        except Exception as error:  # a full disk, a bug of ours: the process goes on without a recording
            self._tape.give_up(f"{type(error).__name__}: {error}")
            waiting.clear()

    # -- entries --------------------------------------------------------------------------------

    def _entry(self, item: Item) -> Entry:
        match item:
            case Turn():
                message = message_of(item.message)
                return TurnEntry(
                    actor=item.actor,
                    life=item.life,
                    type=kind_of(message),
                    at=item.at,
                    message=msgspec.Raw(text(message)),
                    readings=tuple(None if each == float("inf") else each for each in item.readings),
                    calls=tuple(map(self._call, item.calls)),
                    error=item.error,
                )
            case Deed(id=""):
                return CommandEntry(
                    at=item.at,
                    process_s=item.process_s,
                    call=self._call(item.calls[0]),
                    times=tuple(item.times),
                    late=item.late,
                )
            case Deed():
                result = item.result
                return EffectEntry(
                    id=item.id,
                    at=item.at,
                    process_s=item.process_s,
                    until=item.until,
                    process_until_s=item.process_until_s,
                    times=tuple(item.times),
                    calls=tuple(map(self._call, item.calls)),
                    type=None if result is None else kind_of(result),
                    result=NOTHING if result is None else msgspec.Raw(text(self._outcome(result))),
                    error=item.error,
                    late=item.late,
                )
            case Outside():
                return OutsideEntry(
                    actor=item.actor, type=kind_of(item.message), message=msgspec.Raw(text(item.message))
                )
            case Stopping():
                return StopEntry(mode=item.mode)

    def _call(self, call: Call) -> CallEntry:
        return CallEntry(
            name=call.name,
            arguments=msgspec.Raw(text(call.arguments)),
            result=NOTHING if call.result is None else msgspec.Raw(text(call.result)),
            news=msgspec.Raw(text(call.news)) if call.news else NOTHING,
            error=call.error,
        )

    def _outcome(self, result: object) -> object:
        """Candles by their hash: a few beside it, more in a file of their own."""
        if not isinstance(result, CandleColumns):
            return result
        data = np.ascontiguousarray(result.data).tobytes()
        kept = KeptCandles(candles=len(result), sha256=columns_hash(result))
        if len(result) <= FEW_CANDLES:
            return msgspec.structs.replace(kept, data=data)
        path = self._folder / "candles" / f"{kept.sha256}.gz"
        if not path.exists():
            self._put(path, gzip.compress(data, compresslevel=3))
        return kept

    # -- disk -----------------------------------------------------------------------------------

    def _write(self, entry: Entry) -> None:
        line = msgspec.json.encode(entry) + b"\n"
        if not isinstance(entry, EndEntry):
            self._entries += 1
            self._digest.update(line)
        if self._segment is None:
            self._segments += 1
            path = self._folder / f"entries-{self._segments:04}.jsonl.gz"
            self._segment = cast(BinaryIO, gzip.GzipFile(path, "wb", compresslevel=3))
            self._written, self._since_s = 0, self._clock.monotonic()
        self._segment.write(line)
        self._written += len(line)
        if self._written >= SEGMENT_BYTES:
            self._end_segment()

    def _flush(self) -> None:
        """Every second or so: what a killed process has recorded can still be read up to there."""
        now_s = self._clock.monotonic()
        if self._segment is not None and now_s - self._flushed_s >= FLUSH_S:
            self._segment.flush()
            self._flushed_s = now_s

    def _end_segment(self) -> None:
        if self._segment is not None:
            self._segment.close()
            self._segment = None
            self._count((self._folder / f"entries-{self._segments:04}.jsonl.gz").stat().st_size)

    def _put(self, path: Path, data: bytes) -> None:
        """Whole or not at all."""
        unfinished = path.with_suffix(".new")
        unfinished.write_bytes(data)
        unfinished.replace(path)
        self._count(len(data))

    def _count(self, size: int) -> None:
        self._disk += size
        if self._disk > MAX_BYTES:
            self._tape.give_up(f"the recording has reached {MAX_BYTES >> 30} GB")


def make_room(directory: Path) -> None:
    """Delete the oldest recordings in `directory` until the rest are below MAX_ALL_BYTES, less one more's bound."""
    recordings = sorted(path.parent for path in directory.glob(f"*/{HEADER}"))
    sizes = {
        each: sum(file.stat().st_size for file in each.rglob("*") if file.is_file()) for each in recordings
    }
    while recordings and sum(sizes[each] for each in recordings) > MAX_ALL_BYTES - MAX_BYTES:
        shutil.rmtree(recordings.pop(0))
