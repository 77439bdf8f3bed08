"""A venue's public data over REST: kept connections, retries and refusals; no key, reads only."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import cached_property
from typing import ClassVar, Final

import httpx

from core.errors import RunnerError
from exchanges.feeds.public_turn import PublicTurn
from exchanges.wire import Answer

MAX_RETRIES: Final = 2
RETRY_PAUSE_S: Final = 0.5
MAX_RETRY_AFTER_S: Final = 10.0
CONNECT_TIMEOUT_S: Final = 3.0
READ_TIMEOUT_S: Final = 10.0
_RETRIED: Final = frozenset({408, 429, 500, 502, 503, 504})

Sleep = Callable[[float], Awaitable[None]]


class FeedError(RunnerError):
    """The venue's public data could not be had; a market-data failure, never counted against a run."""


class Unusable(Exception):
    """Rows that are not in the documented form; the words say what is wrong."""


class PublicRest:
    """One host of a venue. One instance per process; `aclose` it."""

    name: ClassVar[str]
    """The venue's, as sentences say it."""

    def __init__(
        self,
        base_url: str,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Sleep = asyncio.sleep,
        turn: PublicTurn | None = None,
    ) -> None:
        """`turn` None: this process has the address for itself."""
        self._base_url = base_url
        self._turn = turn
        self._transport = transport
        self._sleep = sleep

    @cached_property
    def _client(self) -> httpx.AsyncClient:
        """Made when first needed: that takes 20 ms of processor time, and of most markets nobody follows trades."""
        return httpx.AsyncClient(
            base_url=self._base_url,
            timeout=httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            limits=httpx.Limits(max_connections=8, max_keepalive_connections=8),
            transport=self._transport,
            follow_redirects=False,
        )

    async def aclose(self) -> None:
        await self._client.aclose()

    def _refused(self, body: bytes) -> tuple[str, bool] | None:
        """Why an answer with status 200 is a refusal, where the venue does that, and whether to ask again."""
        return None

    async def _get(
        self, path: str, query: Mapping[str, str] | str, *, retries: int, weight: int = 1
    ) -> bytes:
        """The body of a 200; reads are repeated at most `retries` times after what a repetition may cure."""
        problem = ""
        for attempt in range(retries + 1):
            pause_s = RETRY_PAUSE_S * 2**attempt
            try:
                if self._turn is not None:
                    await self._turn.take(weight)
                response = await self._client.get(path, params=query)
            except RunnerError as error:
                raise FeedError(f"{self.name} is not asked now: {error}") from error
            except httpx.HTTPError as error:
                problem = f"{self.name} could not be reached ({type(error).__name__})."
            else:
                refused = self._refusal(response)
                if refused is None:
                    return response.content
                problem, again = f"{self.name} refused {path} with {refused[0]}.", refused[1]
                await self._told(response)
                if not again:
                    break
                pause_s = max(pause_s, _retry_after_s(response))
            if attempt < retries:
                await self._sleep(min(pause_s, MAX_RETRY_AFTER_S))
        raise FeedError(problem)

    async def _told(self, response: httpx.Response) -> None:
        if self._turn is None:
            return
        headers = {name.lower(): value for name, value in response.headers.items()}
        # A ban that cannot be told now is met by the others themselves.
        with suppress(RunnerError):
            await self._turn.heard(
                Answer(status=response.status_code, headers=headers, body=response.content)
            )

    def _refusal(self, response: httpx.Response) -> tuple[str, bool] | None:
        status = response.status_code
        if status == httpx.codes.OK:
            return self._refused(response.content)
        return f"{status}: {_reason(response)}", status in _RETRIED


def _reason(response: httpx.Response) -> str:
    """The venue's own words, shortened; they carry no secret, as nothing secret was sent."""
    return " ".join(response.text.split())[:200] or "no reason given"


def _retry_after_s(response: httpx.Response) -> float:
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isdigit() else 0.0
