"""One `serve` of a drill: started, killed, frozen, resumed and stopped as an operator or the kernel would."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from bin.environment import ROOT
from bin.tether import OWN_GROUP, tether, tethered

KEPT = ("PATH", "HOME", "LANG", "RUNNER_PG_BIN")
"""Nothing else of the caller's environment reaches a drill: settings of a real service must not leak in."""

NOBODY = "http://127.0.0.1:9"
"""A venue that cannot be reached: the demo then plays generated candles."""

SERVE = ("bin.commands", "serve", "--demo", "--port", "0")

REAP_TIMEOUT_S = 10.0


def settings_of(database: str, folder: Path, lease_s: float) -> dict[str, str]:
    """What every process of a drill is told, in the names of the settings."""
    return {
        "DATABASE_URL": database,
        "RUNNER_DATA_DIR": str(folder),
        "BINANCE_BASE_URL": NOBODY,
        "LOG_FORMAT": "json",
        "RUNNER_LEASE_SEC": f"{lease_s:g}",
        "RUNNER_TICK_INTERVAL_SEC": "1",
    }


class Node:
    """A place for one process at a time. Its name, by which runs find their home, may outlive a process or not."""

    def __init__(
        self,
        place: int,
        folder: Path,
        settings: dict[str, str],
        speed: float | None,
        data: Path | None = None,
        program: Sequence[str] = SERVE,
        root: Path = ROOT,
    ) -> None:
        """`speed` None: the program takes none. `root`: the checkout it is run from."""
        self.name = f"node-{place}"
        self.frozen = False
        self._place = place
        self._life = 0
        self._folder = folder
        self._settings = settings
        self._speed = speed
        self._data = data
        self._program = program
        self._root = root
        self._process: subprocess.Popen[bytes] | None = None
        self._log_began = 0

    @property
    def log(self) -> Path:
        return self._folder / f"node-{self._place}.log"

    @property
    def address(self) -> str | None:
        """Where the present process answers, once it has said so."""
        if not self.log.exists():
            return None
        with self.log.open("rb") as log:
            log.seek(self._log_began)
            said = log.read().decode(errors="replace")
        found = [line.split()[1] for line in said.splitlines() if line.startswith("Open ")]
        return found[0] if found else None

    @property
    def started(self) -> bool:
        return self._process is not None

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    @property
    def ended(self) -> int | None:
        """The exit code of a process that is no more."""
        return None if self._process is None else self._process.poll()

    def start(self, *, renamed: bool) -> None:
        """`renamed`: as another process for the others, like a fresh container; else the same one come back."""
        self._life += 1
        if renamed:
            self.name = f"node-{self._place}-{self._life}"
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        serve = tethered(*self._program)
        if self._data is not None:
            serve += ["--data", str(self._data)]
        if self._speed is not None:
            serve += ["--speed", f"{self._speed:g}"]
        with self.log.open("ab") as log:
            self._log_began = log.tell()
            self._process = subprocess.Popen(  # noqa: S603 (our own program, no shell)
                serve,
                cwd=self._folder,
                env={**kept, **self._settings, "PYTHONPATH": str(self._root), "WORKER_ID": self.name},
                stdin=tether(),
                stdout=subprocess.DEVNULL,
                stderr=log,
                process_group=OWN_GROUP,
            )

    def kill(self) -> None:
        """SIGKILL: no handler runs, nothing is flushed."""
        self._send(signal.SIGKILL)
        self.frozen = False
        if self._process is not None:
            self._process.wait(REAP_TIMEOUT_S)

    def freeze(self) -> None:
        """SIGSTOP: it lives, does nothing, and does not know."""
        self._send(signal.SIGSTOP)
        self.frozen = True

    def resume(self) -> None:
        self._send(signal.SIGCONT)
        self.frozen = False

    def ask_to_end(self) -> None:
        """SIGTERM, without waiting."""
        self._send(signal.SIGTERM)

    def stop(self, timeout_s: float) -> int | None:
        """SIGTERM, and the exit code; None when it did not end in time."""
        self.ask_to_end()
        try:
            return None if self._process is None else self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
