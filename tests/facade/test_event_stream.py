"""Streams: in order, without gap, one user's own, bounded, and ended with the server."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from socket import SO_SNDBUF, SOL_SOCKET, create_connection
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
from starlette.testclient import TestClient

from core.errors import RunnerError
from core.ids import RunId, UserId
from core.redact import Secret
from core.run import RunCommand
from facade.app import build_app
from facade.bridge import Bridge, Waits
from facade.errors import ApiError
from facade.event_stream import MAX_READERS_PER_USER, QUEUE_EVENTS, EventHub, Wanted
from facade.server import SEND_BUFFER_BYTES, listen, server
from facade.stream_words import frames as told_frames
from facade.told import Told
from schema.pg import PgStore
from tests.facade.world import ADMIN, SECRET, SmallRunner, as_user, go_live, make_settings

WAIT_S = 5.0
QUEUE = 8


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    data: dict[str, Any] | None


def parsed(raw: bytes) -> Frame | None:
    fields = dict(
        line.split(": ", 1) for line in raw.decode().strip().split("\n") if not line.startswith(":")
    )
    if "id" not in fields:
        return None
    return Frame(id=int(fields["id"]), data=json.loads(fields["data"]) if "data" in fields else None)


async def take(frames: AsyncIterator[bytes], count: int) -> list[Frame]:
    """The next `count` frames that carry an id."""
    taken: list[Frame] = []
    while len(taken) < count:
        frame = parsed(await asyncio.wait_for(anext(frames), WAIT_S))
        if frame is not None:
            taken.append(frame)
    return taken


async def one_by_one(chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """Each frame by itself of what is sent some at a time."""
    async with contextlib.aclosing(chunks):
        async for chunk in chunks:
            for frame in chunk.split(b"\n\n")[:-1]:
                yield frame


async def opened(
    hub: EventHub,
    *,
    owner: UserId,
    user_id: UserId | None,
    run_id: RunId | None = None,
    after_id: int | None = None,
) -> AsyncGenerator[bytes, None]:
    wanted = Wanted(user_id=user_id, run_id=run_id)
    return one_by_one(told_frames(await hub.follow(wanted, owner=owner, after_id=after_id)))


def on_hub(
    runner: SmallRunner, story: Callable[[EventHub], Awaitable[None]], *, queue_events: int = QUEUE_EVENTS
) -> None:
    async def play() -> None:
        bridge = Bridge(runner, Waits())
        hub = EventHub(bridge, signal_ttl_s=300, queue_events=queue_events)
        try:
            await story(hub)
        finally:
            await hub.close()
            bridge.close()

    asyncio.run(play())


@pytest.fixture
def run_id(client: TestClient) -> RunId:
    return RunId(UUID(go_live(client, "alice")["runId"]))


def toggle(store: PgStore, run_id: RunId, times: int) -> None:
    """Each turn leaves one event."""
    for _ in range(times):
        status = store.run(run_id)
        assert status is not None
        store.command(run_id, RunCommand.PAUSE if status.status == "active" else RunCommand.START, by="alice")


def test_a_reader_resumes_at_every_cursor_without_gap_or_repeat(
    runner: SmallRunner, store: PgStore, run_id: RunId
) -> None:
    """I11 as a client sees it."""
    toggle(store, run_id, 6)
    ids = [event.id for event in store.events()]

    async def story(hub: EventHub) -> None:
        for index in range(len(ids) + 1):
            cursor = ids[index - 1] if index else 0
            frames = await opened(hub, owner=UserId("alice"), user_id=UserId("alice"), after_id=cursor)
            got = [frame.id for frame in await take(frames, 1 + len(ids) - index)]
            assert got == [cursor, *ids[index:]]
            await frames.aclose()

    on_hub(runner, story)


def test_old_and_new_events_meet_without_gap(runner: SmallRunner, store: PgStore, run_id: RunId) -> None:
    toggle(store, run_id, 4)

    async def story(hub: EventHub) -> None:
        early = await opened(hub, owner=UserId("a"), user_id=None)
        await take(early, 1)
        toggling = asyncio.create_task(asyncio.to_thread(toggle, store, run_id, 20))
        late = await opened(hub, owner=UserId("b"), user_id=None, after_id=0)
        seen = [frame.id for frame in await take(late, 25)][1:]
        await toggling
        assert seen == [event.id for event in store.events()]
        assert [frame.id for frame in await take(early, 20)] == seen[4:]

    on_hub(runner, story)


def test_a_reader_sees_its_own_users_events_alone(
    client: TestClient, runner: SmallRunner, store: PgStore, run_id: RunId
) -> None:
    """I12"""
    other = RunId(go_live(client, "bob")["runId"])
    toggle(store, other, 3)
    toggle(store, run_id, 1)

    async def story(hub: EventHub) -> None:
        past = await opened(hub, owner=UserId("alice"), user_id=UserId("alice"), after_id=0)
        live = await opened(hub, owner=UserId("alice"), user_id=UserId("alice"))
        await take(live, 1)
        toggle(store, other, 3)
        toggle(store, run_id, 1)
        for frames, count in ((past, 3), (live, 1)):
            got = await take(frames, count)
            assert {frame.data["userId"] for frame in got if frame.data} == {"alice"}

    on_hub(runner, story)


def test_a_run_stream_holds_that_run_alone(
    client: TestClient, runner: SmallRunner, store: PgStore, run_id: RunId
) -> None:
    other = RunId(UUID(go_live(client, "alice")["runId"]))
    toggle(store, other, 2)
    toggle(store, run_id, 2)

    async def story(hub: EventHub) -> None:
        frames = await opened(hub, owner=UserId("alice"), user_id=UserId("alice"), run_id=run_id, after_id=0)
        got = await take(frames, 3)
        assert [frame.data["seq"] for frame in got if frame.data] == [1, 2]
        assert {frame.data["runId"] for frame in got if frame.data} == {str(run_id)}

    on_hub(runner, story)


def test_a_cursor_of_another_database_starts_from_now(
    runner: SmallRunner, store: PgStore, run_id: RunId
) -> None:
    async def story(hub: EventHub) -> None:
        frames = await opened(hub, owner=UserId("a"), user_id=None, after_id=1_000_000)
        (first,) = await take(frames, 1)
        toggle(store, run_id, 1)
        (second,) = await take(frames, 1)
        assert first.id < second.id < 1_000_000

    on_hub(runner, story)


def test_a_reader_that_falls_behind_is_cut_and_resumes_where_it_was(
    runner: SmallRunner, store: PgStore, run_id: RunId
) -> None:
    """Invariants §7: slow readers are cut with a cursor that resumes without gap."""

    async def story(hub: EventHub) -> None:
        idle = await opened(hub, owner=UserId("a"), user_id=None)
        await take(idle, 1)
        await asyncio.to_thread(toggle, store, run_id, 2 * QUEUE)
        seen: list[int] = []
        while hub.readers:  # noqa: ASYNC110 (the hub tells nobody whom it cuts)
            await asyncio.sleep(0.02)
        with contextlib.suppress(StopAsyncIteration):
            while True:
                frame = parsed(await asyncio.wait_for(anext(idle), WAIT_S))
                seen += [frame.id] if frame else []
        assert len(seen) == QUEUE
        resumed = await opened(hub, owner=UserId("a"), user_id=None, after_id=seen[-1])
        seen += [frame.id for frame in (await take(resumed, 1 + QUEUE))[1:]]
        assert seen == [event.id for event in store.events()]

    on_hub(runner, story, queue_events=QUEUE)


def test_streams_of_one_user_are_bounded_and_places_are_given_back(runner: SmallRunner) -> None:
    async def story(hub: EventHub) -> None:
        open_streams = [
            await opened(hub, owner=UserId("a"), user_id=None) for _ in range(MAX_READERS_PER_USER)
        ]
        with pytest.raises(ApiError) as refused:
            await opened(hub, owner=UserId("a"), user_id=None)
        assert refused.value.status == 429
        await opened(hub, owner=UserId("b"), user_id=None)
        await take(open_streams[0], 1)
        await open_streams[0].aclose()
        await opened(hub, owner=UserId("a"), user_id=None)

    on_hub(runner, story)


@contextlib.asynccontextmanager
async def served(runner: SmallRunner) -> AsyncIterator[str]:
    """The application on a port of its own; leaving stops it, streams included, within 3 s."""
    socket = listen("127.0.0.1", 0)
    port = socket.getsockname()[1]
    running = server(build_app(runner, make_settings(), demo_secret=Secret(SECRET)))
    task = asyncio.create_task(running.serve([socket]))
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        running.should_exit = True
        await asyncio.wait_for(task, 3)


def test_a_stream_over_a_socket_ends_when_the_server_stops(
    runner: SmallRunner, store: PgStore, run_id: RunId
) -> None:
    async def story() -> None:
        async with httpx.AsyncClient(timeout=WAIT_S) as http:
            async with served(runner) as url:
                headers = {**as_user("alice"), "Last-Event-ID": "0"}
                async with http.stream("GET", f"{url}/api/events/stream", headers=headers) as response:
                    assert response.status_code == 200
                    assert response.headers["content-type"].startswith("text/event-stream")
                    assert response.headers["cache-control"] == "no-store"
                    toggle(store, run_id, 1)
                    lines = response.aiter_lines()
                    while not (await asyncio.wait_for(anext(lines), WAIT_S)).startswith("event: run.status"):
                        pass
                foreign = await http.get(f"{url}/api/runs/{run_id}/stream", headers=as_user("bob"))
                assert foreign.status_code == 404
                open_to_the_end = http.stream("GET", f"{url}/api/events/stream", headers=ADMIN)
                response = await open_to_the_end.__aenter__()
            async for _ in response.aiter_lines():
                pass
            await open_to_the_end.__aexit__(None, None, None)

    asyncio.run(story())


def test_a_port_that_is_taken_is_one_sentence() -> None:
    taken = listen("127.0.0.1", 0)
    port = taken.getsockname()[1]
    with taken, pytest.raises(RunnerError, match=f"Port {port} on 127.0.0.1 is taken"):
        listen("127.0.0.1", port)


def test_the_kernel_holds_a_bounded_part_of_what_a_caller_does_not_take() -> None:
    """Else it holds megabytes, and a stalled reader of a stream is told thousands of events before it is noticed."""
    with listen("127.0.0.1", 0) as listening:
        listening.setblocking(True)
        with create_connection(listening.getsockname()), listening.accept()[0] as accepted:
            assert (
                accepted.getsockopt(SOL_SOCKET, SO_SNDBUF) <= 2 * SEND_BUFFER_BYTES
            )  # the kernel doubles it


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1"])
def test_a_host_that_is_not_ours_is_one_sentence(host: str) -> None:
    with pytest.raises(RunnerError, match=f"HOST {host} is no address"):
        listen(host, 0)


def test_a_reader_who_takes_nothing_is_offered_no_more_than_its_places_and_its_words_are_made_once(
    runner: SmallRunner, store: PgStore, run_id: RunId
) -> None:
    """Invariants §7: ticks feel nothing of slow readers; what is told to many is encoded for the first of them."""

    async def story(hub: EventHub) -> None:
        everybody = Wanted(user_id=None)
        reading = [await hub.follow(everybody, owner=UserId("a")) for _ in range(2)]
        for _ in range(3):
            await hub.follow(everybody, owner=UserId("b"))  # and nothing is ever taken of it
        heard: list[list[Told]] = [[], []]
        for _ in range(2):
            await asyncio.to_thread(toggle, store, run_id, QUEUE)
            for following, mine in zip(reading, heard, strict=True):
                until = len(mine) + QUEUE
                while len(mine) < until:
                    mine += await asyncio.wait_for(anext(aiter(following)), WAIT_S)
        assert (hub.readers, hub.cuts) == (2, 3)
        assert [told.id for told in heard[0]] == [event.id for event in store.events()]
        assert all(one.words is other.words for one, other in zip(*heard, strict=True))

    on_hub(runner, story, queue_events=QUEUE)
