"""Signals in InfluxDB, as line protocol: `/write` of version 1 where a database is named, `/api/v2/write` of 2 and 3
where a bucket is. A line written again is the same point, so nothing is there twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import httpx

from actors.publishers.signal_publisher import Delivered, Timed
from actors.publishers.webhook import NotDelivered
from core.published_signal import PublishedSignal
from core.redact import Secret
from schema.pg_published import Receiver

MEASUREMENT: Final = "strategy_signals"
TIMEOUT_S: Final = 4.0
TELL_S: Final = 8.0
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_REFUSED: Final = frozenset({400, 413, 422})
"""What is wrong is the line, not the server."""


class InfluxSignals:
    name: Final = Receiver.INFLUXDB

    def __init__(
        self,
        url: str,
        *,
        database: str | None,
        org: str | None,
        bucket: str | None,
        token: Secret | None,
    ) -> None:
        self._url = url.rstrip("/")
        if bucket is not None:
            named = {"bucket": bucket, "precision": "ns"} | ({} if org is None else {"org": org})
            self._write, self._query = "/api/v2/write", named
        else:
            self._write, self._query = "/write", {"db": database or "", "precision": "ns"}
        self._headers = {} if token is None else {"Authorization": f"Token {token.reveal()}"}

    async def tell(self, signals: Sequence[Timed], monotonic: Callable[[], float]) -> Delivered:
        """History: it is written however late."""
        settled = refused = 0
        try:
            async with asyncio.timeout(TELL_S), self._client() as client:
                if await self._post(client, [line_of(each.content, each.id) for each in signals]):
                    return Delivered(settled=len(signals))
                # One of them is refused for good: each by itself, so that it holds up none of the others.
                for each in signals:
                    taken = await self._post(client, [line_of(each.content, each.id)])
                    settled += 1
                    refused += not taken
        except (httpx.HTTPError, NotDelivered, TimeoutError) as error:
            return Delivered(settled=settled, refused=refused, error=_said(error))
        return Delivered(settled=settled, refused=refused)

    async def probe(self) -> None:
        try:
            async with asyncio.timeout(TELL_S), self._client() as client:
                reply = await client.get(f"{self._url}/ping")
        except (httpx.HTTPError, TimeoutError) as error:
            raise NotDelivered(_said(error)) from error
        if reply.status_code >= 500:
            raise NotDelivered(f"InfluxDB answered {reply.status_code}")

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            timeout=TIMEOUT_S, trust_env=False, follow_redirects=False, headers=self._headers
        )

    async def _post(self, client: httpx.AsyncClient, lines: Sequence[str]) -> bool:
        """False: refused for what the lines are. Raises NotDelivered for every other answer but 2xx."""
        reply = await client.post(
            self._url + self._write, params=self._query, content="\n".join(lines).encode()
        )
        if reply.status_code in _REFUSED:
            return False
        if not 200 <= reply.status_code < 300:
            raise NotDelivered(f"InfluxDB answered {reply.status_code}")
        return True


def line_of(signal: PublishedSignal, number: int) -> str:
    """One line. `number` keeps apart what was decided in the same microsecond: the last three digits are its."""
    tags = {
        "action": signal.action.value,
        "service": signal.service,
        "strategy": signal.strategy,
        "symbol": signal.symbol,
    }
    fields: Mapping[str, str | float | int | None] = {
        "signal_id": str(signal.signal_id),
        "score": None if signal.score is None else float(signal.score),
        "position_size_factor": signal.position_size_factor,
        "leverage": signal.leverage,
        "entry_price": signal.entry_price,
        "ttl": signal.ttl,
        "confidence": None if signal.confidence is None else float(signal.confidence),
        "reasoning": signal.reasoning,
    }
    told = ",".join(f"{name}={_tag(text)}" for name, text in tags.items() if text)
    held = ",".join(f"{name}={_field(each)}" for name, each in fields.items() if each is not None)
    nanoseconds = (signal.timestamp - _EPOCH) // timedelta(microseconds=1) * 1_000 + number % 1_000
    return f"{MEASUREMENT},{told} {held} {nanoseconds}"


def _tag(text: str) -> str:
    """A backslash cannot be escaped in a tag, and one before a separator would escape that."""
    for sign, instead in (("\\", "/"), ("\r", " "), ("\n", " ")):
        text = text.replace(sign, instead)
    for sign in (",", "=", " "):
        text = text.replace(sign, f"\\{sign}")
    return text


def _field(content: str | float | int) -> str:
    if isinstance(content, str):
        text = content.replace("\r", " ").replace("\n", " ")
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"{content}i" if isinstance(content, int) else repr(content)


def _said(error: Exception) -> str:
    return (
        str(error) if isinstance(error, NotDelivered) else f"InfluxDB did not answer ({type(error).__name__})"
    )
