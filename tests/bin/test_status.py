"""Commands that ask a running service: what it does, whether it is ready, one tick, and why a run did not trade."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from bin.commands.main import main
from bin.commands.status_words import tick_words, trigger_words, why_no_trade
from core.definition import StrategyDefinition
from core.ids import AccountId, RunId, StrategyId, UserId
from core.run import Run, RunCommand
from core.timeframe import Timeframe
from schema.ops import SimulateTrade
from schema.records import Account
from tests.facade.world import SmallRunner

TICK = {"status": "ok", "signal": "hold", "reason": None}
RUN = {
    "status": "active",
    "executionMode": "AUTO",
    "tradingMode": "paper",
    "errorMessage": None,
    "userId": "alice",
}
STATUS: dict[str, Any] = {
    "enabled": True,
    "killSwitch": False,
    "killSwitchReason": None,
    "lastBlockedReasons": {},
}


@pytest.fixture
def run_id(service: SmallRunner) -> UUID:
    """An active paper run of alice."""
    store, id_ = service.store, uuid4()
    definition = StrategyDefinition(
        id=StrategyId(uuid4()),
        owner_id=UserId("alice"),
        name="RSI",
        template="rsi_oversold_overbought",
        parameters={},
        symbol="BTCUSDT",
        timeframe=Timeframe.M5,
        venue="binance",
        market="perp",
    )
    store.create_strategy(definition)
    store.create_account(Account(id=AccountId(id_), user_id=UserId("alice"), name="paper"))
    store.create_run(
        Run(id=RunId(id_), user_id=UserId("alice"), strategy=definition, account_id=AccountId(id_))
    )
    store.command(RunId(id_), RunCommand.START, by="test")
    return id_


@pytest.mark.parametrize(
    ("tick", "words"),
    [
        (TICK, "hold"),
        ({"status": "ok", "signal": None, "reason": None}, "ok"),
        ({"status": "ok", "signal": "long", "reason": "already_open"}, "long: already in that position"),
        (
            {"status": "blocked", "signal": "long", "reason": "late_entry"},
            "long, blocked: late entry",
        ),
        (
            {"status": "blocked", "signal": None, "reason": "daily_loss"},
            "blocked: daily loss limit reached",
        ),
        ({"status": "missed", "signal": None, "reason": "down"}, "missed: down"),
    ],
)
def test_a_tick_is_told_in_words(tick: dict[str, Any], words: str) -> None:
    assert tick_words(tick) == words


CANDLE = {"source": "candle", "node": "node-1", "lateMs": 120.0}
CRON = {"source": "cron", "node": "node-2", "lateMs": 1500.0}


@pytest.mark.parametrize(
    ("status", "late_ms", "lost", "words"),
    [
        ("ok", -2000.0, [], "timer -2.0 s"),
        ("ok", -2000.0, [CANDLE, CRON], "timer -2.0 s, then candle +0.1 s, then cron +1.5 s"),
        ("error", None, [CRON], "timer, then cron +1.5 s"),
        ("missed", None, [], "nobody"),
        ("missed", None, [CRON], "cron +1.5 s"),
    ],
)
def test_who_asked_for_a_slot_is_told_in_words(
    status: str, late_ms: float | None, lost: list[dict[str, Any]], words: str
) -> None:
    tick = {"status": status, "source": "timer", "lateMs": late_ms, "lostTriggers": lost}
    assert trigger_words(tick) == words


@pytest.mark.parametrize(
    ("run", "ticks", "status", "said"),
    [
        ({}, [TICK], {}, ["The strategy said hold at its last tick."]),
        ({}, [TICK, TICK, TICK], {}, ["The strategy said hold at its last 3 ticks."]),
        ({}, [], {"enabled": False}, ["The runner is disabled", "It has not ticked yet."]),
        (
            {},
            [TICK],
            {"killSwitch": True, "killSwitchReason": "drill"},
            ["The global kill switch is on: drill.", "The strategy said hold"],
        ),
        (
            {"status": "error", "errorMessage": "bad maths."},
            [TICK],
            {},
            ["It ended in an error: bad maths.", "The strategy said hold"],
        ),
        ({"executionMode": "MANUAL"}, [], {}, ["It ticks by execute-tick only", "It has not ticked yet."]),
        ({"tradingMode": "signals"}, [TICK], {}, ["It publishes signals", "The strategy said hold"]),
        (
            {},
            [{"status": "blocked", "signal": None, "reason": "paused"}],
            {"lastBlockedReasons": {"alice": "paused"}},
            ["A risk gate of alice is shut: paused", "Its newest tick: blocked: paused"],
        ),
        ({}, [TICK], {"lastBlockedReasons": {"bob": "paused"}}, ["The strategy said hold"]),
    ],
)
def test_what_stands_in_a_runs_way_is_named_from_the_outside_in(
    run: dict[str, Any], ticks: list[dict[str, Any]], status: dict[str, Any], said: list[str]
) -> None:
    sentences = why_no_trade(RUN | run, ticks, STATUS | status)
    assert len(sentences) == len(said)
    for sentence, start in zip(sentences, said, strict=True):
        assert sentence.startswith(start)
        assert sentence.endswith(".")


def test_status_shows_what_the_service_does(
    service: SmallRunner, run_id: UUID, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status"]) == 0
    shown = capsys.readouterr().out
    assert "1 runs of 1 strategies" in shown
    assert "BTCUSDT" in shown
    assert main(["status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["activeRuns"] == 1


def test_status_of_a_run_says_why_it_did_not_trade(
    service: SmallRunner, run_id: UUID, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tick", str(run_id)]) == 0
    assert ": hold (" in capsys.readouterr().out
    service.store.settle([SimulateTrade(user_id=UserId("alice"), delta=Decimal(-60))])
    assert main(["status", str(run_id)]) == 0
    shown = capsys.readouterr().out
    assert "A risk gate of alice is shut: paused after a loss limit." in shown
    assert "The strategy said hold at its last tick." in shown
    assert "operator +0.5 s" in shown
    assert main(["status", str(run_id), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["run"]["id"], len(told["ticks"]), len(told["why"])) == (str(run_id), 1, 2)


def test_a_tick_is_asked_for_by_the_operator(
    service: SmallRunner, run_id: UUID, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tick", str(run_id), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "ok"
    (row,) = service.store.ticks(run_id=RunId(run_id))
    assert row.source == "operator"


@pytest.mark.parametrize("command", ["status", "tick"])
def test_a_run_that_is_not_there_is_one_sentence(
    command: str, service: SmallRunner, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, str(UUID(int=7))]) == 1
    assert capsys.readouterr().err == f"There is no run {UUID(int=7)}.\n"


def test_health_is_an_exit_code_and_names_what_is_down(
    service: SmallRunner, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["health"]) == 0
    assert "ledger: up" in capsys.readouterr().out
    service.up = False
    assert main(["health"]) == 1
    assert "ledger: down" in capsys.readouterr().out
    assert main(["health", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["ok"] is False


def test_a_token_the_service_does_not_take_says_what_is_missing(
    service: SmallRunner, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JWT_SECRET", "another-secret-of-the-tests-long-enough")
    assert main(["status"]) == 1
    shown = capsys.readouterr().err
    assert "JWT_SECRET" in shown
    assert len(shown.splitlines()) == 1


@pytest.fixture
def nobodys_port() -> Iterator[int]:
    """A port that is bound and not listened on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.mark.parametrize("command", [["health"], ["status"], ["tick", str(UUID(int=1))]])
def test_where_nothing_answers_one_sentence_says_so(
    command: list[str],
    nobodys_port: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("JWT_SECRET", "a-secret-of-the-tests-with-enough-bytes")
    assert main([*command, "--port", str(nobodys_port)]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == f"Nothing answers at http://127.0.0.1:{nobodys_port}; is the service running there?\n"
