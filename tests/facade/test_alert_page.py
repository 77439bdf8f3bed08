"""An alert's key from the page of strategies to a signal, over HTTP, in a real browser."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import httpx
import pytest
from playwright.sync_api import Page, expect

from core.ids import RunId
from core.signal import Action
from schema.pg import PgStore
from tests.facade.test_sign_in import address, browser, page, sign_in
from tests.facade.world import SmallRunner, as_user, token_of

__all__ = ["address", "browser", "page"]


def post(address: str, text: str) -> tuple[int, dict[str, Any]]:
    """As a chart service does: the text of the alert to the address, and nothing else."""
    headers = {"Content-Type": "text/plain; charset=utf-8"}
    with httpx.Client(trust_env=False, timeout=10) as service:
        answer = service.post(address, content=text, headers=headers)
    return answer.status_code, answer.json()


@pytest.mark.requires_chromium
def test_a_key_is_made_on_the_page_and_what_it_shows_is_pasted_as_it_stands(
    page: Page, address: str, runner: SmallRunner, store: PgStore
) -> None:
    """Over HTTP, from the page's button to the run's signal; the key is shown once."""
    with httpx.Client(trust_env=False, timeout=10, base_url=address, headers=as_user("alice")) as api:
        body = {
            "type": "external",
            "symbol": "ETHUSDT",
            "timeframe": "5m",
            "name": "chart",
            "autoStart": True,
        }
        deployed = api.post("/api/strategies/deploy", json=body)
    assert deployed.status_code == 201, deployed.text
    page.goto(f"{address}strategies")
    sign_in(page, token_of("alice"))
    page.get_by_role("button", name="Alerts for chart").click()
    expect(page.locator("#alert-key-state")).to_contain_text("There is no key yet")
    page.get_by_role("button", name="Make a key").click()
    expect(page.locator("#alert-key-once")).to_be_visible()
    url, text = page.locator("#alert-address").input_value(), page.locator("#alert-message").input_value()
    assert url == f"{address}api/alerts"
    fired = text.replace("{{timenow}}", runner.now.isoformat())
    assert [post(url, fired)[1]["repeated"] for _ in range(2)] == [False, True]
    [due] = store.signals_due([RunId(UUID(deployed.json()["runId"]))])
    assert due.signal.sent.signal.action is Action.LONG
    page.get_by_role("button", name="Close").click()
    page.get_by_role("button", name="Alerts for chart").click()
    expect(page.locator("#alert-key-state")).to_contain_text("There is a key, made on")
    assert json.loads(text)["key"] not in page.content()
    assert page.locator("#alert-message").input_value() == ""
    page.get_by_role("button", name="End the key").click()
    expect(page.locator("#alert-key-state")).to_contain_text("There is no key yet")
    assert post(url, fired)[0] == 401
