"""The little of Binance that a question about a key needs, over real HTTP on this machine."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

JSON_OF: dict[str, Any] = {
    "/fapi/v1/accountConfig": {"canTrade": True, "dualSidePosition": False, "multiAssetsMargin": False},
}
INVALID_KEY = {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}


class KeyServer(ThreadingHTTPServer):
    """`rights` by key id, as `/sapi/v1/account/apiRestrictions` says them; keys it does not know are refused."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.rights: dict[str, dict[str, bool]] = {}

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def knows(self, key: str, *, withdraw: bool = False, bound: bool = True) -> None:
        self.rights[key] = {
            "ipRestrict": bound,
            "enableReading": True,
            "enableFutures": True,
            "enableWithdrawals": withdraw,
        }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: KeyServer

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        key = self.headers.get("X-MBX-APIKEY")
        if path == "/fapi/v1/time":
            self._answer(200, {"serverTime": int(time.time() * 1_000)})
        elif key not in self.server.rights:
            self._answer(401, INVALID_KEY)
        elif path == "/sapi/v1/account/apiRestrictions":
            self._answer(200, self.server.rights[key])
        else:
            self._answer(200, JSON_OF[path])

    def _answer(self, status: int, said: dict[str, Any]) -> None:
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Not into the tests' output."""


@contextmanager
def key_server() -> Iterator[KeyServer]:
    with KeyServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
