"""Portfolios over HTTP: paper accounts and, in the same form, connections, with curve, round trips and positions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from starlette.testclient import TestClient

from core.ids import AccountId, UserId
from core.run import RunCommand
from schema.pg import PgStore
from schema.records import Account, AccountKind
from tests.facade.world import START, as_user, go_live
from tests.schema.conftest import Database

ANN, BOB = as_user("ann"), as_user("bob")


def added(client: TestClient, **more: Any) -> Any:
    answer = client.post("/api/portfolios", json={"name": "first"} | more, headers=ANN)
    assert answer.status_code == 201, answer.text
    return answer.json()["portfolio"]


def test_a_portfolio_begins_with_its_bankroll_and_keeps_its_terms(client: TestClient) -> None:
    portfolio = added(client, bankrollUsdt="2500", slippagePct="0.01")
    assert (portfolio["mode"], portfolio["venue"], portfolio["killSwitch"]) == ("paper", "binance", False)
    assert (portfolio["bankrollUsdt"], portfolio["balanceUsdt"], portfolio["slippagePct"]) == (
        "2500",
        "2500",
        "0.01",
    )
    path = f"/api/portfolios/{portfolio['id']}"
    shown = client.get(path, headers=ANN).json()
    assert shown["portfolio"] == portfolio
    assert shown["totals"] == {
        "trades": 0,
        "won": 0,
        "winRatePct": None,
        "realizedPnlUsdt": "0",
        "feesUsdt": "0",
    }
    assert client.patch(path, json={"name": "second"}, headers=ANN).json()["portfolio"]["name"] == "second"
    assert client.patch(path, json={"slippagePct": "1"}, headers=ANN).status_code == 400
    assert client.get(path, headers=ANN).headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"bankrollUsdt": "99.99"}, "bankrollUsdt"),
        ({"bankrollUsdt": "1000000.01"}, "bankrollUsdt"),
        ({"bankrollUsdt": "NaN"}, "bankrollUsdt"),
        ({"takerFeePct": "-1"}, "takerFeePct"),
        ({"slippagePct": "6"}, "slippagePct"),
        ({"maxLeverage": 0}, "maxLeverage"),
        ({"venue": "kraken"}, "venue"),
        ({"name": ""}, "name"),
        ({"balanceUsdt": "1"}, "balanceUsdt"),
    ],
)
def test_bad_input_is_named_by_its_field(client: TestClient, change: dict[str, object], field: str) -> None:
    refusal = client.post("/api/portfolios", json={"name": "x"} | change, headers=ANN)
    assert refusal.status_code == 400, refusal.text
    assert refusal.json()["details"][0]["field"] == field


def test_the_list_has_paper_and_live_in_one_form_newest_first(client: TestClient, store: PgStore) -> None:
    paper = [added(client, name=f"paper {n}")["id"] for n in range(3)]
    connection = Account(
        id=AccountId(uuid4()), user_id=UserId("ann"), name="main", kind=AccountKind.CONNECTION, venue="bybit"
    )
    store.create_account(connection)

    def listed(query: str = "") -> list[Any]:
        return list(client.get(f"/api/portfolios{query}", headers=ANN).json()["portfolios"])

    assert {each["id"] for each in listed("?mode=paper")} == set(paper)
    (live,) = listed("?mode=live")
    assert (live["mode"], live["venue"], live["bankrollUsdt"]) == ("live", "bybit", None)
    whole = listed()
    assert len(whole) == 4
    assert set(whole[0]) == set(live)
    first = client.get("/api/portfolios?limit=3", headers=ANN).json()
    second = client.get(f"/api/portfolios?limit=3&cursor={first['nextCursor']}", headers=ANN).json()
    assert first["portfolios"] + second["portfolios"] == whole
    assert second["nextCursor"] is None


def test_a_portfolio_in_use_is_kept_and_one_with_a_history_is_closed_not_forgotten(
    client: TestClient, store: PgStore
) -> None:
    run_id = UUID(go_live(client, "ann")["runId"])
    run = store.run(run_id)  # type: ignore[arg-type]
    assert run is not None
    path = f"/api/portfolios/{run.account_id}"
    assert client.delete(path, headers=ANN).status_code == 409
    store.command(run.id, RunCommand.ARCHIVE, by="test")
    assert client.delete(path, headers=ANN).status_code == 200
    assert client.get(path, headers=ANN).status_code == 404
    assert store.account(run.account_id) is not None  # type: ignore[arg-type]
    unused = added(client)["id"]
    assert client.delete(f"/api/portfolios/{unused}", headers=ANN).status_code == 200
    assert store.account(AccountId(UUID(unused))) is None


def test_i12_what_is_somebody_elses_is_not_there(client: TestClient) -> None:
    own = added(client)["id"]
    assert client.get("/api/portfolios", headers=BOB).json()["portfolios"] == []
    for path in (own, str(uuid4()), "no-id"):
        answers = [
            client.get(f"/api/portfolios/{path}", headers=BOB),
            client.patch(f"/api/portfolios/{path}", json={"name": "mine"}, headers=BOB),
            client.delete(f"/api/portfolios/{path}", headers=BOB),
            client.get(f"/api/portfolios/{path}/equity", headers=BOB),
            client.get(f"/api/portfolios/{path}/trades", headers=BOB),
            client.get(f"/api/portfolios/{path}/positions", headers=BOB),
        ]
        assert [answer.status_code for answer in answers] == [404] * 6
        assert len({answer.json()["error"] for answer in answers}) == 1
    assert client.get(f"/api/portfolios/{own}", headers=ANN).json()["portfolio"]["name"] == "first"


def test_a_connection_is_no_portfolio_to_rename_or_remove(client: TestClient, store: PgStore) -> None:
    connection = Account(
        id=AccountId(uuid4()), user_id=UserId("ann"), name="main", kind=AccountKind.CONNECTION, venue="bybit"
    )
    store.create_account(connection)
    path = f"/api/portfolios/{connection.id}"
    assert client.get(path, headers=ANN).status_code == 200
    assert client.patch(path, json={"name": "x"}, headers=ANN).status_code == 404
    assert client.delete(path, headers=ANN).status_code == 404


@pytest.fixture
def traded(client: TestClient, store: PgStore, database: Database) -> AccountId:
    """A portfolio with seven points of its curve, two of them at one moment, and three round trips."""
    run = store.run(UUID(go_live(client, "ann")["runId"]))  # type: ignore[arg-type]
    assert run is not None
    with psycopg.connect(database.owner_dsn) as connection:
        for number in range(7):
            at = START + timedelta(minutes=max(1, number))
            connection.execute(
                "INSERT INTO equity_points (account_id, at, balance) VALUES (%s, %s, %s)",
                [run.account_id, at, Decimal(1000 + number)],
            )
        for number, pnl in enumerate((5, -2, Decimal("0.5"))):
            connection.execute(
                "INSERT INTO trades (run_id, user_id, account_id, symbol, side, quantity, entry_time, entry_price,"
                " exit_time, exit_price, fees, funding, pnl, exit_reason)"
                " VALUES (%s, 'ann', %s, 'BTCUSDT', 'long', 1, %s, 100, %s, 101, 0.1, 0, %s, 'signal')",
                [run.id, run.account_id, START, START + timedelta(minutes=number), pnl],
            )
    assert run.account_id is not None
    return run.account_id


def test_the_curve_is_read_in_pages_without_losing_a_point(client: TestClient, traded: AccountId) -> None:
    path, seen, cursor = f"/api/portfolios/{traded}/equity?limit=2", [], ""
    while cursor is not None:
        page = client.get(f"{path}{cursor and '&cursor=' + cursor}", headers=ANN).json()
        seen += [point["balanceUsdt"] for point in page["points"]]
        cursor = page["nextCursor"]
    assert seen == [str(1000 + number) for number in reversed(range(7))]
    since = (START + timedelta(minutes=5)).astimezone(UTC).isoformat().replace("+00:00", "Z")
    late = client.get(f"/api/portfolios/{traded}/equity?since={since}", headers=ANN).json()["points"]
    assert [datetime.fromisoformat(point["at"]).minute for point in late] == [6, 5]


def test_round_trips_come_newest_first_with_what_they_sum_up_to(
    client: TestClient, traded: AccountId
) -> None:
    first = client.get(f"/api/portfolios/{traded}/trades?limit=2", headers=ANN).json()
    rest = client.get(
        f"/api/portfolios/{traded}/trades?limit=2&cursor={first['nextCursor']}", headers=ANN
    ).json()
    assert [each["pnlUsdt"] for each in first["trades"] + rest["trades"]] == ["0.5", "-2", "5"]
    assert rest["nextCursor"] is None
    totals = client.get(f"/api/portfolios/{traded}", headers=ANN).json()["totals"]
    assert (totals["trades"], totals["won"], totals["winRatePct"]) == (3, 2, 66.67)
    assert (totals["realizedPnlUsdt"], totals["feesUsdt"]) == ("3.5", "0.3")


def test_a_cursor_of_somebody_elses_making_is_refused(client: TestClient, traded: AccountId) -> None:
    for cursor in (
        "x",
        "MjAyNi0wMy0xMFQxMjowMDowMCswMDowMHxmZmZmZmZmZi1mZmZmLWZmZmYtZmZmZi1mZmZmZmZmZmZmZmY=",
    ):
        refusal = client.get(f"/api/portfolios/{traded}/equity?cursor={cursor}", headers=ANN)
        assert refusal.status_code == 400
