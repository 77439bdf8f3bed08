"""I14: hostile code in a worker reaches nothing, is over in time, and leaves nothing behind for the next one."""

from __future__ import annotations

import os
import platform
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from actors.sandbox.frames import Answered, Failed, Fault, Program, Reply
from actors.sandbox.host import Limits, Zygote
from actors.sandbox.worker_handle import Starved
from tests.actors.sandbox.asks import ASK
from tests.actors.sandbox.payloads import (
    BAD,
    DIED,
    EXHAUSTED,
    FORGED,
    GOT_THROUGH,
    HARMLESS,
    PAYLOADS,
    PREAMBLE,
    REFUSED,
)

WALL_S = 0.25
AT_ONCE = 2
ATTEMPTS = 8
"""Who was starved is asked again: nothing is known of it."""
PRELOADED = (
    "ctypes",
    "gc",
    "mmap",
    "pickle",
    "resource",
    "select",
    "signal",
    "socket",
    "subprocess",
    "threading",
    "time",
)
HEALTHY = """
import math
import numpy as np
import talib

def strategy(context):
    assert math.sqrt(4) == 2 and len("ab") == 2 and np.mean([1.0, 3.0]) == 2
    return {"action": "hold", "indicators": {"rsi": talib.RSI(context.candles.close, 14)[-1]}}
"""
pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the payloads name syscalls by number")


class Target:
    """What attacks aim at: a secret in a file and in the environment, sockets that listen, this process."""

    def __init__(self, folder: Path) -> None:
        self.secret = folder / "secret"
        self.secret.write_text("the-secret-of-the-payloads")
        self.secret.chmod(0o644)
        self.reached = 0
        self._tcp = socket.create_server(("127.0.0.1", 0))
        self._unix = socket.socket(socket.AF_UNIX)
        self._unix.bind(str(folder / "db"))
        (folder / "db").chmod(0o777)
        self._unix.listen()
        for listening in (self._tcp, self._unix):
            threading.Thread(target=self._count, args=(listening,), daemon=True).start()

    def names(self) -> dict[str, object]:
        return {
            "secret": str(self.secret),
            "service": os.getpid(),
            "port": self._tcp.getsockname()[1],
            "unix": self._unix.getsockname(),
        }

    def close(self) -> None:
        for listening in (self._tcp, self._unix):
            listening.close()

    def _count(self, listening: socket.socket) -> None:
        while True:
            try:
                listening.accept()[0].close()
            except OSError:
                return
            self.reached += 1


def attacked(zygote: Zygote, text: str, *, exhausts: bool = False) -> Reply:
    """The last reply. Who is to run out of time may as well run out of what the machine can spare; who is not is asked
    again, as a machine with other work takes a while over the quickest."""
    for _ in range(ATTEMPTS):
        try:
            with zygote.worker() as worker:
                reply = worker.ask(Program(kind="python", text=text), ASK)[-1]
        except Starved:
            reply = Failed(fault=Fault.TIMEOUT, sentence="starved")
        if exhausts or not (isinstance(reply, Failed) and reply.fault is Fault.TIMEOUT):
            return reply
    raise AssertionError("the machine is too busy to tell")


def text_of(body: str, names: dict[str, object]) -> str:
    lines = "".join(f"    {line}\n" for line in body.format(**names).split("\n"))
    return f"{PREAMBLE}GOT_THROUGH = {GOT_THROUGH!r}\ndef strategy(context):\n{lines}    return GOT_THROUGH\n"


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("payloads")
    for each in (folder, folder.parent):
        each.chmod(0o755)
    made = Target(folder)
    yield made
    made.close()


@pytest.fixture(scope="module")
def strict_zygote() -> Iterator[Zygote]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUNNER_PAYLOAD_SECRET", "x")
        zygote = Zygote(Limits(wall_s=WALL_S), preload=PRELOADED)
    yield zygote
    zygote.close()


@pytest.fixture(scope="module")
def outcomes(strict_zygote: Zygote, target: Target) -> dict[str, Reply]:
    """All of them, several at once."""
    names = target.names()
    with ThreadPoolExecutor(AT_ONCE) as threads:
        asked: dict[str, Future[Reply]] = {
            name: threads.submit(
                attacked, strict_zygote, text_of(body, names), exhausts=expected == EXHAUSTED
            )
            for name, (expected, body) in PAYLOADS.items()
        }
        return {name: future.result() for name, future in asked.items()}


def stopped_by(reply: Reply) -> str:
    if isinstance(reply, Answered):
        return HARMLESS
    assert isinstance(reply, Failed)
    if "not permitted" in reply.sentence or reply.sentence.startswith("PermissionError"):
        return REFUSED
    return {
        Fault.TIMEOUT: EXHAUSTED,
        Fault.MEMORY: EXHAUSTED,
        Fault.DIED: DIED,
        Fault.FORGED: FORGED,
        Fault.OVERSIZED: FORGED,
    }.get(reply.fault, BAD)


def test_there_are_as_many_as_were_asked_for() -> None:
    assert len(PAYLOADS) >= 60


@pytest.mark.parametrize("name", PAYLOADS)
def test_i14_no_payload_gets_through(outcomes: dict[str, Reply], name: str) -> None:
    expected, reply = PAYLOADS[name][0], outcomes[name]
    assert not isinstance(reply, Answered) or reply.answer != GOT_THROUGH
    assert stopped_by(reply) == expected, reply


def test_i14_nothing_outside_has_heard_of_them(outcomes: dict[str, Reply], target: Target) -> None:
    assert outcomes
    assert target.reached == 0
    assert target.secret.read_text() == "the-secret-of-the-payloads"
    assert not Path("/tmp/payload").exists()
    told = msgspec.json.encode(list(outcomes.values())).decode()
    for piece in ("the-secret-of-the-payloads", str(target.secret)):
        assert piece not in told


def test_i14_the_next_worker_finds_everything_as_it_was(
    outcomes: dict[str, Reply], strict_zygote: Zygote
) -> None:
    assert outcomes
    reply = attacked(strict_zygote, HEALTHY)
    assert isinstance(reply, Answered), reply
    assert reply.answer["action"] == "hold"
