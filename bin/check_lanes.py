"""Checks as processes of their own, side by side in lanes; what each wrote is printed in one piece when it is done."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from typing import IO, Final, NamedTuple, TextIO

ROOT: Final = Path(__file__).resolve().parent.parent
INTERRUPT_GRACE_S: Final = 10.0
"""How long a check that is interrupted may take to clean up (servers it started) before it is killed."""
LIVE_EVERY_S: Final = 0.5
LINE_EVERY_S: Final = 60.0
"""Where there is no terminal, how often a line says what is running."""
_TAIL_BYTES: Final = 400
_COLUMNS: Final = 100
_CLEAR_LINE: Final = "\r\x1b[2K"
_PERCENT: Final = re.compile(r"\[ *(\d+%)\]\s*$")


class Check(NamedTuple):
    name: str
    command: list[str]
    timeout_s: float
    environment: Mapping[str, str] = {}


class Outcome(NamedTuple):
    name: str
    verdict: str
    seconds: float


class Running(NamedTuple):
    process: subprocess.Popen[bytes]
    output: IO[bytes]
    began_s: float


class Lanes:
    """Runs checks and writes to `out`. Interrupted, or with a check over its time, it leaves no process behind."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._running: dict[str, Running] = {}
        self._stopped = False
        self._lock = threading.Lock()
        self._said_s = time.monotonic()

    def run(self, checks: Sequence[Check], *, lanes: int = 1) -> list[Outcome]:
        """In the order given, each in the first lane that is free; outcomes in the order given."""
        with ThreadPoolExecutor(max_workers=lanes) as pool:
            futures = [pool.submit(self._one, check) for check in checks]
            try:
                while wait(futures, timeout=LIVE_EVERY_S).not_done:
                    self._tell_running()
            except BaseException:
                self._stop()
                raise
        return [future.result() for future in futures]

    def _one(self, check: Check) -> Outcome:
        with tempfile.TemporaryFile() as output:
            running = self._start(check, output)
            if running is None:
                return Outcome(check.name, "not started", 0.0)
            try:
                code = running.process.wait(check.timeout_s)
                verdict = "ok" if code == 0 else f"failed, exit code {code}"
            except subprocess.TimeoutExpired:
                end([running.process])
                verdict = f"failed, not done within {check.timeout_s:g} s"
            finally:
                signal_group(running.process, signal.SIGKILL)  # whatever the check itself left behind
            outcome = Outcome(check.name, verdict, time.monotonic() - running.began_s)
            self._finished(outcome, output)
        return outcome

    def _start(self, check: Check, output: IO[bytes]) -> Running | None:
        with self._lock:
            if self._stopped:
                return None
            process = subprocess.Popen(  # noqa: S603
                check.command,
                cwd=ROOT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **check.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            running = self._running[check.name] = Running(process, output, time.monotonic())
            if not self._out.isatty():
                self._write(f"-- {check.name}: started\n")
            return running

    def _finished(self, outcome: Outcome, output: IO[bytes]) -> None:
        output.seek(0)
        text = output.read().decode(errors="replace").rstrip()
        with self._lock:
            del self._running[outcome.name]
            head = f"== {outcome.name}: {outcome.verdict} ({outcome.seconds:.0f} s)\n"
            self._write(head + (f"{text}\n" if text else ""))

    def _tell_running(self) -> None:
        """A line that is kept up to date on a terminal; elsewhere one a minute."""
        with self._lock:
            now_s = time.monotonic()
            terminal = self._out.isatty()
            if not self._running or not (terminal or now_s - self._said_s >= LINE_EVERY_S):
                return
            self._said_s = now_s
            told = ", ".join(
                f"{name} {now_s - running.began_s:.0f} s{_progress(running.output)}"
                for name, running in self._running.items()
            )
            if terminal:
                self._out.write(f"{_CLEAR_LINE}-- {told}"[: _COLUMNS + len(_CLEAR_LINE)])
                self._out.flush()
            else:
                self._write(f"-- running: {told}\n")

    def _write(self, text: str) -> None:
        self._out.write((_CLEAR_LINE if self._out.isatty() else "") + text)
        self._out.flush()

    def _stop(self) -> None:
        with self._lock:
            self._stopped = True
            processes = [running.process for running in self._running.values()]
        end(processes)


def end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Interrupt the checks with all they started, and kill what is still there after a while."""
    for process in processes:
        signal_group(process, signal.SIGINT)
    deadline_s = time.monotonic() + INTERRUPT_GRACE_S
    try:
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline_s - time.monotonic()))
    finally:  # at once, where whoever waits is interrupted again
        for process in processes:
            signal_group(process, signal.SIGKILL)


def signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _progress(output: IO[bytes]) -> str:
    """How far pytest says it is, if it is pytest."""
    size = os.fstat(output.fileno()).st_size
    tail = os.pread(output.fileno(), _TAIL_BYTES, max(0, size - _TAIL_BYTES)).decode(errors="replace")
    found = next((match for line in reversed(tail.splitlines()) if (match := _PERCENT.search(line))), None)
    return "" if found is None else f" ({found[1]})"
