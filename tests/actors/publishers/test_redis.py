"""Redis is told once: also where an answer did not come, and where the server has forgotten everything since."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from actors.publishers.redis import RedisAddress, RedisSignals
from actors.publishers.signal_publisher import Delivered, Timed
from core.errors import SettingsError
from core.published_signal import Announced, PublishedSignal
from core.redact import Secret
from tests.actors.publishers.servers import Heard, Valkey, eventually, valkey


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Valkey]:
    with valkey(tmp_path) as started:
        started.open()
        yield started


def sink(server: Valkey) -> RedisSignals:
    address = RedisAddress(host="127.0.0.1", port=server.port)
    return RedisSignals(address, key_prefix="k:", channel="c")


def signal(number: int, left_s: float = 60.0) -> Timed:
    content = PublishedSignal(
        signal_id=UUID(int=number),
        timestamp=datetime(2026, 3, 10, 12, 0, tzinfo=UTC),
        symbol="BTC",
        action=Announced.LONG,
        score=None,
        position_size_factor=1.0,
        leverage=None,
        entry_price=None,
        ttl=300,
        confidence=None,
        reasoning=None,
        strategy="s",
    )
    return Timed(id=number, content=content, until_s=time.monotonic() + left_s)


def tell(to: RedisSignals, *signals: Timed) -> Delivered:
    return asyncio.run(to.tell(signals, time.monotonic))


def heard_numbers(heard: Heard) -> list[int]:
    return [UUID(json.loads(each)["signal_id"]).int for each in heard.messages]


def test_a_signal_told_again_is_heard_once_and_one_past_its_time_never(server: Valkey) -> None:
    heard = Heard(server, "c")
    heard.listen()
    assert tell(sink(server), signal(1), signal(2, left_s=-0.1)) == Delivered(settled=2, expired=1)
    assert tell(sink(server), signal(1), signal(3)) == Delivered(settled=2)
    eventually(lambda: len(heard.messages) == 2)
    assert heard_numbers(heard) == [1, 3]


@pytest.mark.parametrize("forgets", [False, True])
def test_a_signal_whose_answer_did_not_come_is_not_heard_twice(server: Valkey, forgets: bool) -> None:
    """It stands as a key in either case; a server that has forgotten is not asked to publish it."""
    to, heard = sink(server), Heard(server, "c")
    heard.listen()
    server.client().execute_command("CLIENT", "PAUSE", "60000", "WRITE")
    told = tell(to, signal(1), signal(2))
    assert (told.settled, told.error) == (0, "Redis did not take it (TimeoutError)")
    if forgets:
        server.kill()
        server.start()
        heard.listen()
        server.open()
    else:
        server.client().execute_command("CLIENT", "UNPAUSE")
    assert tell(to, signal(1)) == Delivered(settled=1)
    assert UUID(json.loads(server.client().get("k:BTC"))["signal_id"]).int == 1
    assert tell(to, signal(2)) == Delivered(settled=1)
    eventually(lambda: 2 in heard_numbers(heard))
    assert heard_numbers(heard) == ([2] if forgets else [1, 2])


def test_an_address_that_is_none_is_refused_without_being_quoted() -> None:
    with pytest.raises(SettingsError, match="must begin with redis://") as refused:
        RedisSignals(RedisAddress(url=Secret("http://:password@host")), key_prefix="", channel="")
    assert "password" not in str(refused.value)
