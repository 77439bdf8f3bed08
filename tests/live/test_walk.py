"""A new user's walk: a strategy pasted with a mistake, mended, backtested, deployed, subscribed to by somebody else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import expect, sync_playwright

from bin.commands.main import main
from tests.live.process import Serving, folder, until

pytestmark = pytest.mark.live

WAIT_MS = 15_000
MENDED = '''"""Long for two minutes, out for two: it trades at every fourth slot."""

import talib


def strategy(context):
    average = talib.SMA(context.candles.close, 20)[-1]
    action = "long" if context.slot.minute % 4 < 2 else "exit_long"
    return {"action": action, "reason": f"{context.slot:%H:%M}", "indicators": {"sma": average}}
'''
MISTAKEN = MENDED.replace("context.candles", "contxt.candles")
LINE = 7


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    with folder() as made:
        started = Serving(made, "--demo", "--speed", "120")
        try:
            yield started.ready()
        finally:
            started.close()


class User:
    """Somebody with a token, as the README says one is made."""

    def __init__(self, serving: Serving, token: str) -> None:
        self._client = serving.client
        self._headers = {"Authorization": f"Bearer {token}"}

    def ask(self, method: str, path: str, expected: int = 200, **body: Any) -> Any:
        answer = self._client.request(method, path, headers=self._headers, **body)
        assert answer.status_code == expected, answer.text
        return answer.json() if "json" in answer.headers["content-type"] else answer.text


@pytest.fixture
def user_of(
    serving: Serving, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], User]:
    def named(name: str) -> User:
        monkeypatch.setenv("RUNNER_DATA_DIR", str(serving.data_dir))
        capsys.readouterr()
        assert main(["token", "--user", name]) == 0
        return User(serving, capsys.readouterr().out.strip())

    return named


def test_a_strategy_is_mended_backtested_deployed_and_subscribed_to(user_of: Callable[[str], User]) -> None:
    """I12: each sees their own; decision 16: one evaluation for both."""
    ann, ben = user_of("ann"), user_of("ben")

    wrong = ann.ask("POST", "/api/strategies/validate", json={"code": MISTAKEN})
    [error] = wrong["errors"]
    assert (wrong["ok"], error["line"]) == (False, LINE)
    assert error["message"] == "NameError: name 'contxt' is not defined"
    assert error["hint"] == "Is context meant?"
    refused = ann.ask(
        "POST", "/api/strategies/deploy", 422, json={"code": MISTAKEN, "symbol": "BTCUSDT", "timeframe": "1m"}
    )
    assert refused["code"] == "CODE_INVALID"
    assert f"line {LINE}: NameError" in refused["error"]
    assert ann.ask("POST", "/api/strategies/validate", json={"code": MENDED})["ok"]

    made = {"code": MENDED, "symbol": "BTCUSDT", "timeframe": "1m", "direction": "long"}
    trial = ann.ask("POST", "/api/backtests", 202, json=made | {"timeframe": "15m", "gates": False})["id"]
    told = until(lambda: done(ann, trial), "the backtest ends")
    job = told["backtest"]["job"]
    assert (job["state"], job["done"]) == ("done", job["total"])
    assert told["candles"] >= 6 * 96, "a demo's backtest has the days before its first minute"
    assert len(ann.ask("GET", f"/api/backtests/{trial}/chart")["times"]) == told["candles"]
    assert ann.ask("GET", f"/api/backtests/{trial}/report").startswith("<!doctype html>")
    ben.ask("GET", f"/api/backtests/{trial}/report", 404)

    deployed = ann.ask(
        "POST",
        "/api/strategies/deploy",
        201,
        json=made | {"name": "By the clock", "visibility": "public", "autoStart": True},
    )
    [listed] = [
        each for each in ben.ask("GET", "/api/marketplace")["strategies"] if each["name"] == "By the clock"
    ]
    assert (listed["own"], listed["record"]["activeRuns"]) == (False, 1)
    subscription = ben.ask(
        "POST", f"/api/strategies/{listed['id']}/subscribe", 201, json={"capital": "500", "direction": "long"}
    )["id"]

    runs = ((ann, deployed["runId"]), (ben, subscription))
    traded = [until(lambda: trades_of(*each), "both trade")[-1] for each in runs]  # noqa: B023
    assert {trade["side"] for trade in traded} == {"long"}
    sizes = [float(trade["quantity"]) for trade in traded]
    assert sizes[0] > 10 * sizes[1] > 0, "each trades their own capital"
    both = until(lambda: shared(*runs), "both have ticked twice")
    assert all(one == other for one, other in both)
    assert both[-1][0]["runsReached"] == 2
    ben.ask("GET", f"/api/runs/{deployed['runId']}/trades", 404)


def shared(*runs: tuple[User, str]) -> list[tuple[Any, Any]] | None:
    """What both were told of the slots in which both ticked, oldest first; None before there are two."""
    ours, theirs = (
        {
            each["slot"]: each["evaluation"]
            for each in user.ask("GET", f"/api/runs/{run}/executions")["executions"]
        }
        for user, run in runs
    )
    found = [(ours[slot], theirs[slot]) for slot in sorted(ours.keys() & theirs.keys())]
    return found if len(found) >= 2 else None


def trades_of(user: User, run: str) -> Any:
    return user.ask("GET", f"/api/runs/{run}/trades")["trades"]


def done(user: User, trial: str) -> Any:
    told = user.ask("GET", f"/api/backtests/{trial}?waitSec=5")
    return told if told["backtest"]["job"]["finishedAt"] is not None else None


@pytest.mark.requires_chromium
def test_the_page_is_walked_from_an_error_to_a_subscription(serving: Serving, chromium: str) -> None:
    """Errors beside their line; then a backtest with its charts, a run that ticks and trades, and a second user's."""
    name = "By the clock, on the page"
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(WAIT_MS)
        page.on(
            "console",
            lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None,
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(str(serving.client.base_url.join("/strategies")))
        code, said = page.locator("#code"), page.locator("#said")
        expect(code).not_to_have_value("")
        expect(page.locator("#examples option")).to_have_count(11)

        code.fill(MISTAKEN)
        code.press("Control+Enter")
        expect(said).to_contain_text("NameError: name 'contxt' is not defined")
        expect(said).to_contain_text("Is context meant?")
        expect(page.locator("#marks .why")).to_contain_text("NameError")
        expect(page.locator("#lines [data-wrong]")).to_have_text([str(LINE)])
        said.get_by_role("button", name=f"Line {LINE}").press("Enter")
        expect(code).to_be_focused()
        code.fill(MENDED.replace("20)", "21)"))  # its own content, so that its evaluations are its own
        expect(page.locator("#marks .why")).to_have_count(0)
        page.get_by_role("button", name="Check").press("Enter")
        expect(said).to_contain_text("It runs.")

        page.locator("#timeframe").select_option("15m")
        page.get_by_role("button", name="Backtest").click()
        expect(page.locator("#result-figures")).to_contain_text("Drawdown", timeout=2 * WAIT_MS)
        for box in ("#result-chart canvas", "#result-equity canvas"):
            expect(page.locator(box).first).to_be_visible()
        with page.expect_download() as saved:
            page.get_by_role("button", name="Save the full report").click()
        assert saved.value.path().read_text().startswith("<!doctype html>")

        page.locator("#timeframe").select_option("1m")
        page.locator("#name").fill(name)
        page.locator("#publish").check()
        page.get_by_role("button", name="Deploy on paper").click()
        own = page.locator("#own-body tr").filter(has_text=name)
        expect(own).to_contain_text("active")
        expect(page.locator("#trades-body")).to_contain_text("long", timeout=WAIT_MS)
        expect(page.locator("#slots-body")).to_contain_text("for 1 run")

        page.locator("#acting").select_option("demo-user-2")
        expect(own).to_have_count(0)
        page.get_by_role("button", name=f"Subscribe to {name}").click()
        expect(own).to_contain_text("subscribed")
        expect(page.locator("#slots-body")).to_contain_text("for 2 runs", timeout=WAIT_MS)
        for width, scheme in ((1440, "light"), (390, "dark")):
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=scheme)
            assert page.evaluate(
                "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
            )
        assert complaints == []
        browser.close()
