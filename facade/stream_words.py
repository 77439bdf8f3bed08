"""How a stream is told: as server-sent events, or as the messages of a WebSocket."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final

import msgspec

from core.ids import RunId, UserId
from core.published_signal import PublishedSignal, published_from_event
from facade.bridge import Event, PassingEvent
from facade.errors import bad_field
from facade.event_stream import Following

RETRY_MS: Final = 1_000
MAX_EVENT_ID: Final = 2**63 - 1


class StreamedEvent(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """An event on the wire; the stream's id is the event's."""

    id: int
    user_id: UserId
    run_id: RunId | None
    seq: int
    type: str
    at: Any
    payload: Any
    signal: PublishedSignal | None = None
    """Of an event `signal`: the form it has outside as well."""


class StreamedPassing(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is told and not kept: without an id, as nobody resumes after it."""

    type: str
    at: Any
    payload: Any


class StreamOpened(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="stream.open"):
    """The first message of a WebSocket: `id` is the cursor the stream goes on after."""

    id: int


def streamed(event: Event, signal_ttl_s: int) -> StreamedEvent:
    return StreamedEvent(
        id=event.id,
        user_id=event.user_id,
        run_id=event.run_id,
        seq=event.seq,
        type=event.type,
        at=event.at,
        payload=event.payload,
        signal=None
        if event.type != "signal"
        else published_from_event(event.payload, event.at, ttl_s=signal_ttl_s),
    )


def encoded(event: Event | PassingEvent, signal_ttl_s: int) -> bytes:
    if isinstance(event, PassingEvent):
        return msgspec.json.encode(StreamedPassing(type=event.type, at=event.at, payload=event.payload))
    return msgspec.json.encode(streamed(event, signal_ttl_s))


async def frames(following: Following) -> AsyncGenerator[bytes, None]:
    """Server-sent events; comments keep the connection from looking dead."""
    async with aclosing(following):
        yield f"retry: {RETRY_MS}\nid: {following.cursor}\n\n".encode()
        async for event in following:
            yield b": still here\n\n" if event is None else frame(event, following.signal_ttl_s)


def frame(event: Event | PassingEvent, signal_ttl_s: int) -> bytes:
    told = event.type.encode(), encoded(event, signal_ttl_s)
    if isinstance(event, PassingEvent):
        return b"event: %s\ndata: %s\n\n" % told
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.id, *told)


def cursor_of(text: str | None) -> int | None:
    """The event id a client resumes after; ApiError 400 for a cursor of somebody else's making."""
    if text is None or not text.strip():
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 19 or int(text) > MAX_EVENT_ID:
        raise bad_field("Last-Event-ID", "must be the id of an event")
    return int(text)
