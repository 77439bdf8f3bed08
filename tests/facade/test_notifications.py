"""Notifications over HTTP: where a user is told of what, with a signing secret that is shown once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from core.ids import UserId
from schema.pg import PgStore
from tests.facade.world import SmallRunner, as_user, client_of, make_settings
from tests.schema.test_vault import master, vault_of

ANN, BOB = as_user("ann"), as_user("bob")
PATH = "/api/notifications"
HOOK = "https://hooks.example.com/ann?key=1"
VAULT = vault_of(master("m1", 1))


@pytest.fixture
def http(runner: SmallRunner) -> Iterator[TestClient]:
    settings = make_settings(SMTP_URL="smtp://mail.example?from=bot@example.com")
    with client_of(runner, settings, vault=VAULT) as opened:
        yield opened


def put(http: TestClient, **body: Any) -> Any:
    return http.put(PATH, json=body, headers=ANN)


def test_nothing_is_told_before_it_is_asked_for(http: TestClient) -> None:
    answer = http.get(PATH, headers=ANN).json()
    assert (answer["webhookUrl"], answer["email"], answer["on"], answer["deliveries"]) == (None, None, [], [])


def test_the_signing_secret_is_shown_once_and_another_after_a_rotation(
    http: TestClient, store: PgStore
) -> None:
    first = put(http, webhookUrl=HOOK, on=["fill", "pause"])
    assert first.status_code == 200, first.text
    assert first.headers["Cache-Control"] == "no-store"
    secret = first.json()["secret"]
    assert len(secret) >= 40
    sealed = store.notices.settings(UserId("ann")).sealed
    assert sealed is not None
    assert VAULT.open(sealed).secret.reveal() == secret
    shown = http.get(PATH, headers=ANN)
    assert (shown.json()["webhookUrl"], shown.json()["on"]) == (HOOK, ["pause", "fill"])
    assert (shown.json()["secret"], secret in shown.text) == (None, False)
    assert put(http, webhookUrl=HOOK, email="ann@example.com").json()["secret"] is None
    assert put(http, webhookUrl=HOOK, rotateSecret=True).json()["secret"] not in (None, secret)


def test_what_is_left_out_is_no_longer_told(http: TestClient) -> None:
    put(http, webhookUrl=HOOK, email="ann@example.com", on=["fill"])
    answer = put(http, on=[]).json()
    assert (answer["webhookUrl"], answer["email"], answer["on"]) == (None, None, [])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"webhookUrl": "http://example.com/"}, "webhookUrl"),
        ({"webhookUrl": "https://127.0.0.1/"}, "webhookUrl"),
        ({"webhookUrl": "https://169.254.169.254/latest"}, "webhookUrl"),
        ({"webhookUrl": "https://user:pw@example.com/"}, "webhookUrl"),
        ({"email": "ann"}, "email"),
        ({"email": "ann@example.com\r\nBcc: x@example.com"}, "email"),
        ({"on": ["alert"]}, "on[0]"),
        ({"on": ["weather"]}, "on[0]"),
    ],
)
def test_what_cannot_be_told_is_named_by_its_field(
    http: TestClient, body: dict[str, Any], field: str
) -> None:
    refusal = put(http, **body)
    assert refusal.status_code == 400, refusal.text
    assert refusal.json()["details"][0]["field"] == field


def test_without_a_mail_server_or_master_keys_it_is_said(runner: SmallRunner) -> None:
    with client_of(runner) as bare:
        mail, hook = put(bare, email="ann@example.com"), put(bare, webhookUrl=HOOK)
    assert (mail.status_code, mail.json()["code"]) == (422, "EMAIL_NOT_CONFIGURED")
    assert (hook.status_code, hook.json()["code"]) == (422, "WEBHOOKS_NOT_CONFIGURED")


def test_i12_a_users_settings_are_his_own(http: TestClient) -> None:
    put(http, webhookUrl=HOOK)
    assert http.get(PATH, headers=BOB).json()["webhookUrl"] is None
    assert http.get(PATH).status_code == 401
