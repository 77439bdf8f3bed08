"""Subscriptions: a run on somebody else's strategy, with money and settings of one's own."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from core.ids import RunId
from core.order import Leg
from schema.pg import PgStore
from tests.facade.test_deployments import NOBODYS, strategy_of
from tests.facade.world import SmallRunner, as_user
from tests.schema.conformance.world import World

ALICE, BOB, EVE = as_user("alice"), as_user("bob"), as_user("eve")
LIST = "/api/strategies/subscriptions"
TERMS = {
    "capital": 1000,
    "riskPct": 1,
    "leverage": 3,
    "direction": "long",
    "takeProfitPct": 4,
    "stopLossPct": 2,
}


def subscribed(client: TestClient, strategy: str, headers: dict[str, str] = BOB, **body: Any) -> Any:
    answer = client.post(f"/api/strategies/{strategy}/subscribe", json={**TERMS, **body}, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_a_subscription_has_its_own_money_and_terms_and_ticks_from_now_on(
    client: TestClient, store: PgStore
) -> None:
    strategy = strategy_of(client, visibility="public")
    made = subscribed(client, strategy)
    shown = made["subscription"]
    assert (shown["id"], shown["userId"], shown["status"]) == (made["id"], "bob", "active")
    assert (shown["capital"], shown["riskPct"], shown["leverage"], shown["sizeBy"]) == (
        "1000",
        "1",
        3,
        "risk",
    )
    assert (shown["direction"], shown["takeProfitPct"], shown["stopLossPct"]) == ("long", "4", "2")
    assert shown["nextSlotAt"] == "2026-03-10T12:05:00Z"
    types = [event.type for event in store.events(run_id=RunId(shown["id"]))]
    assert types == ["subscription.created", "run.status"]
    detail = client.get(f"/api/strategies/{strategy}", headers=ALICE).json()
    assert (detail["subscriberCount"], detail["runs"]) == (1, [])
    assert client.get(f"/api/strategies/{strategy}", headers=BOB).json()["runs"][0]["id"] == made["id"]


def test_the_list_holds_the_callers_own_and_is_paged(client: TestClient) -> None:
    strategy = strategy_of(client, visibility="marketplace")
    mine = [subscribed(client, strategy)["id"] for _ in range(3)]
    subscribed(client, strategy, EVE)
    subscribed(client, strategy, ALICE)
    seen, cursor = [], None
    for _ in range(2):
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = client.get(LIST, params=params, headers=BOB).json()
        seen += [each["id"] for each in page["subscriptions"]]
        cursor = page["nextCursor"]
    assert cursor is None
    assert seen == mine[::-1] or sorted(seen) == sorted(mine)  # made at one standing instant of market time
    assert len(client.get(LIST, headers=ALICE).json()["subscriptions"]) == 1


def test_terms_are_changed_at_the_version_that_was_seen(client: TestClient) -> None:
    subscription = subscribed(client, strategy_of(client, visibility="public"))["id"]
    path = f"{LIST}/{subscription}"
    tag = client.get(path, headers=BOB).headers["ETag"]
    changed = client.put(path, json={"capital": 50, "stopLossPct": 1}, headers={**BOB, "If-Match": tag})
    assert changed.status_code == 200, changed.text
    shown = changed.json()["subscription"]
    assert (shown["capital"], shown["stopLossPct"], shown["takeProfitPct"], shown["leverage"]) == (
        "50",
        "1",
        "4",
        3,
    )
    assert changed.headers["ETag"] != tag
    stale = client.put(path, json={"capital": 60}, headers={**BOB, "If-Match": tag})
    assert (stale.status_code, stale.json()["code"]) == (409, "CONFLICT")
    assert client.put(path, json={"capital": 70}, headers=BOB).json()["subscription"]["capital"] == "70"
    sized = client.put(path, json={"riskPct": None, "orderSizePct": 25}, headers=BOB).json()["subscription"]
    assert (sized["sizeBy"], sized["riskPct"], sized["orderSizePct"]) == ("percent", None, "25")


@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        ({"leverage": 11}, 422, "leverage"),
        ({"leverage": 0}, 400, "leverage"),
        ({"capital": 0}, 400, "capital"),
        ({"riskPct": 101}, 400, "riskPct"),
        ({"stopLossPct": None}, 400, "riskPct"),
        ({"connectionId": NOBODYS}, 400, "connectionId"),
        ({"symbol": "ETHUSDT"}, 400, "symbol"),
    ],
)
def test_terms_that_cannot_be_change_nothing(
    client: TestClient, body: dict[str, Any], status: int, named: str
) -> None:
    """I15: leverage within bounds, whatever the run does."""
    path = f"{LIST}/{subscribed(client, strategy_of(client, visibility='public'))['id']}"
    before = client.get(path, headers=BOB).json()["subscription"]
    answer = client.put(path, json=body, headers=BOB)
    assert answer.status_code == status, answer.text
    assert named in answer.json()["error"]
    assert client.get(path, headers=BOB).json()["subscription"] == before


def test_it_is_paused_and_resumed_with_events_of_its_own(client: TestClient, store: PgStore) -> None:
    id_ = subscribed(client, strategy_of(client, visibility="public"))["id"]
    for verb, status in (
        ("pause", "paused"),
        ("pause", "paused"),
        ("resume", "active"),
        ("resume", "active"),
    ):
        answer = client.post(f"{LIST}/{id_}/{verb}", headers=BOB)
        assert (answer.status_code, answer.json()["status"]) == (200, status)
    told = [event.type for event in store.events(run_id=RunId(id_)) if event.type.startswith("subscription")]
    assert told == ["subscription.created", "subscription.paused", "subscription.resumed"]


def test_the_last_one_gone_leaves_nothing_to_evaluate(client: TestClient, store: PgStore) -> None:
    """First subscriber in, evaluation starts; last out, it stops: only active runs are claimed."""
    strategy = strategy_of(client, visibility="public")
    assert store.runs(statuses=["active"]) == []  # type: ignore[list-item]
    one, two = subscribed(client, strategy)["id"], subscribed(client, strategy, EVE)["id"]
    for subscription, headers, left in ((one, BOB, 1), (two, EVE, 0)):
        answer = client.delete(f"{LIST}/{subscription}", headers=headers)
        assert (answer.status_code, answer.json()["subscription"]["status"]) == (200, "archived")
        shown = client.get(f"/api/strategies/{strategy}", headers=ALICE).json()
        assert shown["subscriberCount"] == left
    assert store.runs(statuses=["active"]) == []  # type: ignore[list-item]
    assert client.get(LIST, headers=BOB).json()["subscriptions"] == []
    assert client.get("/api/strategies", headers=BOB).json()["strategies"] == []
    types = [event.type for event in store.events(run_id=RunId(one))]
    assert types.count("subscription.cancelled") == 1


def test_a_private_strategy_and_foreign_subscriptions_are_not_there(client: TestClient) -> None:
    """I12: foreign ids answer like ids that never were."""
    private, public = strategy_of(client), strategy_of(client, visibility="public")
    theirs = subscribed(client, public)["id"]
    for strategy in (private, NOBODYS):
        assert (
            client.post(f"/api/strategies/{strategy}/subscribe", json=TERMS, headers=BOB).status_code == 404
        )
    for subscription in (theirs, NOBODYS):
        path = f"{LIST}/{subscription}"
        answers = [
            client.get(path, headers=EVE),
            client.put(path, json={}, headers=EVE),
            client.delete(path, headers=EVE),
            client.post(f"{path}/pause", headers=EVE),
            client.post(f"{path}/resume", headers=EVE),
        ]
        assert {answer.status_code for answer in answers} == {404}
        assert {answer.json()["error"] for answer in answers} == {
            "There is nothing here, or it is not yours."
        }
    assert client.get(f"{LIST}/{theirs}", headers=BOB).json()["subscription"]["status"] == "active"


def test_a_repeat_under_the_same_key_subscribes_once(client: TestClient) -> None:
    strategy = strategy_of(client, visibility="public")
    headers = {**BOB, "Idempotency-Key": "subscribe-0001"}
    made = {subscribed(client, strategy, headers)["id"] for _ in range(2)}
    assert len(made) == 1


def test_cancelled_with_its_position_it_is_stopped_closed_and_archived(
    client: TestClient, world: World, runner: SmallRunner
) -> None:
    """Closed reduce-only by a request to whoever follows the account; archived once that has been filled."""
    run = world.run("alice")
    fence = world.held(run)
    path = f"{LIST}/{run.id}"
    for _ in range(2):
        shown = client.delete(path, params={"closePositions": "true"}, headers=ALICE).json()["subscription"]
        assert (shown["status"], shown["ending"]) == ("stopped", True)
    [asked] = runner.flattens.open()
    assert (asked.run_id, asked.asked_by, asked.by_operator) == (run.id, "alice", False)
    order = world.committed(run, fence, leg=Leg.FLATTEN)
    assert order.reduce_only
    world.filled(order, "100")
    assert world.store.archive_ended() == [run.id]
    assert client.get(path, headers=ALICE).json()["subscription"]["status"] == "archived"


def test_cancelled_with_an_entry_on_its_way_what_that_opens_is_to_be_closed_too(
    client: TestClient, world: World, runner: SmallRunner
) -> None:
    """Nothing is open yet when it is asked; the entry's intent is committed, and its order may be at the venue."""
    run = world.run("alice")
    entry = world.committed(run, world.claim(run).fence)
    path = f"{LIST}/{run.id}"
    assert client.delete(path, params={"closePositions": "true"}, headers=ALICE).status_code == 200
    [asked] = runner.flattens.open()
    assert (asked.run_id, asked.symbol, asked.by_operator) == (run.id, entry.symbol, False)
    assert world.store.archive_ended() == []
    other = world.run("bob")
    world.committed(other, world.claim(other).fence)
    assert client.delete(f"{LIST}/{other.id}", headers=as_user("bob")).status_code == 200
    assert [each.run_id for each in runner.flattens.open()] == [run.id]


def test_without_being_asked_it_closes_nothing(client: TestClient, world: World, runner: SmallRunner) -> None:
    run = world.run("alice")
    world.held(run)
    shown = client.delete(f"{LIST}/{run.id}", headers=ALICE).json()["subscription"]
    assert (shown["status"], shown["ending"]) == ("stopped", True)
    assert runner.flattens.open() == []


def test_a_kill_switch_keeps_a_user_from_closing_and_the_run_as_it_is(
    client: TestClient, world: World, runner: SmallRunner
) -> None:
    """The switch blocks exits too; only an operator has positions closed past it."""
    run = world.run("alice")
    world.held(run)
    for account, status in ((run.account_id, 422), (None, 423)):
        world.store.set_kill_switch(on=True, reason="drill", account_id=account)
        answer = client.delete(f"{LIST}/{run.id}", params={"closePositions": "true"}, headers=ALICE)
        assert answer.status_code == status
    assert runner.flattens.open() == []
    assert client.get(f"{LIST}/{run.id}", headers=ALICE).json()["subscription"]["status"] == "active"
