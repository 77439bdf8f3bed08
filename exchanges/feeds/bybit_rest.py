"""Bybit's public data over REST: the envelope around every answer, and the refusals in it."""

from __future__ import annotations

from typing import ClassVar, Final

import httpx
import msgspec

from exchanges.bybit.codes import verdict
from exchanges.bybit.wire import Envelope, Unreadable, read
from exchanges.error_class import ErrorClass
from exchanges.feeds.public_rest import FeedError, PublicRest
from exchanges.wire import Request

_ENVELOPE: Final = msgspec.json.Decoder(Envelope)
_AGAIN: Final = frozenset({ErrorClass.RATE_LIMIT, ErrorClass.RETRY_BACKOFF, ErrorClass.UNKNOWN_STATUS})


class BybitRest(PublicRest):
    name: ClassVar[str] = "Bybit"

    def _refused(self, body: bytes) -> tuple[str, bool] | None:
        try:
            envelope = read(body, _ENVELOPE)
            found = verdict(httpx.codes.OK, int(envelope.ret_code), envelope.ret_msg or "")
        except (Unreadable, ValueError):
            return None  # said by whoever reads the result
        if found is None:
            return None
        said = " ".join(found.text.split())[:200] or "no reason given"
        return f"{found.code}: {said}", found.class_ in _AGAIN

    async def _result(self, request: Request, *, retries: int) -> msgspec.Raw:
        body = await self._get(request.path, request.query, retries=retries)
        try:
            return read(body, _ENVELOPE).result
        except Unreadable as error:
            raise FeedError(f"Bybit answered {request.path} with what cannot be read: {error}") from error
