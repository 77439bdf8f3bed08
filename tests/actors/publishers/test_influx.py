"""Line protocol, and what of an answer is for good."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import httpx
import msgspec

from actors.publishers.influx import InfluxSignals, line_of
from actors.publishers.signal_publisher import Timed
from core.published_signal import Announced, PublishedSignal
from tests.actors.publishers.servers import influxdb

SIGNAL = PublishedSignal(
    signal_id=UUID(int=1),
    timestamp=datetime(2026, 3, 10, 12, 0, 0, 250, tzinfo=UTC),
    symbol="BTC",
    action=Announced.LONG,
    score=7.0,
    position_size_factor=1.5,
    leverage=3,
    entry_price=64000.5,
    ttl=300,
    confidence=None,
    reasoning="plain",
    strategy="mine",
)
AWKWARD = ["a b,c=d", 'quo"ted', "back\\slash\\", "two\nlines", "ends with \\", "naïve €", "  "]


def test_a_line_has_tags_fields_and_a_time_its_number_makes_its_own() -> None:
    assert line_of(SIGNAL, 42_007) == (
        "strategy_signals,action=LONG,service=strategy-runner,strategy=mine,symbol=BTC "
        'signal_id="00000000-0000-0000-0000-000000000001",score=7.0,position_size_factor=1.5,leverage=3i,'
        'entry_price=64000.5,ttl=300i,reasoning="plain" 1773144000000250007'
    )


def test_whatever_a_strategy_is_called_and_says_a_real_server_reads_back(tmp_path: Path) -> None:
    signals = [
        Timed(
            id=number,
            content=msgspec.structs.replace(
                SIGNAL, strategy=text, reasoning=text, signal_id=UUID(int=number)
            ),
            until_s=0.0,
        )
        for number, text in enumerate(AWKWARD)
    ]
    with influxdb(tmp_path) as (_, url):
        sink = InfluxSignals(url, database="signals", org=None, bucket=None, token=None)
        told = asyncio.run(sink.tell(signals, lambda: 0.0))
        assert (told.settled, told.refused, told.error) == (len(AWKWARD), 0, None)
        asked = {"db": "signals", "q": "SELECT reasoning, strategy FROM strategy_signals"}
        series = httpx.get(f"{url}/query", params=asked).json()["results"][0]["series"][0]
    assert [row[1] for row in series["values"]] == [text.replace("\n", " ") for text in AWKWARD]


def test_a_line_that_is_refused_for_good_holds_up_none_of_the_others(tmp_path: Path) -> None:
    """A field of another type than the measurement has already: no trying again helps."""
    wrong = msgspec.structs.replace(SIGNAL, leverage="three", signal_id=UUID(int=2))
    signals = [Timed(id=n, content=each, until_s=0.0) for n, each in enumerate([SIGNAL, wrong, SIGNAL])]
    with influxdb(tmp_path) as (_, url):
        sink = InfluxSignals(url, database="signals", org=None, bucket=None, token=None)
        told = asyncio.run(sink.tell(signals, lambda: 0.0))
    assert (told.settled, told.refused, told.error) == (3, 1, None)


def test_a_server_that_is_set_up_wrong_is_tried_again(tmp_path: Path) -> None:
    with influxdb(tmp_path) as (_, url):
        sink = InfluxSignals(url, database="missing", org=None, bucket=None, token=None)
        told = asyncio.run(sink.tell([Timed(id=1, content=SIGNAL, until_s=0.0)], lambda: 0.0))
    assert told.settled == 0
    assert told.error == "InfluxDB answered 404"
