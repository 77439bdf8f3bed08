"""A simulator of a venue as a process of its own, and what it says of itself."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec

from bin.drill.ask import ask
from bin.drill.node import KEPT
from bin.environment import ROOT
from bin.tether import OWN_GROUP, tether, tethered
from core.connection import Venue
from core.errors import RunnerError
from core.timeframe import to_ms

STOP_TIMEOUT_S: Final = 10.0


class StandIn:
    """Running from here on; `stop` it. Its time stands at `at` until its clock is set; at None it runs from now."""

    def __init__(self, venue: Venue, folder: Path, tapes: Sequence[Path], at: str | None) -> None:
        self.venue = venue
        self.secrets: list[str] = []
        self.log = folder / f"{venue}-simulator.log"
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        command = tethered("bin.commands", "simulator", "--venue", venue, "--port", "0")
        command += ["--json"] if at is None else ["--speed", "0", "--at", at, "--json"]
        for tape in tapes:
            command += ["--tape", str(tape)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 (our own program, no shell)
                command,
                cwd=folder,
                env={**kept, "PYTHONPATH": str(ROOT)},
                stdin=tether(),
                stdout=subprocess.PIPE,
                stderr=log,
                process_group=OWN_GROUP,
            )
        self.settings = self._announced()
        self.base_url = next(url for name, url in self.settings.items() if name.endswith("_BASE_URL"))

    def _announced(self) -> dict[str, str]:
        """The settings that point the runner at it."""
        assert self._process.stdout is not None
        document = b""
        while not document.rstrip().endswith(b"}"):
            line = self._process.stdout.readline()
            if not line:
                said = self.log.read_text(errors="replace")[-500:]
                raise RunnerError(f"The simulator of {self.venue} did not start: {said}")
            document += line
        told = msgspec.json.decode(document, type=dict[str, str])
        return {name: value for name, value in told.items() if name not in ("key", "secret")}

    def open_account(self, name: str, *, key: str, secret: str, balance: Decimal) -> None:
        self.secrets += [key, secret]
        self.ask("PUT", "keys", {"key": key, "secret": secret, "account": name, "balance": str(balance)})

    def set_funding(self, symbol: str, rates: Mapping[datetime, Decimal]) -> None:
        """What longs pay shorts of a position's value, at these times."""
        told = [[to_ms(at), str(rate)] for at, rate in rates.items()]
        self.ask("PUT", "funding", {"symbol": symbol, "rates": told})

    def accounts(self) -> Mapping[str, Any]:
        """Its books: `exchanges/simulator/ledger.py`."""
        found: Mapping[str, Any] = self.ask("GET", "ledger")["accounts"]
        return found

    def created(self) -> Mapping[str, int]:
        """How many orders each client id made."""
        found: Mapping[str, int] = self.ask("GET", "journal")["created"]
        return found

    def ask(self, method: str, what: str, body: object = None) -> Any:
        return ask(self.base_url, method, what, body)

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(STOP_TIMEOUT_S)
        if self._process.stdout is not None:
            self._process.stdout.close()
