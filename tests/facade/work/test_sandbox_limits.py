"""Code is held to the operator's SANDBOX_* settings in backtests too, by the server and by the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from actors.sandbox.host import Limits
from bin.commands.main import main
from facade.work.manager import Workers
from schema.pg import PgStore
from tests.facade.work.conftest import SERIES, some_candles
from tests.facade.work.test_backtests import ended
from tests.facade.world import SmallRunner, as_user, client_of
from tests.schema.conftest import Database

CODE = """
import numpy as np
LOOKBACK = 20
def strategy(context):
    held = np.empty(100 << 20, np.uint8)  # room that is taken and not touched
    return {"action": "buy", "indicators": {"held": len(held)}}
"""
ASKED = {
    "symbol": "BTCUSDT",
    "timeframe": "5m",
    "code": CODE,
    "from": "2026-02-03T00:00:00Z",
    "to": "2026-02-03T01:00:00Z",
}


def figures(runner: SmallRunner, database: Database, store: PgStore, sandbox: Limits) -> Any:
    workers = Workers(store.jobs, dsn=database.service_dsn, worker="tests", rest={}, sandbox=sandbox)
    workers.start()
    try:
        with client_of(runner, job_added=workers.poke) as http:
            started = http.post("/api/backtests", json=ASKED, headers=as_user("alice"))
            assert started.status_code == 202, started.text
            return ended(http, started.json()["id"])
    finally:
        workers.stop()


def test_a_backtest_on_the_server_gives_code_what_the_settings_say(
    runner: SmallRunner, database: Database, store: PgStore
) -> None:
    store.market.store(SERIES, some_candles())
    told = [figures(runner, database, store, Limits(memory=megabytes << 20)) for megabytes in (256, 32)]
    assert ["strategy_error" in json.dumps(each) for each in told] == [False, True]


@pytest.mark.parametrize(("megabytes", "code"), [("256", 0), ("32", 1)])
def test_the_command_line_gives_code_what_the_settings_say(
    megabytes: str,
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "held.py"
    file.write_text(CODE)
    monkeypatch.setenv("SANDBOX_MEMORY_MB", megabytes)
    assert main(["strategy", "check", str(file), "--json"]) == code
    said = json.loads(capsys.readouterr().out)
    assert ("memory" in json.dumps(said.get("errors", []))) is bool(code)
