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
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from actors.runtime.process_time import process_s
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
RECEIVED_AT_ONCE: Final = 256 << 10
MAX_ARRIVED: Final = 16 << 20
"""Bytes of answers that wait while questions are still being sent."""
ENDING_S: Final = 0.2
MOST_PATIENCE_S: Final = 0.75
"""How far beyond its limit a worker may go that the host kept waiting."""
OWN_SHARE: Final = 0.8
"""A worker that could run for this share of its limit has had its time."""
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
    """One process, from which workers are forked; may be called from any thread. Raises SandboxAway."""

    def __init__(self, limits: Limits, *, preload: Sequence[str] = ()) -> None:
        self.limits = limits
        self._lock = threading.Lock()
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

    def worker(self) -> WorkerHandle:
        ours, its = socket.socketpair()
        try:
            with self._lock:
                socket.send_fds(self._control, [b"fork"], [its.fileno()])
                told, handles, _, _ = socket.recv_fds(self._control, 64, 1)
        except OSError as error:
            ours.close()
            # An answer that came later would be taken for that of the next one.
            self.close()
            raise SandboxAway("The sandbox does not answer.") from error
        finally:
            its.close()
        if not handles:
            ours.close()
            why = told.decode(errors="replace") or "it has ended"
            raise SandboxAway(f"The sandbox makes no worker: {why}.")
        return WorkerHandle(ours, handles[0], self.limits.wall_s)

    def close(self) -> None:
        """End it and all its workers."""
        self._control.close()
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
    """One worker: asked in turn, killed by the one who holds this."""

    def __init__(self, wire: socket.socket, handle: int, wall_s: float) -> None:
        self._wire = wire
        self._handle = handle
        self._wall_s = wall_s
        self._pid = _pid_of(handle)
        self._is_dead = False
        self.used_s = 0.0
        """What the slowest of its answers took of its limit; what the host withheld is not in it."""
        self._arrived = bytearray()
        wire.setblocking(False)

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
            deadline = whole = _Deadline(self._pid, self._wall_s * len(asked))
            self._send(b"".join(framed(ENCODER.encode(each)) for each in asked), whole)
            deadline = _Deadline(self._pid, self._wall_s)
            for each in asked:
                reply = self._reply(deadline)
                self.used_s = max(self.used_s, deadline.used_s())
                replies.append(reply)
                if isinstance(reply, Failed) and (isinstance(each, Program) or reply.fault is Fault.MEMORY):
                    self.kill()
                    break
                deadline = _Deadline(self._pid, self._wall_s)
        except _Ended as ended:
            self.used_s = max(self.used_s, deadline.used_s())
            self.kill()
            replies.append(ended.failed)
        except Starved:
            self.kill()
            raise
        return replies

    @property
    def is_dead(self) -> bool:
        return self._is_dead

    def give_way(self) -> None:
        """It runs where nobody else wants the processor, from now on; where the kernel forbids that, as before."""
        with contextlib.suppress(OSError):
            if self._pid is not None:
                os.sched_setscheduler(self._pid, os.SCHED_IDLE, os.sched_param(0))

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

    def _reply(self, deadline: _Deadline) -> Reply:
        size = int.from_bytes(self._receive(LENGTH_BYTES, deadline), "little")
        if size > MAX_REPLY:
            raise _Ended(Fault.OVERSIZED, "Its answer is too large.")
        content = self._receive(size, deadline)
        try:
            return REPLY.decode(content)
        except (msgspec.MsgspecError, RecursionError, ValueError) as error:
            raise _Ended(Fault.FORGED, "What it sent back is no answer.") from error

    def _send(self, content: bytes, deadline: _Deadline) -> None:
        left = memoryview(content)
        while left:
            try:
                left = left[self._wire.send(left) :]
            except BlockingIOError:
                self._wait_to_send(deadline)
            except OSError as error:
                raise _Ended(Fault.DIED, _DIED) from error

    def _receive(self, size: int, deadline: _Deadline) -> bytes:
        while len(self._arrived) < size:
            self._wait(select.POLLIN, deadline)
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

    def _wait(self, event: int, deadline: _Deadline) -> None:
        poll = select.poll()
        poll.register(self._wire, event)
        while not poll.poll(deadline.left_s() * 1_000 + 1):
            deadline.passed()

    def _wait_to_send(self, deadline: _Deadline) -> None:
        """Meanwhile it may answer what it has: it reads no further while its answers are not taken."""
        poll = select.poll()
        poll.register(self._wire, select.POLLIN | select.POLLOUT)
        while not (ready := poll.poll(deadline.left_s() * 1_000 + 1)):
            deadline.passed()
        if ready[0][1] & select.POLLIN:
            self._take_in()


_DIED: Final = "Its process ended before it answered."


class _Ended(Exception):
    def __init__(self, fault: Fault, sentence: str) -> None:
        super().__init__(sentence)
        self.failed = Failed(fault=fault, sentence=sentence)


class _Deadline:
    """The limit of one answer, in time the worker could run or chose to wait: what the host withheld is not its own."""

    def __init__(self, pid: int | None, wall_s: float) -> None:
        self._pid = pid
        self._wall_s = wall_s
        self._began_s = process_s()
        self._withheld_before_s = _withheld_s(pid)
        self._end_s = self._began_s + wall_s

    def left_s(self) -> float:
        return max(0.0, self._end_s - process_s())

    def used_s(self) -> float:
        withheld_s = _withheld_s(self._pid) - self._withheld_before_s
        return max(0.0, process_s() - self._began_s - withheld_s)

    def passed(self) -> None:
        """The end has come: move it by what was withheld, or raise. Never beyond MOST_PATIENCE_S."""
        withheld_s = _withheld_s(self._pid) - self._withheld_before_s
        elapsed_s = process_s() - self._began_s
        if elapsed_s - withheld_s >= OWN_SHARE * self._wall_s:
            raise _Ended(Fault.TIMEOUT, f"It did not answer within {self._wall_s:g} s.")
        latest_s = self._began_s + self._wall_s + MOST_PATIENCE_S
        end_s = min(latest_s, self._began_s + self._wall_s + withheld_s)
        if end_s <= process_s():
            raise Starved("This machine was too busy to let the strategy answer in time.")
        self._end_s = end_s


def _pid_of(handle: int) -> int | None:
    """The process's number as seen from here; the handle's own file says it."""
    try:
        told = Path(f"/proc/self/fdinfo/{handle}").read_text()
    except OSError:
        return None
    for line in told.splitlines():
        if line.startswith("Pid:"):
            return int(line[4:])
    return None


def _withheld_s(pid: int | None) -> float:
    """How long the process has been ready to run while others ran; 0 where the kernel does not say."""
    if pid is None or pid <= 0:
        return 0.0
    try:
        told = Path(f"/proc/{pid}/schedstat").read_text().split()
    except OSError:
        return 0.0
    return int(told[1]) / 1e9
