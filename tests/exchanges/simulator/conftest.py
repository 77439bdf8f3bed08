"""One stand-in of each venue for all tests of its face; each test has an account of its own."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from tests import live_loop
from tests.exchanges.simulator.desk import Desk, desk_at
from tests.exchanges.simulator.running import RunningVenue, running


@pytest.fixture(scope="session")
def binance_program() -> Iterator[RunningVenue]:
    with running("binance", "--seed", "3") as venue:
        venue.control("PUT", "limits", {"weight": 0, "orders_10s": 0, "orders_1m": 0})
        yield venue


@pytest.fixture
def binance(binance_program: RunningVenue, request: pytest.FixtureRequest) -> RunningVenue:
    binance_program.fresh_account(request.node.name)
    binance_program.set_price("BTCUSDT", "60000")
    binance_program.set_price("ETHUSDT", "2500")
    return binance_program


@pytest.fixture(scope="session")
def bybit_program() -> Iterator[RunningVenue]:
    with running("bybit", "--seed", "3") as venue:
        venue.control("PUT", "limits", {"weight": 0, "orders_10s": 0, "orders_1m": 0})
        yield venue


@pytest.fixture
def bybit(bybit_program: RunningVenue, request: pytest.FixtureRequest) -> RunningVenue:
    bybit_program.fresh_account(request.node.name)
    bybit_program.set_price("BTCUSDT", "60000")
    bybit_program.set_price("ETHUSDT", "2500")
    return bybit_program


@pytest.fixture(scope="session")
def bybit_timed_program() -> Iterator[RunningVenue]:
    with running("bybit", "--seed", "3", "--at", "2026-03-02T07:50:00Z") as venue:
        yield venue


@pytest.fixture
def bybit_timed(bybit_timed_program: RunningVenue, request: pytest.FixtureRequest) -> RunningVenue:
    """One whose clock a test may set or stop: clients that go by their own cannot share it."""
    bybit_timed_program.control("PUT", "clock", {"rate": 1})
    bybit_timed_program.control("PUT", "limits", {"weight": 600, "orders_10s": 100, "orders_1m": 0})
    bybit_timed_program.fresh_account(request.node.name)
    bybit_timed_program.set_price("BTCUSDT", "60000")
    return bybit_timed_program


@pytest.fixture
def at_desk(bybit: RunningVenue, request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Runs what a test does at the desk of its account."""

    def run(act: Callable[[Desk], Coroutine[Any, Any, None]], **more: Any) -> None:
        async def seated() -> None:
            async with desk_at(bybit, request.node.name, **more) as desk:
                await act(desk)

        live_loop.run(seated())

    return run
