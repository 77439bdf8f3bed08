"""The page outside a demo: signed in by a token that stays in its tab."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from core.run import RunCommand
from facade.access import SESSION_COOKIE
from schema.pg import PgStore
from tests.facade.page_world import page_app, seed, served
from tests.facade.test_pages import WAIT_MS, browser
from tests.facade.world import SmallRunner, token_of

__all__ = ["browser"]


@pytest.fixture
def address(runner: SmallRunner, store: PgStore) -> Iterator[str]:
    seed(store)
    with served(page_app(runner)) as address:
        yield address


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    context = browser.new_context()
    context.set_default_timeout(WAIT_MS)
    opened = context.new_page()
    opened.goto(address)
    yield opened
    context.close()


def sign_in(page: Page, token: str) -> None:
    page.locator("#sign-in-token").fill(token)
    page.get_by_role("button", name="Sign in").click()


def expect_seen(page: Page) -> None:
    expect(page.locator("#stream-state")).to_have_text("live", timeout=WAIT_MS)
    expect(page.locator("#runs-body")).to_contain_text("alice", timeout=WAIT_MS)


def test_a_token_is_asked_for_until_an_administrators_is_given(page: Page) -> None:
    expect(page.locator("#sign-in")).to_be_visible()
    page.keyboard.press("Escape")
    for token, why in (("nonsense", "not valid"), (token_of("alice"), "for administrators")):
        sign_in(page, token)
        expect(page.locator("#sign-in-text")).to_contain_text(why)
        expect(page.locator("#sign-in-token")).to_have_value("")
    sign_in(page, f"Bearer {token_of('root', admin=True)}")
    expect_seen(page)
    expect(page.locator("#sign-in")).to_be_hidden()


def test_the_token_stays_in_its_tab_and_goes_when_signing_out(page: Page) -> None:
    token = token_of("root", admin=True)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    sign_in(page, token)
    expect_seen(page)
    assert not [url for url in asked if token[:20] in url]
    assert [each for each in page.context.cookies() if each["name"] == SESSION_COOKIE] == []
    assert page.evaluate("localStorage.length") == 0
    page.reload()
    expect_seen(page)
    another = page.context.new_page()
    another.goto(page.url)
    expect(another.locator("#sign-in")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("#sign-in")).to_be_visible()
    assert page.evaluate("sessionStorage.length") == 0


def test_events_are_heard_as_they_come_and_a_cut_stream_resumes(page: Page, store: PgStore) -> None:
    sign_in(page, token_of("root", admin=True))
    expect_seen(page)
    run = next(each for each in store.runs() if each.user_id == "alice")
    store.command(run.id, RunCommand.PAUSE, by="test")
    expect(page.locator("#events li").first).to_contain_text("paused", timeout=WAIT_MS)
    page.route("**/api/events/stream*", lambda route: route.abort())
    page.context.set_offline(True)
    page.context.set_offline(False)
    page.unroute("**/api/events/stream*")
    store.command(run.id, RunCommand.STOP, by="test")
    expect(page.locator("#events li").first).to_contain_text("stopped", timeout=WAIT_MS)


def test_any_user_signs_in_to_the_page_of_strategies_and_sees_their_own_runs(
    page: Page, address: str
) -> None:
    """I12: alice's run, and nobody else's."""
    page.goto(f"{address}strategies")
    sign_in(page, token_of("alice"))
    expect(page.locator("#code")).not_to_have_value("")
    expect(page.locator("#own-body tr")).to_have_count(1)
    expect(page.locator("#trades-body")).to_contain_text("long")
    expect(page.locator("#market-body")).to_contain_text("Nobody has published a strategy yet.")
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("#sign-in")).to_be_visible()
