"""Messages read from frames: the same however the bytes are cut, and whoever reads them, we or the library."""

from __future__ import annotations

import asyncio
import ssl
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchanges.web_socket import WebSocket, opened
from tests import live_loop
from tests.exchanges.certificate import localhost_contexts
from tests.exchanges.stream_venue import streaming
from tests.fakes.loop_clock import LoopClock, until

MAX_BYTES = 70_000
SIZES = (0, 1, 125, 126, 300, 65_535, 65_536)
PING = b"\x89\x02hi"


def frame(head: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes([head, size]) + payload
    if size < 1 << 16:
        return bytes([head, 126]) + size.to_bytes(2, "big") + payload
    return bytes([head, 127]) + size.to_bytes(8, "big") + payload


def in_parts(message: bytes, count: int) -> bytes:
    """As `count` + 1 frames with a ping between each two."""
    cuts = [0, *[len(message) * part // (count + 1) for part in range(1, count + 1)], len(message)]
    pieces = [message[start:stop] for start, stop in pairwise(cuts)]
    heads = [0x01, *[0x00] * (count - 1), 0x80]
    return PING.join(frame(head, piece) for head, piece in zip(heads, pieces, strict=True))


def sent(kind: str, message: bytes) -> bytes:
    if kind == "text":
        return frame(0x81, message)
    if kind == "binary":
        return frame(0x82, message)
    return PING + in_parts(message, 2)


async def subscribed(url: str, messages: list[bytes]) -> WebSocket:
    clock = LoopClock()
    return await opened(
        url,
        on_message=messages.append,
        faulted=lambda error: None,
        clock=clock,
        sleep=clock.sleep,
        messages_per_s=5,
        open_timeout_s=5,
        max_message_bytes=MAX_BYTES,
    )


async def told(data: bytes, cuts: list[int]) -> tuple[list[bytes], bool]:
    """What a subscriber hears of these bytes, and whether the connection is still good."""
    messages: list[bytes] = []
    async with streaming() as venue:
        socket = await subscribed(venue.url, messages)
        places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
        for start, stop in pairwise(places):
            if start < stop:
                socket.data_received(data[start:stop])
        good = not socket.protocol.close_expected()
        socket.cut_off()
        await socket.wait_closed()
    return messages, good


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["text", "text", "binary", "parts"]), st.sampled_from(SIZES)), max_size=8
    ),
    st.lists(st.integers(0, 400_000), max_size=12),
)
def test_however_the_bytes_are_cut_each_message_is_told_once_in_order(
    plan: list[tuple[str, int]], cuts: list[int]
) -> None:
    messages = [bytes([97 + number]) * size for number, (_, size) in enumerate(plan)]
    data = b"".join(sent(kind, message) for (kind, _), message in zip(plan, messages, strict=True))
    assert live_loop.run(told(data, cuts)) == (messages, True)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(
        [
            frame(0x81, b"x" * (MAX_BYTES + 1)),
            b"\x83\x00",
            b"\xc1\x01x",
            b"\x81\x81abcdx",
            frame(0x01, b"half") + frame(0x81, b"another"),
            frame(0x80, b"the end of nothing"),
        ]
    ),
    st.lists(st.integers(0, 80_000), max_size=6),
)
def test_frames_that_break_the_protocol_or_its_bounds_end_the_connection(
    data: bytes, cuts: list[int]
) -> None:
    before = frame(0x81, b"before")
    messages, good = live_loop.run(told(before + data, cuts))
    assert messages == [b"before"]
    assert not good


def test_over_tls_only_a_venue_that_proves_its_name_is_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, _ = localhost_contexts(tmp_path)
    sent_messages = [b"x" * size for size in SIZES]

    async def run() -> None:
        messages: list[bytes] = []
        async with streaming(served) as venue:
            by_name = f"wss://localhost:{venue.port}/private/ws?listenKey=one"
            with pytest.raises(ssl.SSLCertVerificationError):
                await subscribed(by_name, messages)  # its authority is nobody's
            monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "localhost.pem"))
            with pytest.raises(ssl.SSLCertVerificationError):
                await subscribed(f"wss://127.0.0.1:{venue.port}/private/ws?listenKey=one", messages)
            socket = await subscribed(by_name, messages)
            await socket.say("hello")
            await until(lambda: venue.texts(0) == ["hello"], what="what was said")
            for message in sent_messages:
                await venue.standing[0].send(message, text=True)
            await until(lambda: messages == sent_messages, what="what was sent")
            await socket.close()

    live_loop.run(asyncio.wait_for(run(), 20))
