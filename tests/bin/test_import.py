"""`import legacy` between two real databases: both layouts, once or twice, or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace

from bin.commands.main import main
from core.run import RunStatus, TradingMode
from schema.desk import ReviseStrategy
from schema.pg import PgStore
from tests.schema.conftest import Database
from tests.schema.pg_world import START, open_store, stand_at

BOTS = """
CREATE TABLE bots (id serial PRIMARY KEY, user_id uuid NOT NULL, name text, strategy_template text,
                   strategy_params jsonb,
                   symbol text, timeframe text, order_size_pct numeric, initial_capital_usdt numeric, leverage int,
                   stop_loss_pct numeric, is_active boolean, exchange_connection_id uuid);
INSERT INTO bots (user_id, name, strategy_template, strategy_params, symbol, timeframe, order_size_pct,
                  initial_capital_usdt, leverage, stop_loss_pct, is_active, exchange_connection_id) VALUES
 ('00000000-0000-0000-0000-00000000000a', 'mine', 'rsi', '{"rsi_period": 14}', 'btcusdt', '5', 12.5, 2500, 3, 1.5, true,
  '00000000-0000-0000-0000-0000000000c1'),
 ('00000000-0000-0000-0000-00000000000b', 'too', 'rsi_oversold_overbought', '{}', 'BTC/USDT', '5m', 50, 100, 1, NULL,
  false, NULL),
 ('00000000-0000-0000-0000-00000000000a', 'doge', 'macd', NULL, 'DOGE_USDT', '1h', NULL, NULL, NULL, NULL, true, NULL),
 ('00000000-0000-0000-0000-00000000000b', 'code', 'python', '{}', 'BTCUSDT', '5m', 50, 100, 1, NULL, true, NULL);
"""
DEFINITIONS = """
CREATE TABLE strategies (id uuid PRIMARY KEY, owner_id text, name text, strategy_type text, config jsonb, status text);
CREATE TABLE subscriptions (id uuid PRIMARY KEY, strategy_id uuid REFERENCES strategies, user_id text, capital numeric,
                            leverage int, is_active boolean);
INSERT INTO strategies VALUES
 ('00000000-0000-0000-0000-000000000001', 'ann', 'Trend', 'sma', '
  {"symbol": "ETHUSDT", "interval": "1D", "period": 50}', 'running'),
 ('00000000-0000-0000-0000-000000000002', 'ann', 'Rest', 'sma', '{"symbol": "ETHUSDT", "interval": "1h"}', 'inactive');
INSERT INTO subscriptions VALUES
 ('00000000-0000-0000-0000-000000000011', '00000000-0000-0000-0000-000000000001', 'bob', 500, 2, true),
 ('00000000-0000-0000-0000-000000000012', '00000000-0000-0000-0000-000000000001', 'cid', 700, 1, false),
 ('00000000-0000-0000-0000-000000000013', '00000000-0000-0000-0000-000000000002', 'bob', 500, 2, true);
"""


@pytest.fixture
def store(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[PgStore]:
    monkeypatch.setenv("DATABASE_URL", database.service_dsn)
    store = open_store(database.service_dsn)
    yield store
    store.close()


def fill(source: Database, statements: str) -> None:
    with psycopg.connect(source.owner_dsn) as connection:
        connection.execute(statements.encode())


def imported(capsys: pytest.CaptureFixture[str], source: Database, *options: str) -> Any:
    code = main(["import", "legacy", "--from", source.owner_dsn, "--name", "old", "--json", *options])
    shown = capsys.readouterr()
    assert code == 0, shown.err
    return json.loads(shown.out)


def everything(store: PgStore) -> tuple[Any, ...]:
    return store.runs(), store.events(limit=1_000)


def test_bots_become_paper_runs_on_shared_strategies_that_do_not_trade_by_themselves(
    store: PgStore, empty_database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(empty_database, BOTS)
    document = imported(capsys, empty_database)
    assert [each["row"] for each in document["refused"]] == ["bots 4"]
    assert "There is no template 'python'" in document["refused"][0]["reason"]
    runs = {run.settings.capital: run for run in store.runs()}
    ann, bob, doge = runs[2_500], runs[100], runs[10_000]
    assert ann.strategy == bob.strategy
    assert (ann.strategy.owner_id, doge.strategy.owner_id) == ("platform", ann.user_id)
    assert [run.status for run in (ann, bob, doge)] == [RunStatus.DRAFT, RunStatus.PAUSED, RunStatus.DRAFT]
    assert {run.trading_mode for run in runs.values()} == {TradingMode.PAPER}
    assert (str(ann.settings.order_size_pct), ann.settings.leverage, str(ann.settings.stop_loss_pct)) == (
        "12.5",
        3,
        "1.5",
    )
    account = store.account(ann.account_id) if ann.account_id is not None else None
    assert account is not None
    assert (account.user_id, account.balance) == (ann.user_id, 2_500)


def test_subscriptions_follow_their_definition_whose_owner_stays(
    store: PgStore, empty_database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(empty_database, DEFINITIONS)
    document = imported(capsys, empty_database, "--activate")
    assert {each["owner"] for each in document["strategies"]} == {"ann"}
    found = {(run.user_id, run.strategy.timeframe.value): run.status for run in store.runs()}
    assert found == {
        ("bob", "1d"): RunStatus.ACTIVE,
        ("cid", "1d"): RunStatus.PAUSED,
        ("bob", "1h"): RunStatus.PAUSED,
    }
    created = [event for event in store.events(limit=100) if event.type == "subscription.created"]
    assert len(created) == 3


@pytest.mark.parametrize("statements", [BOTS, DEFINITIONS])
def test_importing_again_changes_nothing(
    store: PgStore, empty_database: Database, capsys: pytest.CaptureFixture[str], statements: str
) -> None:
    fill(empty_database, statements)
    first = imported(capsys, empty_database, "--activate")
    before = everything(store)
    again = imported(capsys, empty_database, "--activate")
    assert everything(store) == before
    assert not any(each["new"] for each in (*again["strategies"], *again["runs"]))
    assert len(again["runs"]) == len(first["runs"])


def test_a_dry_run_shows_the_plan_and_writes_nothing(
    store: PgStore, empty_database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(empty_database, BOTS)
    before = everything(store)
    assert main(["import", "legacy", "--from", empty_database.owner_dsn, "--dry-run"]) == 0
    shown = capsys.readouterr()
    assert "bots 1" in shown.out
    assert "Would import 2 strategies and 3 runs" in shown.out
    assert "Not taken over: bots 4" in shown.err
    assert everything(store) == before == ([], [])


def test_activation_goes_through_the_preflight(
    store: PgStore, empty_database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    """Drafts of an earlier import are started too; a symbol that is not allowed here keeps its run a draft."""
    fill(empty_database, BOTS)
    imported(capsys, empty_database)
    runs = {each["row"]: each for each in imported(capsys, empty_database, "--activate")["runs"]}
    assert {row: each["status"] for row, each in runs.items()} == {
        "bots 1": "active",
        "bots 2": "paused",
        "bots 3": "draft",
    }
    assert "DOGEUSDT is not among the symbols allowed here" in runs["bots 3"]["note"]


def test_a_new_row_never_joins_a_strategy_that_was_edited_meanwhile(
    store: PgStore, empty_database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_at(store, START)
    fill(empty_database, DEFINITIONS)
    imported(capsys, empty_database)
    strategy = next(run.strategy for run in store.runs() if run.strategy.timeframe.value == "1d")
    store.arrange(ReviseStrategy(definition=replace(strategy, version=2, parameters={"period": 60})))
    fill(
        empty_database,
        "INSERT INTO subscriptions VALUES ('00000000-0000-0000-0000-000000000014', "
        "'00000000-0000-0000-0000-000000000001', 'dan', 500, 2, true)",
    )
    document = imported(capsys, empty_database)
    assert [each["row"] for each in document["refused"]] == [
        "subscriptions 00000000-0000-0000-0000-000000000014"
    ]
    assert len(store.runs()) == 3


def test_nothing_is_half_done(
    store: PgStore, database: Database, empty_database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    """One run is refused by the database: those before it are taken back too (I11)."""
    fill(empty_database, BOTS)
    with psycopg.connect(database.owner_dsn) as connection:
        connection.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'no room for %', NEW.symbol; END $$"
        )
        connection.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON strategy_runs FOR EACH ROW WHEN (NEW.symbol = 'DOGEUSDT') "
            "EXECUTE FUNCTION refuse()"
        )
    assert main(["import", "legacy", "--from", empty_database.owner_dsn]) == 1
    capsys.readouterr()
    assert everything(store) == ([], [])


def test_an_unknown_layout_is_refused_naming_what_was_looked_for(
    store: PgStore, empty_database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(empty_database, "CREATE TABLE accounts (id int)")
    assert main(["import", "legacy", "--from", empty_database.owner_dsn]) == 1
    shown = capsys.readouterr().err
    assert "Looked for bots" in shown
    assert "Tables there are: accounts." in shown


def test_the_services_own_database_is_no_older_deployment(
    store: PgStore, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["import", "legacy", "--from", database.owner_dsn]) == 1
    assert "No table here" in capsys.readouterr().err


def test_a_source_that_is_away_is_refused_without_its_password(
    store: PgStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["import", "legacy", "--from", "postgresql://old:hunter2@127.0.0.1:1/old"]) == 1
    shown = capsys.readouterr()
    assert "cannot be read" in shown.err
    assert "hunter2" not in shown.err + shown.out
