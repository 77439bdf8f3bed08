"""How a stream is told: as server-sent events, or as the messages of a WebSocket."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

import msgspec

from facade.errors import bad_field
from facade.event_stream import Following

RETRY_MS: Final = 1_000
MAX_EVENT_ID: Final = 2**63 - 1


class StreamOpened(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="stream.open"):
    """The first message of a WebSocket: `id` is the cursor the stream goes on after."""

    id: int


async def frames(following: Following) -> AsyncGenerator[bytes, None]:
    """Server-sent events; comments keep the connection from looking dead."""
    async with aclosing(following):
        yield f"retry: {RETRY_MS}\nid: {following.cursor}\n\n".encode()
        async for some in following:
            yield b"".join([told.frame for told in some]) or b": still here\n\n"


def cursor_of(text: str | None) -> int | None:
    """The event id a client resumes after; ApiError 400 for a cursor of somebody else's making."""
    if text is None or not text.strip():
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 19 or int(text) > MAX_EVENT_ID:
        raise bad_field("Last-Event-ID", "must be the id of an event")
    return int(text)
