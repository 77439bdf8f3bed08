"""Who carries out jobs in this process: one thread that claims them and watches over a process for each."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
import structlog

from actors.sandbox.host import Limits
from core.errors import RunnerError
from facade.work.order import WorkOrder
from facade.work.worker import GIVE_BACK
from schema.jobs import HeldJob
from schema.pg_jobs import LEASE_S, PgJobs

WORKERS: Final = 2
"""Jobs at once; each has a process."""
MAX_WALL_S: Final = 1_800.0
POLL_S: Final = 1.0
WATCH_S: Final = 0.1
"""How soon the end of a job is noticed, while any runs."""
RENEW_S: Final = LEASE_S / 6
_END_S: Final = 5.0
_ROOT: Final = Path(__file__).parents[2]


class _Work:
    """A job and its process."""

    def __init__(self, held: HeldJob, process: subprocess.Popen[bytes], now_s: float) -> None:
        self.held = held
        self.process = process
        self.began_s = now_s
        self.renewed_s = now_s


class Workers:
    """Start it once, stop it once; `poke` it when a job was added or cancelled."""

    def __init__(
        self,
        jobs: PgJobs,
        *,
        dsn: str,
        worker: str,
        rest: Mapping[str, str],
        sandbox: Limits,
        workers: int = WORKERS,
        wall_s: float = MAX_WALL_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._jobs = jobs
        self._dsn = dsn
        self._worker = worker
        self._rest = rest
        self._sandbox = sandbox
        self._workers = workers
        self._wall_s = wall_s
        self._monotonic = monotonic
        self._at_work: list[_Work] = []
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="jobs", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def poke(self) -> None:
        """Returns at once."""
        self._wake.set()

    def stop(self) -> None:
        """Jobs at work are given back: another process takes them over, or this one when it is back."""
        self._stopping = True
        self._wake.set()
        self._thread.join(_END_S)
        for work in self._at_work:
            _kill(work.process)
            self._safely(lambda held=work.held: self._jobs.release(held))  # type: ignore[misc]

    @property
    def pids(self) -> list[int]:
        """Processes at work."""
        return [work.process.pid for work in self._at_work]

    def _run(self) -> None:
        claimed_s = float("-inf")
        while not self._stopping:
            woken = self._wake.is_set()
            self._wake.clear()
            self._watch(look=woken)
            now_s = self._monotonic()
            if woken or now_s - claimed_s >= POLL_S:
                claimed_s = now_s
                self._safely(self._claim)
            self._wake.wait(WATCH_S if self._at_work else POLL_S)

    def _claim(self) -> None:
        while len(self._at_work) < self._workers and not self._stopping:
            held = self._jobs.claim(self._worker)
            if held is None:
                return
            self._at_work.append(_Work(held, self._begin(held), self._monotonic()))

    def _begin(self, held: HeldJob) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "facade.work.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env=_environment(),
        )
        assert process.stdin is not None
        order = WorkOrder(
            dsn=self._dsn,
            worker=f"{self._worker} job",
            held=held,
            rest=self._rest,
            sandbox=self._sandbox,
        )
        try:
            process.stdin.write(msgspec.json.encode(order) + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended already, which is noticed like any other end
        return process

    def _watch(self, *, look: bool) -> None:
        """`look`: at every row now, as one may have been cancelled."""
        for work in tuple(self._at_work):
            code = work.process.poll()
            if code is not None:
                self._at_work.remove(work)
                self._ended(work, code)
                continue
            now_s = self._monotonic()
            if now_s - work.began_s > self._wall_s:
                self._safely(
                    lambda held=work.held: self._jobs.fail(held, f"It took longer than {self._wall_s:g} s.")  # type: ignore[misc]
                )
                _kill(work.process)
            elif look or now_s - work.renewed_s >= RENEW_S:
                work.renewed_s = now_s
                self._safely(lambda work=work: self._renew(work))  # type: ignore[misc]

    def _renew(self, work: _Work) -> None:
        if not self._jobs.renew(work.held):
            _kill(work.process)

    def _ended(self, work: _Work, code: int) -> None:
        """A job whose process died without a word keeps its lease until that runs out; then it is begun anew."""
        _close(work.process)
        if code == GIVE_BACK:
            self._safely(lambda: self._jobs.release(work.held))
        elif code:
            structlog.get_logger().warning(
                "job_process_ended", job_id=str(work.held.id), kind=work.held.kind.value, exit_code=code
            )
        self._wake.set()

    def _safely(self, do: Callable[[], object]) -> None:
        """The database may be away: what was not done is done when its turn comes again."""
        try:
            do()
        except RunnerError as error:
            structlog.get_logger().warning("jobs_not_done", detail=str(error))


def _environment() -> dict[str, str]:
    """Nothing of the server's: its settings hold secrets."""
    kept = {
        name: os.environ[name] for name in ("PATH", "LANG", "TZ", "LD_LIBRARY_PATH") if name in os.environ
    }
    return kept | {"PYTHONPATH": str(_ROOT), "OPENBLAS_NUM_THREADS": "1"}


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait(_END_S)


def _close(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        with suppress(BrokenPipeError):  # the order was never read
            process.stdin.close()
