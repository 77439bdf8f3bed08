"""The gaps between every two effects of an order's life, and the blow a process deals itself in one of them."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from core.ids import RunId

GAP_FILE: Final = "RUNNER_DRILL_GAP"
"""The environment variable that names the file by which a process is armed."""
BLOW_LANDS_S: Final = 0.2
"""How long whoever deals the blow waits for it: no further step is taken before the signal has had its effect."""
LOOK_S: Final = 0.02


class Gap(StrEnum):
    BEFORE_CLAIM = "before-claim"
    CLAIMED = "claimed"
    BEFORE_INTENT = "before-intent"
    COMMITTED = "committed"
    """The intent is; switch, lease and order are not re-read yet."""
    RE_READ = "re-read"
    """The first byte has not left."""
    ON_WIRE = "on-wire"
    """The venue has the request, or will; it has not answered."""
    ANSWERED = "answered"
    """Nothing of the answer is booked."""
    ACKNOWLEDGED = "acknowledged"
    """That is booked; its fills are not."""
    FILLED = "filled"
    """The fills are booked; the stop is not placed."""
    STOP_PLACED = "stop-placed"
    """Nothing notes it yet."""
    BEFORE_ROW = "before-row"


class Blow(StrEnum):
    KILL = "kill"
    FREEZE = "stop"
    END = "term"

    @property
    def number(self) -> signal.Signals:
        return _SIGNALS[self]


_SIGNALS = {Blow.KILL: signal.SIGKILL, Blow.FREEZE: signal.SIGSTOP, Blow.END: signal.SIGTERM}


class Armed(msgspec.Struct, frozen=True, kw_only=True):
    """What to wait for: the `nth` time one of these runs comes to the gap, with an order of these legs if it has one.

    `simulator`: base URL of the venue's stand-in, which is told to hold back the answer of the order on the wire;
    `late`: and the request as well. `at_s`: when it was armed, by the machine's monotonic clock, which tells it from
    others.
    """

    gap: Gap
    blow: Blow
    runs: frozenset[RunId]
    legs: frozenset[str]
    nth: int = 1
    simulator: str = ""
    late: bool = False
    at_s: float = 0.0


class Struck(msgspec.Struct, frozen=True, kw_only=True):
    """The blow was dealt. `what`: the order or the run concerned; `at_s`: monotonic clock of the machine."""

    gap: Gap
    what: str
    at_s: float


class Gaps:
    """In the process that is to be struck. Used from any of its threads."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._times = 0
        self._armed_with: bytes = b""
        self._releases: list[Callable[[], None]] = []

    def waits_for(self, gap: Gap, runs: Iterable[RunId], leg: str | None = None) -> bool:
        """Whether these runs are about to come to the armed gap."""
        return self._armed(gap, runs, leg) is not None

    def reached(self, gap: Gap, runs: Iterable[RunId], leg: str | None = None) -> Armed | None:
        """To be asked once each time; answers when the blow is due."""
        armed = self._armed(gap, runs, leg)
        if armed is None:
            return None
        with self._lock:
            self._times += 1
            return armed if self._times == armed.nth else None

    def strike(self, armed: Armed, what: str) -> None:
        struck = Struck(gap=armed.gap, what=what, at_s=time.monotonic())
        _write(_struck_file(self._file), struck)
        self._file.unlink(missing_ok=True)
        os.kill(os.getpid(), armed.blow.number)
        time.sleep(BLOW_LANDS_S)

    def pass_by(self, gap: Gap, runs: Iterable[RunId], what: str, leg: str | None = None) -> None:
        armed = self.reached(gap, runs, leg)
        if armed is not None:
            self.strike(armed, what)

    def on_release(self, release: Callable[[], None]) -> None:
        """Have news that are held back for a gap told once it lies behind."""
        self._releases.append(release)

    def release(self) -> None:
        for release in self._releases:
            release()

    def _armed(self, gap: Gap, runs: Iterable[RunId], leg: str | None) -> Armed | None:
        try:
            told = self._file.read_bytes()
        except FileNotFoundError:
            return None  # its count stays: another thread may have read it just before
        with self._lock:
            if told != self._armed_with:
                self._armed_with, self._times = told, 0
        armed = msgspec.json.decode(told, type=Armed)
        of_this_leg = leg is None or leg in armed.legs
        return armed if armed.gap is gap and of_this_leg and not armed.runs.isdisjoint(runs) else None


def arm(file: Path, armed: Armed) -> None:
    """From outside: the process whose file this is strikes itself from now on."""
    _struck_file(file).unlink(missing_ok=True)
    _write(file, msgspec.structs.replace(armed, at_s=time.monotonic()))


def struck_within(file: Path, timeout_s: float) -> Struck | None:
    """From outside: the blow, once it was dealt; None, and the process is disarmed, when it was not in time."""
    told, deadline_s = _struck_file(file), time.monotonic() + timeout_s
    while not told.exists():
        if time.monotonic() > deadline_s:
            file.unlink(missing_ok=True)
            return None
        time.sleep(LOOK_S)
    return msgspec.json.decode(told.read_bytes(), type=Struck)


def _struck_file(armed: Path) -> Path:
    return armed.with_suffix(".struck")


def _write(file: Path, told: msgspec.Struct) -> None:
    """Whole or not at all."""
    draft = file.with_suffix(f"{file.suffix}.new")
    draft.write_bytes(msgspec.json.encode(told))
    draft.replace(file)
