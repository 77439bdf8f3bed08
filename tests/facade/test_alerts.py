"""Alerts over HTTP: the operator's list, open ones or all, in pages."""

from __future__ import annotations

from decimal import Decimal

from starlette.testclient import TestClient

from core.alerts import Thresholds
from core.ids import UserId
from schema.ops import ResumeUser, SimulateTrade
from schema.pg import PgStore
from tests.facade.world import ADMIN, as_user


def test_the_operator_reads_what_is_wrong_and_what_was(client: TestClient, store: PgStore) -> None:
    for user in ("ann", "bob", "cid"):
        store.settle([SimulateTrade(user_id=UserId(user), delta=Decimal(-50))])
    store.alerts.look(Thresholds())
    store.settle([ResumeUser(user_id=UserId("bob"), by=UserId("root"))])
    store.alerts.look(Thresholds())
    whole = client.get("/api/alerts", headers=ADMIN).json()["alerts"]
    assert [(each["kind"], each["subject"], each["clearedAt"] is None) for each in whole] == [
        ("daily_loss", "cid", True),
        ("daily_loss", "bob", False),
        ("daily_loss", "ann", True),
    ]
    first = client.get("/api/alerts?open=true&limit=1", headers=ADMIN).json()
    rest = client.get(f"/api/alerts?open=true&limit=1&cursor={first['nextCursor']}", headers=ADMIN).json()
    assert [each["subject"] for each in first["alerts"] + rest["alerts"]] == ["cid", "ann"]
    assert rest["nextCursor"] is None
    assert client.get("/api/alerts", headers=as_user("ann")).status_code == 403
