"""Strategies and runs over HTTP: created, listed, shown and moved by their owner, invisible to others."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from starlette.testclient import TestClient

from core.ids import AccountId, RunId, UserId
from schema.pg import PgStore
from schema.records import Account
from tests.facade.world import ADMIN, SmallRunner, as_user, client_of, go_live, make_settings

ALICE, BOB = as_user("alice"), as_user("bob")
NOBODYS = "00000000-0000-0000-0000-0000000000aa"
FLAT = {
    "exchange_connection_id": None,
    "symbol": "btc/usdt:usdt",
    "timeframe": "5",
    "direction": "long",
    "leverage": 2,
    "margin_mode": "isolated",
    "position_mode": "one_way",
    "order_size_pct": "50",
    "initial_capital_usdt": 2500,
    "take_profit_pct": 4.5,
    "stop_loss_pct": None,
    "trailing_callback_pct": 1.5,
    "trailing_activation_pct": "0.25",
    "missing_stop": "close",
    "strategy_template": "rsi_oversold_overbought",
    "strategy_params": {"rsi_period": 7},
}


def camel(body: dict[str, Any]) -> dict[str, Any]:
    def spelled(name: str) -> str:
        first, *rest = name.split("_")
        return first + "".join(part.capitalize() for part in rest)

    return {spelled(name): value for name, value in body.items()}


@pytest.mark.parametrize("body", [FLAT, camel(FLAT)], ids=["snake_case", "camelCase"])
def test_the_flat_body_makes_strategy_draft_run_and_paper_portfolio(
    client: TestClient, runner: SmallRunner, store: PgStore, body: dict[str, Any]
) -> None:
    answer = client.post("/api/strategies", json=body, headers=ALICE)
    assert answer.status_code == 201
    created = answer.json()
    assert created["strategy"]["symbol"] == "BTCUSDT"
    assert created["strategy"]["timeframe"] == "5m"
    assert created["strategy"]["params"]["rsi_period"] == 7
    run = created["run"]
    assert (run["status"], run["tradingMode"], run["direction"], run["leverage"]) == (
        "draft",
        "paper",
        "long",
        2,
    )
    assert (run["orderSizePct"], run["takeProfitPct"], run["stopLossPct"]) == ("50", "4.5", None)
    assert (run["trailingCallbackPct"], run["trailingActivationPct"]) == ("1.5", "0.25")
    assert run["missingStop"] == "close"
    assert run["initialCapitalUsdt"] == "2500"
    portfolio = store.account(AccountId(run["accountId"]))
    assert portfolio is not None
    assert (portfolio.user_id, portfolio.balance) == ("alice", 2500)
    assert runner.hints == 1


def test_a_strategy_names_whose_candles_it_decides_on_and_its_paper_account_follows_them(
    client: TestClient, store: PgStore
) -> None:
    for given, venue in (({}, "binance"), ({"venue": "bybit"}, "bybit")):
        created = client.post("/api/strategies", json={**FLAT, **given}, headers=ALICE).json()
        assert created["strategy"]["venue"] == venue
        run = store.run(RunId(UUID(created["run"]["id"])))
        portfolio = store.account(AccountId(UUID(created["run"]["accountId"])))
        assert run is not None
        assert portfolio is not None
        assert run.strategy.venue == portfolio.venue == venue


def test_go_live_protects_a_position_unless_told_otherwise(client: TestClient) -> None:
    run = go_live(client, "alice")["run"]
    assert (run["takeProfitPct"], run["stopLossPct"]) == ("3", "1.5")
    assert (run["trailingCallbackPct"], run["missingStop"]) == (None, "repair")


def test_the_operators_data_points_are_what_a_squeezeflow_begins_with(
    client: TestClient, runner: SmallRunner
) -> None:
    configured = client_of(runner, make_settings(MIN_DATA_POINTS="700"))
    body = {"symbol": "BTCUSDT", "timeframe": "5m", "strategyTemplate": "squeezeflow"}
    plain = client.post("/api/strategies", json=body, headers=ALICE).json()["strategy"]
    made = configured.post("/api/strategies", json=body, headers=ALICE).json()["strategy"]
    given = configured.post(
        "/api/strategies", json={**body, "strategyParams": {"min_data_points": 600}}, headers=ALICE
    ).json()["strategy"]
    assert [each["params"]["min_data_points"] for each in (plain, made, given)] == [500, 700, 600]
    other = configured.post(
        "/api/strategies", json={**body, "strategyTemplate": "macd"}, headers=ALICE
    ).json()["id"]
    changed = configured.patch(
        f"/api/strategies/{other}", json={"strategyTemplate": "squeezeflow"}, headers=ALICE
    )
    assert changed.json()["params"]["min_data_points"] == 700


def test_a_strategy_alone_has_no_run(client: TestClient) -> None:
    body = {"symbol": "ETHUSDT", "timeframe": "1h", "strategyTemplate": "ema_cross", "name": "Mine"}
    created = client.post("/api/strategies", json=body, headers=ALICE).json()
    assert "run" in created
    assert created["run"] is None
    listed = client.get("/api/strategies", headers=ALICE).json()["strategies"]
    assert [(each["name"], each["own"], each["runs"]) for each in listed] == [("Mine", True, [])]
    answer = client.post(f"/api/strategies/{created['id']}/start", headers=ALICE)
    assert (answer.status_code, answer.json()["code"]) == (409, "NO_RUN")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"symbol": "BTC-USDT"}, "BTC-USDT"),
        ({"timeframe": "7m"}, "7m"),
        ({"venue": "kraken"}, "venue"),
        ({"strategy_template": "magic"}, "magic"),
        ({"strategy_params": {"rsi_period": 1_000_000}}, "rsi_period"),
        ({"strategy_params": {"nope": 1}}, "nope"),
        ({"strategy_params": {"rsi_period": "x"}}, "rsi_period"),
        ({"leverage": 0}, "leverage"),
        ({"leverage": 1.5}, "leverage"),
        ({"leverage": True}, "leverage"),
        ({"order_size_pct": 0}, "orderSizePct"),
        ({"order_size_pct": 100.01}, "orderSizePct"),
        ({"order_size_pct": "NaN"}, "orderSizePct"),
        ({"initial_capital_usdt": -5}, "initialCapitalUsdt"),
        ({"initial_capital_usdt": "Infinity"}, "initialCapitalUsdt"),
        ({"initial_capital_usdt": "1e30"}, "initialCapitalUsdt"),
        ({"initial_capital_usdt": "1.0000000000000001"}, "initialCapitalUsdt"),
        ({"stop_loss_pct": 0}, "stopLossPct"),
        ({"trailing_callback_pct": 0}, "trailingCallbackPct"),
        ({"trailing_callback_pct": 10.1}, "trailingCallbackPct"),
        ({"trailing_callback_pct": 1.55}, "trailingCallbackPct"),
        ({"trailing_callback_pct": "NaN"}, "trailingCallbackPct"),
        ({"trailing_callback_pct": None}, "trailingActivationPct"),
        ({"trailing_activation_pct": -1}, "trailingActivationPct"),
        ({"trailing_activation_pct": 100}, "trailingActivationPct"),
        ({"missing_stop": "ignore"}, "missingStop"),
        ({"direction": "sideways"}, "direction"),
        ({"margin_mode": "both"}, "marginMode"),
        ({"name": "a\u0000b"}, "name"),
        ({"name": ""}, "name"),
        ({"orderSizePct": 5}, "orderSizePct"),
        ({"wings": 2}, "wings"),
        ({"user_id": "bob"}, "userId"),
        ({"exchange_connection_id": "x"}, "exchangeConnectionId"),
    ],
)
def test_a_body_that_cannot_be_is_400_and_makes_nothing(
    client: TestClient, change: dict[str, Any], named: str
) -> None:
    answer = client.post("/api/strategies", json={**FLAT, **change}, headers=ALICE)
    assert answer.status_code == 400, answer.text
    assert named in answer.json()["error"]
    assert client.get("/api/strategies", headers=ALICE).json()["strategies"] == []


def test_a_connection_of_somebody_else_is_404(client: TestClient, store: PgStore) -> None:
    """I12: a run's money is its own user's."""
    foreign = go_live(client, "bob")["run"]["accountId"]
    for account in (foreign, NOBODYS):
        body = {**FLAT, "exchange_connection_id": account}
        assert client.post("/api/strategies", json=body, headers=ALICE).status_code == 404
    assert store.runs(user_id=UserId("alice")) == []


def test_the_same_symbol_twice_on_one_account_is_409(client: TestClient) -> None:
    account = go_live(client, "alice")["run"]["accountId"]
    body = {**FLAT, "exchange_connection_id": account}
    answer = client.post("/api/strategies", json=body, headers=ALICE)
    assert (answer.status_code, answer.json()["code"]) == (409, "CONFLICT")


READS = ["/api/strategies/{strategy}", "/api/runs/{run}", "/api/runs/{run}/stream"]
WRITES = [
    *(f"/api/{kind}/{{{one}}}/{verb}" for kind, one in (("strategies", "strategy"), ("runs", "run"))
      for verb in ("start", "pause", "resume", "stop", "execute-tick")),
]  # fmt: skip


def test_what_is_somebody_elses_is_404_like_what_is_not(client: TestClient) -> None:
    """I12: foreign ids and unknown ids answer alike, on every path, and change nothing."""
    created = go_live(client, "alice")
    ids = {"strategy": created["id"], "run": created["runId"]}
    for names in (ids, {"strategy": NOBODYS, "run": NOBODYS}):
        answers = [client.get(path.format(**names), headers=BOB) for path in READS]
        answers += [client.post(path.format(**names), headers=BOB) for path in WRITES]
        for path in ("/api/strategies/{strategy}/status", "/api/runs/{run}/status"):
            answers.append(client.put(path.format(**names), json={"status": "active"}, headers=BOB))
        assert {answer.status_code for answer in answers} == {404}
        assert {answer.json()["error"] for answer in answers} == {
            "There is nothing here, or it is not yours."
        }
    assert client.get("/api/strategies", headers=BOB).json()["strategies"] == []
    assert client.get(f"/api/runs/{ids['run']}", headers=ALICE).json()["run"]["status"] == "draft"
    assert client.get(f"/api/runs/{ids['run']}", headers=ADMIN).status_code == 200


def test_a_run_goes_through_its_statuses_by_verb(client: TestClient) -> None:
    created = go_live(client, "alice")
    for base in (f"/api/strategies/{created['id']}", f"/api/runs/{created['runId']}"):
        for verb, status in (
            ("start", "active"),
            ("start", "active"),
            ("pause", "paused"),
            ("resume", "active"),
            ("stop", "stopped"),
            ("stop", "stopped"),
        ):
            answer = client.post(f"{base}/{verb}", headers=ALICE)
            assert (answer.status_code, answer.json()["status"]) == (200, status)
            assert answer.json()["tradingMode"] == "paper"
        answer = client.post(f"{base}/pause", headers=ALICE)
        assert (answer.status_code, answer.json()["code"]) == (409, "ILLEGAL_STATE")
    events = client.get(f"/api/strategies/{created['id']}", headers=ALICE).json()["events"]
    assert [event["seq"] for event in events] == list(range(8, 0, -1))


def test_a_draft_cannot_be_paused_and_stays_one(client: TestClient) -> None:
    created = go_live(client, "alice")
    answer = client.put(f"/api/strategies/{created['id']}/status", json={"status": "paused"}, headers=ALICE)
    assert answer.status_code == 409
    assert client.get(f"/api/strategies/{created['id']}", headers=ALICE).json()["status"] == "draft"


@pytest.mark.parametrize(
    ("body", "code"),
    [({"symbol": "DOGEUSDT"}, "SYMBOL_NOT_ALLOWED"), ({"leverage": 11}, "LEVERAGE_TOO_HIGH")],
)
def test_the_preflight_refuses_with_422(client: TestClient, body: dict[str, Any], code: str) -> None:
    """I15: whitelisted symbol, leverage within bounds."""
    created = go_live(client, "alice", **body)
    answer = client.post(f"/api/runs/{created['runId']}/start", headers=ALICE)
    assert (answer.status_code, answer.json()["code"]) == (422, code)


def test_nothing_is_activated_under_a_kill_switch(client: TestClient, store: PgStore) -> None:
    created = go_live(client, "alice")
    run = store.run(RunId(created["runId"]))
    assert run is not None
    assert run.account_id is not None
    store.set_kill_switch(on=True, reason="drill", account_id=run.account_id)
    answer = client.post(f"/api/runs/{run.id}/start", headers=ALICE)
    assert (answer.status_code, answer.json()["code"]) == (422, "ACCOUNT_KILL_SWITCH")
    store.set_kill_switch(on=True, reason="drill")
    answer = client.put(f"/api/strategies/{created['id']}/status", json={"status": "active"}, headers=ALICE)
    assert (answer.status_code, answer.json()["code"]) == (423, "KILL_SWITCH")
    assert "drill" in answer.json()["error"]


def test_a_disabled_runner_starts_nothing_but_stops_and_shows(
    client: TestClient, runner: SmallRunner
) -> None:
    created = go_live(client, "alice")
    client.post(f"/api/runs/{created['runId']}/start", headers=ALICE)
    disabled = client_of(runner, make_settings(ENABLE_STRATEGY_RUNNER="false"))
    for verb in ("start", "resume", "execute-tick"):
        answer = disabled.post(f"/api/runs/{created['runId']}/{verb}", headers=ALICE)
        assert (answer.status_code, answer.json()["code"]) == (503, "RUNNER_DISABLED")
    assert disabled.get("/api/strategies", headers=ALICE).status_code == 200
    assert disabled.post(f"/api/runs/{created['runId']}/stop", headers=ALICE).json()["status"] == "stopped"


def test_several_runs_of_a_strategy_are_named_for_the_caller_to_choose(
    client: TestClient, store: PgStore
) -> None:
    created = go_live(client, "alice")
    first = store.run(RunId(created["runId"]))
    assert first is not None
    from msgspec.structs import replace

    account = Account(id=AccountId(first.id), user_id=first.user_id, name="second")
    store.create_account(account)
    store.create_run(replace(first, id=RunId(first.strategy.id), account_id=account.id))
    answer = client.post(f"/api/strategies/{created['id']}/start", headers=ALICE)
    assert (answer.status_code, answer.json()["code"]) == (409, "SEVERAL_RUNS")
    assert {each["id"] for each in answer.json()["details"]} == {str(first.id), str(first.strategy.id)}


def test_the_detail_holds_what_clients_rely_on(client: TestClient) -> None:
    created = go_live(client, "alice")
    client.post(f"/api/runs/{created['runId']}/start", headers=ALICE)
    client.post(f"/api/runs/{created['runId']}/execute-tick", headers=ALICE)
    shown = client.get(f"/api/strategies/{created['id']}", headers=ALICE).json()
    fields = (
        "name description type visibility subscriberCount tradingMode status errorMessage lastRunAt lastSignalAt "
        "nextSlotAt totalExecutions avgExecutionTimeMs paperPnlUsd paperPositionsCount events"
    )
    assert set(fields.split()) <= set(shown)
    assert (shown["status"], shown["tradingMode"], shown["visibility"]) == ("active", "paper", "private")
    assert shown["nextSlotAt"] == "2026-03-10T12:05:00Z"
    assert shown["lastRunAt"].startswith("2026-03-10T12:00:00")


def test_a_list_is_paged_by_an_opaque_cursor(client: TestClient) -> None:
    made = [go_live(client, "alice", name=f"n{number}")["id"] for number in range(5)]
    seen: list[str] = []
    cursor = None
    for _ in range(3):
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = client.get("/api/strategies", params=params, headers=ALICE).json()
        seen += [each["id"] for each in page["strategies"]]
        cursor = page["nextCursor"]
    assert cursor is None
    assert sorted(seen) == sorted(made)


def test_without_a_model_nothing_is_converted(client: TestClient) -> None:
    answer = client.post("/api/convert", json={"source": "study('x')"}, headers=ALICE)
    assert (answer.status_code, answer.json()["code"]) == (503, "CONVERTER_NOT_CONFIGURED")
