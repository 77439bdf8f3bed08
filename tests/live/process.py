"""A real `serve` in a process of its own, to be asked, stopped, and killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import httpx

from bin.tether import OWN_GROUP, tether, tethered
from tests.leftovers import LEFT

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[2]
START_PATIENCE_S = 60.0
PATIENCE_S = 40.0
POLL_S = 0.02
NOBODY = "http://127.0.0.1:9"
"""A venue that cannot be reached: the demo then plays generated candles."""


def command(*arguments: str) -> list[str]:
    """The command line as bin/runner starts it, without the bootstrap of the environment; for a tethered child."""
    return tethered("bin.commands", *arguments)


def environment(data_dir: Path, **settings: str) -> dict[str, str]:
    """Nothing of the caller's but where programs are: a developer's settings must not leak in."""
    kept = {
        name: os.environ[name] for name in ("PATH", "HOME", "LANG", "RUNNER_PG_BIN") if name in os.environ
    }
    return {
        **kept,
        "PYTHONPATH": str(ROOT),
        "RUNNER_DATA_DIR": str(data_dir),
        "BINANCE_BASE_URL": NOBODY,
        "LOG_FORMAT": "json",
        **settings,
    }


@contextmanager
def folder() -> Iterator[Path]:
    """A folder the database's own account can pass through, as `/srv` or `/var/lib` would be."""
    made = Path(tempfile.mkdtemp(prefix="runner-live-"))
    made.chmod(0o755)
    try:
        yield made
    finally:
        for log in made.rglob("*.log"):
            LEFT.note_file(log)
        shutil.rmtree(made)


def until(holds: Callable[[], T | None], what: str, patience_s: float = PATIENCE_S) -> T:
    """What `holds()` answers, once that is true."""
    deadline = time.monotonic() + patience_s
    while not (answer := holds()):
        assert time.monotonic() < deadline, f"not within {patience_s:g} s: {what}"
        time.sleep(POLL_S)
    return answer


class Serving:
    """One `serve`, started on a port of the system's choice. Its stderr is kept, line by line."""

    def __init__(self, data_dir: Path, *arguments: str, **settings: str) -> None:
        self.data_dir = data_dir
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            command("serve", "--port", "0", *arguments),
            cwd=data_dir,
            env=environment(data_dir, **settings),
            stdin=tether(),
            process_group=OWN_GROUP,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._client: httpx.Client | None = None

    @property
    def said(self) -> str:
        return "".join(self.lines)

    @property
    def client(self) -> httpx.Client:
        """Logged in as a demo's page is, once the address is printed."""
        if self._client is None:
            address = until(self._address, "the address is printed", START_PATIENCE_S)
            self._client = httpx.Client(base_url=address, timeout=10.0)
        return self._client

    def ready(self) -> Serving:
        """Itself, once every part answers."""
        client = self.client
        until(lambda: client.get("/readyz").status_code == 200, "ready", START_PATIENCE_S)
        return self

    def kill(self) -> None:
        """As the kernel or an operator does it: no handler runs."""
        self.process.kill()
        self._over()

    def stop(self, timeout_s: float = 30.0) -> int:
        """SIGTERM, and the exit code (I16)."""
        self.process.send_signal(signal.SIGTERM)
        return self.ended(timeout_s)

    def ended(self, timeout_s: float) -> int:
        """The exit code, once it has ended by itself."""
        self.process.wait(timeout_s)
        self._over()
        return self.process.returncode

    def close(self) -> None:
        """Whatever a failed test has left running."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30.0)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self._over()

    def _over(self) -> None:
        self.process.wait(30.0)
        if self._client is not None:
            self._client.close()
        self._reader.join(5.0)
        if self.process.stderr is not None and not self.process.stderr.closed:
            self.process.stderr.close()
            LEFT.note("what serve said", self.said)

    def _address(self) -> str | None:
        assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.said}"
        found = [line.split()[1] for line in self.lines if line.startswith("Open ")]
        return found[0] if found else None

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
