"""The page: its document's policy, and what a real browser makes of it."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import get_args, get_type_hints

import msgspec
import pytest
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright
from starlette.testclient import TestClient

from actors.demo import VISITORS
from core.ids import UserId
from core.run import Run, RunStatus
from facade.access import SESSION_COOKIE
from facade.routes.pages import CHART_STYLE_HASH, STATIC
from facade.schemas.demo import ActAs
from schema.ops import SimulateTrade
from schema.pg import PgStore
from schema.records import Ask, LostAsk, SlotReport, TickSource, TickStatus
from tests.facade.page_world import page_app, seed, served
from tests.facade.world import BASE_URL, START, WORKER, SmallRunner
from tests.schema.pg_world import make_run, tick_of

CHARTS = STATIC / "vendor" / "lightweight-charts" / "lightweight-charts.standalone.production.js"
WAIT_MS = 15_000
BROWSER_ARGS = ["--no-sandbox", "--disable-background-networking", "--disable-dev-shm-usage"]
UNKIND = "<img src=x onerror=alert(1)><script>alert(2)</script>"


# -- the document -----------------------------------------------------------------------------------


def document(runner: SmallRunner, address: str = "127.0.0.1") -> TestClient:
    return TestClient(page_app(runner), base_url=BASE_URL, client=(address, 50_000))


@pytest.fixture
def demo(store: PgStore) -> SmallRunner:
    return SmallRunner(store, demo=True)


@pytest.mark.parametrize("path", ["/", "/strategies"])
def test_the_document_holds_no_script_no_style_and_no_address_of_its_own(
    demo: SmallRunner, path: str
) -> None:
    answer = document(demo).get(path)
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "script-src 'self';" in policy
    assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son[a-z]+=", answer.text)
    loaded = re.findall(r'(?:src|<link[^>]*href)="([^"]*)"', answer.text)
    assert loaded
    assert all(path.startswith("/static/") for path in loaded)


def test_the_one_style_the_policy_names_is_that_of_the_charts_attribution() -> None:
    style = re.search(r'createElement\("style"\),this\.\w+\.innerText="([^"]*)"', CHARTS.read_text())
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"sha256-{digest}" == CHART_STYLE_HASH


def test_the_demos_document_logs_in_on_this_machine_only(demo: SmallRunner) -> None:
    """Decision 32."""
    here = document(demo).get("/")
    cookie = here.headers["set-cookie"]
    assert cookie.startswith(f"{SESSION_COOKIE}=")
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert here.headers["cache-control"] == "no-store"
    assert "set-cookie" not in document(demo, "192.0.2.7").get("/").headers


def test_outside_a_demo_nobody_is_logged_in(runner: SmallRunner) -> None:
    for path in ("/", "/strategies"):
        assert "set-cookie" not in document(runner).get(path).headers


def test_whoever_looks_at_a_demo_acts_as_one_of_its_users_on_this_machine_only(
    demo: SmallRunner, runner: SmallRunner
) -> None:
    """Decision 32; as users, who are no operators."""
    assert get_args(get_type_hints(ActAs)["user"]) == VISITORS
    asked = {"user": VISITORS[1]}
    here = document(demo).post("/api/demo/act-as", json=asked)
    headers = {"Authorization": f"Bearer {here.json()['token']}"}
    assert document(demo).get("/api/risk", headers=headers).json()["userId"] == VISITORS[1]
    assert document(demo).get("/api/runner/actors", headers=headers).status_code == 403
    elsewhere = document(demo, "192.0.2.7").post("/api/demo/act-as", json=asked)
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (403, "LOOPBACK_ONLY")
    assert document(demo).post("/api/demo/act-as", json={"user": "alice"}).status_code == 400
    assert document(runner).post("/api/demo/act-as", json=asked).status_code == 404


def test_the_page_of_strategies_asks_for_a_token_outside_a_demo_and_offers_what_is_traded_here(
    runner: SmallRunner,
) -> None:
    shown = document(runner).get("/strategies").text
    assert 'id="sign-in"' in shown
    assert 'id="acting"' not in shown
    assert all(f"<option>{symbol}</option>" in shown for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT"))


def test_files_are_asked_about_again_and_nothing_else_is_served(demo: SmallRunner) -> None:
    client = document(demo)
    script = client.get("/static/page/main.js")
    assert script.headers["cache-control"] == "no-cache"
    again = client.get("/static/page/main.js", headers={"If-None-Match": script.headers["etag"]})
    assert again.status_code == 304
    assert client.get("/favicon.ico").headers["content-type"] == "image/svg+xml"
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static/page/none.js", "/static/"):
        assert client.get(path).status_code == 404


# -- in a browser -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=BROWSER_ARGS)
        yield opened
        opened.close()


class Visit:
    """A page in a window of its own, and everything its console complained about."""

    def __init__(self, browser: Browser, address: str, *, width: int = 1440, dark: bool = False) -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light"
        )
        self.context.set_default_timeout(WAIT_MS)
        self.complaints: list[str] = []
        self.page: Page = self.context.new_page()
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(address)

    def _heard(self, message: object) -> None:
        kind = getattr(message, "type", "")
        if kind in ("error", "warning"):
            self.complaints.append(f"{kind}: {getattr(message, 'text', '')}")

    def settled(self) -> Page:
        """Once everything has been drawn and the stream is open."""
        expect(self.page.locator("#stream-state")).to_have_text("live", timeout=WAIT_MS)
        expect(self.page.locator("#health-text")).to_have_text("healthy", timeout=WAIT_MS)
        expect(self.page.locator("#chart canvas").first).to_be_visible(timeout=WAIT_MS)
        return self.page


@pytest.fixture
def runs(store: PgStore) -> dict[str, Run]:
    return seed(store)


@pytest.fixture
def address(demo: SmallRunner, runs: dict[str, Run]) -> Iterator[str]:
    with served(page_app(demo)) as address:
        yield address


@pytest.mark.requires_chromium
@pytest.mark.parametrize(
    ("width", "dark"), [(1440, False), (1440, True), (1024, False), (390, False), (360, True)]
)
def test_the_page_is_whole_at_every_width_without_a_complaint(
    browser: Browser, address: str, tmp_path: Path, width: int, dark: bool
) -> None:
    visit = Visit(browser, address, width=width, dark=dark)
    page = visit.settled()
    expect(page.locator("#runs-body tr")).to_have_count(3)
    expect(page.locator("#risk-body tr")).to_have_count(3)
    expect(page.locator("#ticks-body tr")).to_have_count(1)
    expect(page.locator("#positions-body tr")).to_have_count(1)
    expect(page.locator("#actors li")).to_have_count(3)
    expect(page.locator("#origin")).to_have_text("generated (seed 7)")
    expect(page.locator("#risk-body")).to_contain_text("the daily loss reached 50 USDT")
    expect(page.locator("#tv-attr-logo")).to_be_visible()
    page.screenshot(path=tmp_path / f"{width}{'-dark' if dark else ''}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert visit.complaints == []
    visit.context.close()


@pytest.mark.requires_chromium
def test_a_runs_ticks_tell_who_asked_first_how_late_who_lost_and_why_slots_were_missed(
    browser: Browser, address: str, store: PgStore, runs: dict[str, Run]
) -> None:
    """The trigger ledger of the run on the chart."""
    alice, slot = runs["alice"], START + timedelta(minutes=5)
    early = Ask(slot=slot, source=TickSource.TIMER, at=slot - timedelta(milliseconds=1_998))
    late = Ask(slot=slot, source=TickSource.CRON, at=slot + timedelta(milliseconds=1_250))
    [claim] = store.claim([alice.id], slot=slot, owner=WORKER, ttl_s=120, ask=early)
    won = msgspec.structs.replace(tick_of(alice, claim.fence, slot), source=early.source, asked_at=early.at)
    missed = msgspec.structs.replace(
        tick_of(alice, 0, slot - timedelta(minutes=1), signal=None), status=TickStatus.MISSED, reason="down"
    )
    lost = LostAsk(ask=late, node="node-2", run_ids=(alice.id,))
    store.report(SlotReport(ticks=(won, missed), lost=(lost,)))
    visit = Visit(browser, address)
    page = visit.settled()
    page.locator(f'#runs-body tr[data-key="{alice.id}"]').locator("button.link").click()
    rows = page.locator("#ticks-body tr")
    expect(page.locator("#ticks-note")).to_contain_text("alice")
    expect(rows).to_have_count(3)
    expect(rows.nth(0).locator("td")).to_have_text(
        ["12:05:00", "ok", "hold", "timer −1,998 ms", "cron +1,250 ms12:05:01 on node-2"]
    )
    expect(rows.nth(1).locator("td")).to_have_text(["12:04:00", "missed: down", "–", "nobody", "–"])
    assert visit.complaints == []
    visit.context.close()


@pytest.mark.requires_chromium
def test_an_event_that_happens_now_appears(browser: Browser, address: str, store: PgStore) -> None:
    visit = Visit(browser, address)
    page = visit.settled()
    store.settle([SimulateTrade(user_id=UserId("alice"), delta=Decimal("12.34"))])
    newest = page.locator("#events li").first
    expect(newest).to_contain_text("Closed")
    expect(newest).to_contain_text("+12.34 USDT")
    expect(page.locator('#risk-body tr[data-key="alice"]')).to_contain_text("+12.30")
    assert visit.complaints == []
    visit.context.close()


@pytest.mark.requires_chromium
def test_a_run_is_paused_and_resumed_from_the_keyboard(
    browser: Browser, address: str, store: PgStore, runs: dict[str, Run]
) -> None:
    visit = Visit(browser, address)
    page = visit.settled()
    alice = runs["alice"].id
    shown = page.locator(f'#runs-body tr[data-key="{alice}"]')
    shown.get_by_role("button", name="Pause").focus()
    page.keyboard.press("Enter")
    expect(shown.locator(".chip").first).to_have_text("paused")
    paused = store.run(alice)
    assert paused is not None
    assert paused.status is RunStatus.PAUSED
    shown.get_by_role("button", name="Resume").click()
    expect(shown.locator(".chip").first).to_have_text("active")
    assert visit.complaints == []
    visit.context.close()


@pytest.mark.requires_chromium
def test_the_markets_clock_is_paused_and_given_another_speed(
    browser: Browser, address: str, demo: SmallRunner
) -> None:
    visit = Visit(browser, address)
    page = visit.settled()
    page.get_by_role("button", name="300 times real speed").click()
    expect(page.get_by_role("button", name="300 times real speed")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Let market time stand still").click()
    expect(page.get_by_role("button", name="Let market time run")).to_be_visible()
    expect(page.locator("#market-date")).to_contain_text("paused")
    clock = demo.demo_clock()
    assert clock is not None
    assert (clock.time().speed, clock.time().paused) == (300.0, True)
    visit.context.close()


@pytest.mark.requires_chromium
def test_the_kill_switch_asks_first(browser: Browser, address: str, store: PgStore) -> None:
    """I8: what it says is what the database says."""
    visit = Visit(browser, address)
    page = visit.settled()
    switch = page.locator("#kill-switch")
    switch.click()
    page.get_by_role("button", name="Cancel").click()
    assert not store.platform().kill_switch
    switch.click()
    page.get_by_role("button", name="Turn it on").click()
    expect(switch).to_have_text("Kill switch is on")
    assert store.platform().kill_switch
    expect(page.locator("#events li").first).to_contain_text("Kill switch on")
    visit.context.close()


@pytest.mark.requires_chromium
def test_what_users_write_never_becomes_markup(browser: Browser, demo: SmallRunner, store: PgStore) -> None:
    make_run(store, UNKIND, name=UNKIND)
    store.set_kill_switch(on=True, reason=UNKIND)
    with served(page_app(demo)) as address:
        visit = Visit(browser, address)
        page = visit.settled()
        expect(page.locator("#runs-body")).to_contain_text(UNKIND)
        expect(page.locator("#events li").first).to_contain_text(UNKIND)
        assert page.locator("main img, main script").count() == 0
        assert visit.complaints == []
        visit.context.close()


@pytest.mark.requires_chromium
def test_a_page_says_when_nobody_answers_and_comes_back_by_itself_without_a_gap(
    browser: Browser, demo: SmallRunner, store: PgStore, runs: dict[str, Run]
) -> None:
    with ExitStack() as first:
        address = first.enter_context(served(page_app(demo)))
        visit = Visit(browser, address)
        page = visit.settled()
        shown = page.locator("#events li").count()
        first.close()
        expect(page.locator("#health-text")).to_have_text("disconnected")
        expect(page.locator("#banner")).to_contain_text("cannot be reached")
        expect(page.locator("#runs-body tr")).to_have_count(3)
    store.settle([SimulateTrade(user_id=UserId("carol"), delta=Decimal("12.34"))])
    port = int(address.rstrip("/").rsplit(":", 1)[1])
    with served(page_app(demo), port):
        page = visit.settled()
        expect(page.locator("#banner")).to_be_hidden()
        expect(page.locator("#events li")).to_have_count(shown + 1)
        visit.context.close()


@pytest.mark.requires_chromium
def test_an_event_between_the_first_list_and_the_stream_is_not_lost(
    browser: Browser, address: str, store: PgStore
) -> None:
    visit = Visit(browser, address)
    visit.settled()

    def listed(route: Route) -> None:
        answer = route.fetch()
        store.settle([SimulateTrade(user_id=UserId("carol"), delta=Decimal("6.78"))])
        route.fulfill(response=answer)

    visit.page.route("**/api/overview/events", listed)
    visit.page.reload()
    expect(visit.settled().locator("#events li").first).to_contain_text("+6.78 USDT")
    visit.context.close()


@pytest.mark.requires_chromium
def test_a_session_that_ran_out_is_renewed_without_a_word(browser: Browser, address: str) -> None:
    visit = Visit(browser, address)
    visit.settled()
    visit.context.clear_cookies()
    with visit.page.expect_response(lambda answer: answer.url.endswith("/api/demo/login")) as renewed:
        pass
    assert renewed.value.ok
    with visit.page.expect_response(lambda answer: answer.url.endswith("/api/overview")) as after:
        pass
    assert after.value.ok
    expect(visit.page.locator("#health-text")).to_have_text("healthy")
    visit.context.close()
