"""The service's side of zygote and workers: it holds the deadline, and reads what comes back as a stranger's."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from actors.sandbox.deadline import Deadline, TimeUp, pid_of
from actors.sandbox.frames import (
    ENCODER,
    LENGTH_BYTES,
    MAX_REPLY,
    REPLY,
    Asked,
    Failed,
    Fault,
    Program,
    Reply,
    framed,
)
from core.errors import RunnerError

START_TIMEOUT_S: Final = 20.0
SPAWN_TIMEOUT_S: Final = 5.0
ATTEMPTS: Final = 2
"""Workers made in vain before that is said; one that stood by may have been ended for its memory."""
RECEIVED_AT_ONCE: Final = 256 << 10
MAX_ARRIVED: Final = 16 << 20
"""Bytes of answers that wait while questions are still being sent."""
ENDING_S: Final = 0.2
QUICK_S: Final = 0.003
"""Who answers within this is never looked at; who works on gives way to those who do."""
_ROOT: Final = Path(__file__).resolve().parents[2]


class SandboxAway(RunnerError):
    """No worker can be had; nothing is known about the code."""


class Starved(RunnerError):
    """The host gave the worker too little time to say anything about its code."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """`memory`: bytes beyond what the modules take. `cpu_s` counts over a worker's life, `wall_s` for each answer."""

    wall_s: float = 2.0
    memory: int = 256 << 20
    cpu_s: int = 35


class Zygote:
    """One process, from which workers are forked; may be called from any thread. Raises SandboxAway.

    `spares`: workers that stand by, each for one use, once it was replenished.
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
        ours.settimeout(START_TIMEOUT_S)
        try:
            told = ours.recv(65_536)
        except OSError as error:
            self.close()
            raise SandboxAway("The sandbox does not start.") from error
        if not told:
            self.close()
            raise SandboxAway("The sandbox ended as it started.")
        self.layers: Mapping[str, str] = json.loads(told)
        ours.settimeout(SPAWN_TIMEOUT_S)

    def worker(self, *, gives_way: bool = False) -> WorkerHandle:
        """A fresh one, for one use: one that stands by where there is such. `gives_way`: see WorkerHandle."""
        with self._lock, self._in_step():
            for _ in range(self._spares + ATTEMPTS):
                self._order(1)
                worker = self._made(gives_way)
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

    def _made(self, gives_way: bool) -> WorkerHandle:
        ours = self._making.popleft()
        try:
            told, handles, _, _ = socket.recv_fds(self._control, 64, 1)
        except OSError:
            ours.close()
            raise
        if not handles:
            ours.close()
            why = told.decode(errors="replace") or "it has ended"
            raise SandboxAway(f"The sandbox makes no worker: {why}.")
        return WorkerHandle(ours, handles[0], self.limits.wall_s, gives_way=gives_way)

    def close(self) -> None:
        """End it and all its workers."""
        self._control.close()
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


class WorkerHandle:
    """One worker: asked in turn, killed by the one who holds this.

    `gives_way`: once it has worked for long it runs when nobody else wants the processor, to its end.
    """

    def __init__(self, wire: socket.socket, handle: int, wall_s: float, *, gives_way: bool) -> None:
        self._wire = wire
        self._handle = handle
        self._wall_s = wall_s
        self._gives_way = gives_way
        self._gave_way = False
        self._is_dead = False
        self.used_s = 0.0
        """What the slowest of its answers took of its limit; what the host withheld is not in it."""
        self._arrived = bytearray()
        wire.setblocking(False)
        self._readable = select.poll()
        self._readable.register(wire, select.POLLIN)

    def __enter__(self) -> WorkerHandle:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def ask(self, *asked: Asked) -> list[Reply]:
        """One reply for each; fewer where one ended the worker, whose failure is then the last. Raises Starved.

        All is sent in one go, and each answer has the limit for itself.
        """
        replies: list[Reply] = []
        try:
            # It may answer nearly all before it has taken the last of what is asked.
            deadline = whole = Deadline(self._handle, self._wall_s * len(asked))
            self._send(b"".join(framed(ENCODER.encode(each)) for each in asked), whole)
            deadline = Deadline(self._handle, self._wall_s)
            for each in asked:
                reply = self._reply(deadline)
                self.used_s = max(self.used_s, deadline.used_s())
                replies.append(reply)
                if isinstance(reply, Failed) and (isinstance(each, Program) or reply.fault is Fault.MEMORY):
                    self.kill()
                    break
                deadline = Deadline(self._handle, self._wall_s)
        except _Ended as ended:
            self.used_s = max(self.used_s, deadline.used_s())
            self.kill()
            replies.append(ended.failed)
        except Starved:
            self.kill()
            raise
        return replies

    @property
    def is_there(self) -> bool:
        """Whether its process has not ended."""
        ended = select.poll()
        ended.register(self._handle, select.POLLIN)
        return not ended.poll(0)

    @property
    def is_dead(self) -> bool:
        return self._is_dead

    def give_way(self) -> None:
        """It runs where nobody else wants the processor, from now on; where the kernel forbids that, as before."""
        self._gave_way = True
        pid = pid_of(self._handle)
        with contextlib.suppress(OSError):
            if pid is not None:
                os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))

    def end(self) -> None:
        """From another thread than the one that asks it, who then hears that it ended."""
        with contextlib.suppress(OSError):
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    def kill(self) -> None:
        if self._is_dead:
            return
        self._is_dead = True
        with contextlib.suppress(OSError):
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)
        self._wire.close()
        os.close(self._handle)

    def _reply(self, deadline: Deadline) -> Reply:
        size = int.from_bytes(self._receive(LENGTH_BYTES, deadline), "little")
        if size > MAX_REPLY:
            raise _Ended(Fault.OVERSIZED, "Its answer is too large.")
        content = self._receive(size, deadline)
        try:
            return REPLY.decode(content)
        except (msgspec.MsgspecError, RecursionError, ValueError) as error:
            raise _Ended(Fault.FORGED, "What it sent back is no answer.") from error

    def _send(self, content: bytes, deadline: Deadline) -> None:
        left = memoryview(content)
        while left:
            try:
                left = left[self._wire.send(left) :]
            except BlockingIOError:
                self._wait_to_send(deadline)
            except OSError as error:
                raise _Ended(Fault.DIED, _DIED) from error

    def _receive(self, size: int, deadline: Deadline) -> bytes:
        while len(self._arrived) < size:
            self._wait(self._readable, deadline)
            self._take_in()
        content = bytes(self._arrived[:size])
        del self._arrived[:size]
        return content

    def _take_in(self) -> None:
        try:
            part = self._wire.recv(RECEIVED_AT_ONCE)
        except BlockingIOError:
            return
        except OSError as error:
            raise _Ended(Fault.DIED, _DIED) from error
        if not part:
            raise _Ended(Fault.DIED, _DIED)
        self._arrived += part
        if len(self._arrived) > MAX_ARRIVED:
            raise _Ended(Fault.OVERSIZED, "Its answers are too large.")

    def _wait_to_send(self, deadline: Deadline) -> None:
        """Meanwhile it may answer what it has: it reads no further while its answers are not taken."""
        both = select.poll()
        both.register(self._wire, select.POLLIN | select.POLLOUT)
        if self._wait(both, deadline) & select.POLLIN:
            self._take_in()

    def _wait(self, poll: select.poll, deadline: Deadline) -> int:
        """The events that came. Who sends byte by byte gets no more time than who sends nothing."""
        pause_s = QUICK_S
        ready = poll.poll(pause_s * 1_000) if deadline.left_s() else []
        while not ready:
            deadline.watch()
            if self._gives_way and not self._gave_way and pause_s > QUICK_S and deadline.has_worked():
                self.give_way()
            if self._gave_way:
                deadline.gave_way()
            match deadline.passed():
                case TimeUp.OWN:
                    raise _Ended(Fault.TIMEOUT, f"It did not answer within {self._wall_s:g} s.")
                case TimeUp.WITHHELD:
                    raise Starved("This machine was too busy to let the strategy answer in time.")
            left_s = deadline.left_s()
            if self._gives_way and not self._gave_way:
                left_s = min(left_s, pause_s)
                pause_s *= 2
            ready = poll.poll(left_s * 1_000 + 1)
        return ready[0][1]


_DIED: Final = "Its process ended before it answered."


class _Ended(Exception):
    def __init__(self, fault: Fault, sentence: str) -> None:
        super().__init__(sentence)
        self.failed = Failed(fault=fault, sentence=sentence)
