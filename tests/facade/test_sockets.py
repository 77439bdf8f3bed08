"""Streams as WebSockets: the same events, the same rights, the same bounds."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import websockets
from websockets.asyncio.client import ClientConnection, connect

from core.ids import RunId
from core.redact import Secret
from facade.app import build_app
from facade.patience import Patience
from facade.server import MAX_MESSAGE_BYTES, listen, server
from schema.pg import PgStore
from tests.facade.test_event_stream import WAIT_S, toggle
from tests.facade.world import (
    ADMIN,
    SECRET,
    SmallRunner,
    as_user,
    client_of,
    go_live,
    make_settings,
    token_of,
)

OWN_PAGE = "https://app.example.com"


@asynccontextmanager
async def served(runner: SmallRunner, patience: Patience | None = None) -> AsyncIterator[str]:
    """The application on a port of its own; leaving stops it, streams included, within 3 s."""
    listening = listen("127.0.0.1", 0)
    app = build_app(runner, make_settings(FRONTEND_URL=OWN_PAGE), demo_secret=Secret(SECRET))
    running = server(app, patience)
    task = asyncio.create_task(running.serve([listening]))
    try:
        yield f"ws://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        running.should_exit = True
        await asyncio.wait_for(task, 3)


async def heard(socket: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(await asyncio.wait_for(socket.recv(), WAIT_S))
    return message


@pytest.fixture
def run_id(runner: SmallRunner) -> RunId:
    with client_of(runner) as http:
        return RunId(go_live(http, "alice")["runId"])


def test_a_socket_resumes_at_its_cursor_and_hears_its_own_users_events_alone(
    runner: SmallRunner, store: PgStore, run_id: RunId
) -> None:
    """I11 and I12, as a client of a WebSocket sees them."""
    with client_of(runner) as http:
        other = RunId(go_live(http, "bob")["runId"])
    toggle(store, other, 2)
    toggle(store, run_id, 3)
    own = [event.id for event in store.events() if event.user_id == "alice"]

    async def story() -> None:
        async with served(runner) as url:
            address = f"{url}/api/events/stream?lastEventId={own[0]}"
            async with connect(address, additional_headers=as_user("alice")) as socket:
                assert await heard(socket) == {"type": "stream.open", "id": own[0]}
                assert [(await heard(socket))["id"] for _ in own[1:]] == own[1:]
                toggle(store, other, 1)
                toggle(store, run_id, 1)
                assert (await heard(socket))["runId"] == str(run_id)
            everybody = f"{url}/api/events/stream?lastEventId=0"
            async with connect(everybody, additional_headers=ADMIN) as socket:
                heard_ids = [(await heard(socket))["id"] for _ in range(1 + len(store.events()))]
                assert heard_ids == [0, *(event.id for event in store.events())]

    asyncio.run(story())


def test_a_strategys_stream_holds_the_callers_runs_of_it(
    runner: SmallRunner, store: PgStore, run_id: RunId
) -> None:
    """I12"""
    with client_of(runner) as http:
        other = RunId(go_live(http, "alice")["runId"])
    toggle(store, other, 2)
    toggle(store, run_id, 2)
    run = store.run(run_id)
    assert run is not None

    async def story() -> None:
        async with served(runner) as url:
            address = f"{url}/api/strategies/{run.strategy.id}/stream?lastEventId=0"
            async with connect(address, additional_headers=as_user("alice")) as socket:
                await heard(socket)
                assert {(await heard(socket))["runId"] for _ in range(2)} == {str(run_id)}
            with pytest.raises(websockets.InvalidStatus) as refused:
                await connect(address, additional_headers=as_user("mallory"))
            assert refused.value.response.status_code == 404

    asyncio.run(story())


def test_a_browser_names_its_token_as_a_subprotocol(runner: SmallRunner) -> None:
    async def story() -> None:
        async with served(runner) as url:
            offered = ["bearer", token_of("alice")]
            for origin in (None, OWN_PAGE, url.replace("ws", "http")):
                address = f"{url}/api/events/stream"
                async with connect(address, subprotocols=offered, origin=origin) as socket:  # type: ignore[arg-type]
                    assert socket.subprotocol == "bearer"
                    assert (await heard(socket))["type"] == "stream.open"

    asyncio.run(story())


REFUSED: list[tuple[int, dict[str, Any]]] = [
    (401, {}),
    (401, {"additional_headers": {"Authorization": "Bearer x"}}),
    (401, {"subprotocols": ["bearer", "not-a-token"]}),
    (401, {"subprotocols": ["bearer"]}),
    (403, {"additional_headers": as_user("alice"), "origin": "https://evil.example.com"}),
    (403, {"additional_headers": as_user("alice"), "origin": "null"}),
]


def test_who_may_not_have_a_stream_is_told_as_by_any_route(runner: SmallRunner) -> None:
    async def story() -> None:
        async with served(runner) as url:
            for status, asked in REFUSED:
                with pytest.raises(websockets.InvalidStatus) as refused:
                    await connect(f"{url}/api/events/stream", **asked)
                response = refused.value.response
                told = json.loads(response.body)
                assert (response.status_code, told["ok"]) == (status, False), asked
                assert told["requestId"] == response.headers["x-request-id"]

    asyncio.run(story())


def test_a_token_in_the_address_is_none(runner: SmallRunner) -> None:
    async def story() -> None:
        async with served(runner) as url:
            for name in ("token", "access_token"):
                with pytest.raises(websockets.InvalidStatus) as refused:
                    await connect(f"{url}/api/events/stream?{name}={token_of('alice')}")
                assert refused.value.response.status_code == 401

    asyncio.run(story())


def test_who_speaks_on_a_stream_is_cut_off(runner: SmallRunner) -> None:
    async def story() -> None:
        async with served(runner) as url:
            for message, code in (("hello", 1008), ("x" * (MAX_MESSAGE_BYTES + 1), 1009)):
                async with connect(f"{url}/api/events/stream", additional_headers=as_user("alice")) as socket:
                    await heard(socket)
                    await socket.send(message)
                    await asyncio.wait_for(socket.wait_closed(), WAIT_S)
                    assert socket.close_code == code

    asyncio.run(story())


def test_who_has_gone_gives_the_place_back(runner: SmallRunner) -> None:
    """Places of a user are 20: forty streams one after another all find one."""

    async def story() -> None:
        async with served(runner, Patience(per_address=3)) as url:
            for _ in range(40):
                async with connect(f"{url}/api/events/stream", additional_headers=as_user("alice")) as socket:
                    await heard(socket)

    asyncio.run(story())
