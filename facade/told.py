"""An event on its way to streams: put into words once, whoever they are told to."""

from __future__ import annotations

from typing import Any

import msgspec

from core.ids import RunId, UserId
from core.published_signal import PublishedSignal, published_from_event
from facade.bridge import Event, PassingEvent


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


class Told:
    """What any number of streams send; its words are made by the first."""

    __slots__ = ("_signal_ttl_s", "_words", "event")

    def __init__(self, event: Event | PassingEvent, signal_ttl_s: int) -> None:
        self.event = event
        self._signal_ttl_s = signal_ttl_s
        self._words: bytes | None = None

    @property
    def id(self) -> int | None:
        """None: it is told and not kept."""
        return None if isinstance(self.event, PassingEvent) else self.event.id

    @property
    def words(self) -> bytes:
        if self._words is None:
            self._words = _encoded(self.event, self._signal_ttl_s)
        return self._words

    @property
    def frame(self) -> bytes:
        """As a server-sent event."""
        told = self.event.type.encode(), self.words
        if self.id is None:
            return b"event: %s\ndata: %s\n\n" % told
        return b"id: %d\nevent: %s\ndata: %s\n\n" % (self.id, *told)


def _encoded(event: Event | PassingEvent, signal_ttl_s: int) -> bytes:
    if isinstance(event, PassingEvent):
        return msgspec.json.encode(StreamedPassing(type=event.type, at=event.at, payload=event.payload))
    return msgspec.json.encode(streamed(event, signal_ttl_s))
