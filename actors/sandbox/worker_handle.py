"""One worker as the service sees it: it holds the deadline, and reads what comes back as a stranger's."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
from typing import Final

import msgspec

from actors.runtime.process_time import process_s
from actors.sandbox.deadline import Deadline, TimeUp
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
from actors.sandbox.rank import Rank, put
from core.errors import RunnerError

RECEIVED_AT_ONCE: Final = 256 << 10
MAX_ARRIVED: Final = 16 << 20
"""Bytes of answers that wait while questions are still being sent."""
QUICK_S: Final = 0.003
"""Who answers within this is never looked at; who works on gives way to those who do."""
LOOKS_S: Final = 60e-6
"""So long a worker that is asked again is looked at before its answer is waited for: to sleep and be woken takes longer
than most of them.
"""


class Starved(RunnerError):
    """The host gave the worker too little time to say anything about its code."""


class WorkerHandle:
    """One worker: asked in turn, killed by the one who holds this.

    `rank`: as it stands now. Who is put last once it has worked for long stays so to its end.
    """

    def __init__(self, wire: socket.socket, handle: int, wall_s: float, rank: Rank) -> None:
        self._wire = wire
        self._handle = handle
        self._wall_s = wall_s
        self._rank = rank
        self._is_dead = False
        self.used_s = 0.0
        """What the slowest of its answers took of its limit; what the host withheld is not in it."""
        self._arrived = bytearray()
        self._is_warm = False
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
        self._is_warm = True
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
        if self._is_warm and len(self._arrived) < size:
            self._look()
        while len(self._arrived) < size:
            self._wait(self._readable, deadline)
            self._take_in()
        content = bytes(self._arrived[:size])
        del self._arrived[:size]
        return content

    def _look(self) -> None:
        end_s = process_s() + LOOKS_S
        while not self._take_in() and process_s() < end_s:
            pass  # sched_yield here made slower answers slower still

    def _take_in(self) -> bool:
        """Whether there was anything."""
        try:
            part = self._wire.recv(RECEIVED_AT_ONCE)
        except BlockingIOError:
            return False
        except OSError as error:
            raise _Ended(Fault.DIED, _DIED) from error
        if not part:
            raise _Ended(Fault.DIED, _DIED)
        self._arrived += part
        if len(self._arrived) > MAX_ARRIVED:
            raise _Ended(Fault.OVERSIZED, "Its answers are too large.")
        return True

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
            if self._rank is Rank.UNTIL_SLOW and pause_s > QUICK_S and deadline.has_worked():
                self._rank = Rank.LAST
                put(self._handle, Rank.LAST)
            if self._rank is Rank.LAST:
                deadline.gave_way()
            match deadline.passed():
                case TimeUp.OWN:
                    raise _Ended(Fault.TIMEOUT, f"It did not answer within {self._wall_s:g} s.")
                case TimeUp.WITHHELD:
                    raise Starved("This machine was too busy to let the strategy answer in time.")
            left_s = deadline.left_s()
            if self._rank is Rank.UNTIL_SLOW:
                left_s = min(left_s, pause_s)
                pause_s *= 2
            ready = poll.poll(left_s * 1_000 + 1)
        return ready[0][1]


_DIED: Final = "Its process ended before it answered."


class _Ended(Exception):
    def __init__(self, fault: Fault, sentence: str) -> None:
        super().__init__(sentence)
        self.failed = Failed(fault=fault, sentence=sentence)
