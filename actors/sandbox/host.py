"""The service's side of the zygote: it is started, asked for workers, and ended."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from actors.sandbox.rank import Rank, can_be_raised, put
from actors.sandbox.worker_handle import WorkerHandle
from core.errors import RunnerError

START_TIMEOUT_S: Final = 20.0
SPAWN_TIMEOUT_S: Final = 5.0
ATTEMPTS: Final = 2
"""Workers made in vain before that is said; one that stood by may have been ended for its memory."""
ENDING_S: Final = 0.2
_ROOT: Final = Path(__file__).resolve().parents[2]


class SandboxAway(RunnerError):
    """No worker can be had; nothing is known about the code."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """`memory`: bytes beyond what the modules take. `cpu_s` counts over a worker's life, `wall_s` for each answer."""

    wall_s: float = 2.0
    memory: int = 256 << 20
    cpu_s: int = 35


class Zygote:
    """One process, from which workers are forked; may be called from any thread. Raises SandboxAway.

    `spares`: workers that stand by, each for one use, once it was replenished. They are made when nobody else wants the
    processor, where who takes one can then raise it.
    """

    def __init__(self, limits: Limits, *, preload: Sequence[str] = (), spares: int = 0) -> None:
        self.limits = limits
        self._lock = threading.Lock()
        self._spares = spares
        self._making: deque[socket.socket] = deque()
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        options = {"memory": limits.memory, "cpu_s": limits.cpu_s, "preload": list(preload)}
        try:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter, and a module of ours
                [
                    sys.executable,
                    "-s",
                    "-P",
                    "-m",
                    "actors.sandbox.zygote",
                    str(its.fileno()),
                    json.dumps(options),
                ],
                pass_fds=[its.fileno()],
                env=_environment(),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        finally:
            its.close()
        self._control = ours
        self._handle: int | None = None
        ours.settimeout(START_TIMEOUT_S)
        try:
            told, handles, _, _ = socket.recv_fds(ours, 65_536, 1)
        except OSError as error:
            self.close()
            raise SandboxAway("The sandbox does not start.") from error
        if not handles:
            self.close()
            raise SandboxAway("The sandbox ended as it started.")
        self.layers: Mapping[str, str] = json.loads(told)
        (self._handle,) = handles
        ours.settimeout(SPAWN_TIMEOUT_S)
        self._told = select.poll()
        self._told.register(ours, select.POLLIN)
        self._is_last = spares > 0 and can_be_raised()
        if self._is_last:
            put(self._handle, Rank.LAST)

    def worker(self, rank: Rank = Rank.EQUAL) -> WorkerHandle:
        """A fresh one, for one use: one that stands by where there is such."""
        with self._lock, self._in_step():
            for _ in range(self._spares + ATTEMPTS):
                self._order(1)
                worker = self._made(rank)
                if worker.is_there:
                    return worker
                worker.kill()
            raise SandboxAway("The sandbox's workers end before they are asked.")

    def replenish(self) -> None:
        """After a use: have as many stand by as should."""
        with self._lock, self._in_step():
            self._order(self._spares)

    @contextlib.contextmanager
    def _in_step(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            # An answer that came later would be taken for that of the next one.
            self.close()
            raise SandboxAway("The sandbox does not answer.") from error

    def _order(self, workers: int) -> None:
        while len(self._making) < workers:
            self._making.append(self._ordered())

    def _ordered(self) -> socket.socket:
        ours, its = socket.socketpair()
        with its:
            try:
                socket.send_fds(self._control, [b"spare" if self._spares else b"fork"], [its.fileno()])
            except OSError:
                ours.close()
                raise
        return ours

    def _made(self, rank: Rank) -> WorkerHandle:
        ours = self._making.popleft()
        try:
            with self._hurried():
                told, handles, _, _ = socket.recv_fds(self._control, 64, 1)
        except OSError:
            ours.close()
            raise
        if not handles:
            ours.close()
            why = told.decode(errors="replace") or "it has ended"
            raise SandboxAway(f"The sandbox makes no worker: {why}.")
        if self._is_last or rank is Rank.LAST:
            put(handles[0], rank)
        return WorkerHandle(ours, handles[0], self.limits.wall_s, rank)

    @contextlib.contextmanager
    def _hurried(self) -> Iterator[None]:
        """Somebody waits for the worker, if it is not made yet."""
        handle = self._handle
        if not self._is_last or handle is None or self._told.poll(0):
            yield
            return
        put(handle, Rank.EQUAL)
        try:
            yield
        finally:
            if self._handle is not None:
                put(handle, Rank.LAST)

    def close(self) -> None:
        """End it and all its workers."""
        self._control.close()
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
        while self._making:
            self._making.popleft().close()
        self._process.terminate()
        try:
            self._process.wait(SPAWN_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def has_ended(self) -> bool:
        """Whether it is gone, so that a worker that ended may have ended with it."""
        try:
            self._process.wait(ENDING_S)
        except subprocess.TimeoutExpired:
            return False
        return True

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None and self._control.fileno() >= 0


def _environment() -> dict[str, str]:
    """Nothing of the service's. Text hashes alike in all processes, so that sets have one order."""
    return {
        "PATH": "/usr/bin:/bin",
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": str(_ROOT),
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }
