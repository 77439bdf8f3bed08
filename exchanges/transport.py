"""Our HTTP/1.1 under httpx: for callers that speak httpx, such as the public feeds."""

from __future__ import annotations

from typing import Final

import httpx

from exchanges.http import HttpPool
from exchanges.wire import Cost, NoAnswer, Request

DEFAULT_TIMEOUT_S: Final = 10.0
# The pool writes these itself, or does not undo what they would allow.
_OURS: Final = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "user-agent", "accept", "accept-encoding"}
)


class VenueTransport(httpx.AsyncBaseTransport):
    """One host's pool as httpx sees it; a request to any other host is refused.

    The read time-out of a request is the time for the whole call.
    """

    def __init__(self, pool: HttpPool) -> None:
        self._pool = pool

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        pool, url = self._pool, request.url
        if (url.scheme, url.host, url.port or pool.port) != (pool.scheme, pool.host, pool.port):
            raise httpx.UnsupportedProtocol(f"This transport goes to {pool.host} alone, not to {url.host}.")
        asked = Request(
            method=request.method,
            path=url.raw_path.partition(b"?")[0].decode("ascii"),
            query=url.query.decode("ascii"),
            body=await request.aread(),
            headers=tuple((name, value) for name, value in request.headers.items() if name not in _OURS),
            cost=Cost(),
        )
        timeout_s = request.extensions.get("timeout", {}).get("read") or DEFAULT_TIMEOUT_S
        try:
            answer = await pool.send(asked, timeout_s=timeout_s)
        except NoAnswer as error:
            raise _ERRORS[error.timed_out, error.sent](str(error), request=request) from error
        headers = [(name, value) for name, value in answer.headers.items() if name != "transfer-encoding"]
        return httpx.Response(answer.status, headers=headers, content=answer.body)

    async def aclose(self) -> None:
        self._pool.close()


_ERRORS: Final = {
    (True, True): httpx.ReadTimeout,
    (True, False): httpx.ConnectTimeout,
    (False, True): httpx.ReadError,
    (False, False): httpx.ConnectError,
}
