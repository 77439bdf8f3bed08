"""A venue's stand-in started as the program it is, and the few calls tests make of it besides a client's."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx

from bin.tether import OWN_GROUP, tether, tethered

ROOT = Path(__file__).resolve().parents[3]
KEY, SECRET = "test-key", "test-secret"


class RunningVenue:
    """`base` and `ws` are its addresses; its time stands still or runs as the test says."""

    def __init__(self, document: dict[str, str]) -> None:
        addresses = {name.rsplit("_", 2)[-2]: value for name, value in document.items() if "_URL" in name}
        self.base, self.ws = addresses["BASE"], addresses["WS"]
        self.key, self.secret = document["key"], document["secret"]
        self.http = httpx.Client(base_url=self.base, timeout=10, trust_env=False)

    def control(self, method: str, name: str, body: object = None, **query: object) -> Any:
        """One of the venue's controls (/simulator/...)."""
        content = None if body is None else json.dumps(body).encode()
        reply = self.http.request(
            method, f"/simulator/{name}", content=content, params={k: str(v) for k, v in query.items()}
        )
        assert reply.status_code == 200, reply.text
        return reply.json()

    def set_price(self, symbol: str, price: str | None) -> None:
        self.control("PUT", "price", {"symbol": symbol, "price": price})

    def now(self) -> int:
        return int(self.control("GET", "clock")["now"])

    def ledger(self, account: str = "main") -> dict[str, Any]:
        return dict(self.control("GET", "ledger")["accounts"][account])

    def signed(self, method: str, path: str, **params: object) -> httpx.Response:
        """A signed Binance call; `timestamp`, `signature` and `key` may be given wrong on purpose."""
        key = str(params.pop("key", self.key))
        signature = params.pop("signature", None)
        words = urlencode({**params, "timestamp": params.get("timestamp", self.now())})
        digest = hmac.new(self.secret.encode(), words.encode(), hashlib.sha256).hexdigest()
        query = f"{words}&signature={signature or digest}"
        return self.http.request(method, f"{path}?{query}", headers={"X-MBX-APIKEY": key})

    def fresh_account(self, name: str, balance: str = "10000") -> None:
        """From here on the test's key is that of a new account."""
        self.key, self.secret = f"key-{name}", f"secret-{name}"
        self.control(
            "PUT", "keys", {"key": self.key, "secret": self.secret, "account": name, "balance": balance}
        )
        self.control("DELETE", "faults")
        for symbol in ("BTCUSDT", "ETHUSDT"):
            self.control("PUT", "liquidity", {"symbol": symbol, "quantity": None})
            self.control("PUT", "mark", {"symbol": symbol, "offset": "0"})


@contextmanager
def running(venue: str, *arguments: str) -> Iterator[RunningVenue]:
    """The program on a free port, ended like with Ctrl-C."""
    command = tethered("bin.commands", "simulator", "--venue", venue, "--port", "0", "--json")
    keys = ["--key", KEY, "--secret", SECRET]
    process = subprocess.Popen(
        [*command, *keys, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=tether(),
        stdout=subprocess.PIPE,
        text=True,
        process_group=OWN_GROUP,
    )
    assert process.stdout is not None
    try:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("}"):
                break
        started = RunningVenue(json.loads("".join(lines)))
        with started.http:
            yield started
    finally:
        process.terminate()
        assert process.wait(10) == 0
