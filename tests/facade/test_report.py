"""The report of a backtest: equity that marks what is open, JSON in the contract's keys, one self-contained page."""

from __future__ import annotations

import csv
import html
import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.backtest import BacktestResult, run_backtest
from actors.backtest_result import Charted
from core.market import Market, Series
from core.risk import RiskLimits
from core.run import RunSettings
from core.strategy import IndicatorChart
from core.timeframe import Timeframe, to_ms
from exchanges.feeds.base import ColumnSource
from exchanges.feeds.generator import GeneratedMarket
from facade.report.charts import MAX_CANDLES, chart_data, lowest_and_highest, thinned_candles
from facade.report.document import document, plain
from facade.report.equity import equity_curve
from facade.report.figures import duration, money, monthly_table, price_digits, tone
from facade.report.folder import ReportNotWritten, prepare_folder, write_grid_report, write_report
from facade.report.heat import heat_map
from facade.report.page import MAX_TRADE_ROWS, grid_page, report_page
from facade.report.prose import assumptions, reason_text
from tests.facade.backtest_cases import at, balance, columns, held, request, result, trade

NOTHING: dict[str, Any] = {"trades": (), "signals": (), "equity": ()}


def pages_data(page: str) -> dict[str, Any]:
    """The JSON embedded in a page, read as a browser reads it."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    decoded: dict[str, Any] = json.loads(found[1])
    return decoded


@pytest.fixture(scope="module")
def replayed() -> BacktestResult:
    """Forty generated days of hourly candles, replayed through the system."""
    market, start, end = (
        GeneratedMarket(3),
        datetime(2026, 1, 1, tzinfo=UTC),
        datetime(2026, 2, 10, tzinfo=UTC),
    )
    series = Series(venue=market.venue, market=Market.PERP, symbol="BTCUSDT", timeframe=Timeframe.H1)
    candles = market.candles("BTCUSDT", Timeframe.H1, start, end)
    source = ColumnSource(origin=market.origin, venue=market.venue, series={series: candles})
    wanted = request(
        parameters={"rsi_period": 7}, settings=RunSettings(stop_loss_pct=Decimal(2)), limits=None
    )
    return run_backtest(wanted, source)


def test_equity_marks_a_long_at_each_close_between_entry_and_exit() -> None:
    # Closes at hours 1 to 5; the long is held at those of hours 1 and 2, and gone at 3.
    assert equity_curve(result()).equity.tolist() == [9_999.5, 10_019.5, 10_039, 10_039, 10_039]


def test_equity_marks_a_short_the_other_way_round() -> None:
    short = result(
        trades=(trade("short", 1, 3, ("100", "120"), "-41"),),
        equity=(balance(1, "9999.5"), balance(3, "9959")),
    )
    assert equity_curve(short).equity.tolist() == [9_999.5, 9_979.5, 9_959, 9_959, 9_959]


@pytest.mark.parametrize(("quantity", "net"), [("2", "-20.5"), ("-2", "19.5")])
def test_a_position_left_open_is_marked_at_the_last_close_and_is_no_trade(quantity: str, net: str) -> None:
    left = result(**{**NOTHING, "equity": (balance(3, "9999.5"),)}, open_position=held(3, quantity, "110"))
    told = document(left)
    assert told["summary"]["trades"] == 0
    assert told["summary"]["pnl"] == "0"
    assert Decimal(told["openPosition"]["pnl"]) == Decimal(net)
    assert Decimal(told["summary"]["finalEquity"]) == 10_000 + Decimal(net)
    assert float(equity_curve(left).equity[-1]) == pytest.approx(10_000 + float(net))


def test_the_curve_of_a_replay_ends_at_the_final_equity_it_reports(replayed: BacktestResult) -> None:
    told = document(replayed)
    assert told["summary"]["trades"] > 10
    assert float(equity_curve(replayed).equity[-1]) == pytest.approx(float(told["summary"]["finalEquity"]))
    assert sum(Decimal(row["pnl"]) for row in told["trades"]) == Decimal(told["summary"]["pnl"])


def test_the_document_has_the_keys_of_the_contract() -> None:
    told = json.loads(msgspec.json.encode(document(result())))
    assert {"candles", "signals", "trades", "summary", "seconds"} <= set(told)
    assert told["candles"] == 5
    assert told["signals"][0] == {"slot": "2026-01-05T01:00:00Z", "action": "long"}
    assert told["trades"] == [
        {
            "side": "long",
            "entryTime": "2026-01-05T01:00:00Z",
            "entryPrice": "100",
            "exitTime": "2026-01-05T03:00:00Z",
            "exitPrice": "120",
            "quantity": "2",
            "fees": "1",
            "funding": "0",
            "pnl": "39",
            "exitReason": "signal",
        }
    ]
    assert told["summary"]["blocked"] == {"cooldown": 2}
    assert told["summary"]["maxDrawdown"] == "0.5"
    assert told["summary"]["profitFactor"] is None
    assert "annualised" in told["summary"]["ratios"]


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0E-12", "0"),
        ("-0.00", "0"),
        ("1E+3", "1000"),
        ("100.500", "100.5"),
        ("0.0000000000004", "0"),
        ("-0.333333333333333333", "-0.333333333333"),
        ("72277.6", "72277.6"),
    ],
)
def test_money_is_spelled_without_exponent_or_trailing_zeros(amount: str, text: str) -> None:
    assert plain(Decimal(amount)) == text


@given(st.decimals(min_value=-(10**12), max_value=10**12, places=12))
def test_money_reads_back_as_what_it_was(amount: Decimal) -> None:
    assert Decimal(plain(amount)) == amount


CHARTS = (
    IndicatorChart(title="Score", indicators=("score",), note="0 to <10>."),
    IndicatorChart(title="Flow", indicators=("spot", "perp"), stepped=True),
)


def charted(hours: list[int], values: list[list[float]]) -> Charted:
    return Charted(
        charts=CHARTS,
        names=("score", "spot", "perp"),
        slot_ms=np.array([to_ms(at(hour)) for hour in hours], dtype=float),
        values=np.array(values, dtype=float),
    )


def test_what_a_strategy_wants_seen_is_drawn_with_a_gap_where_nothing_was_evaluated(tmp_path: Path) -> None:
    told = result(charted=charted([1, 2, 4], [[1, 2, 3], [4, 5, 6], [7, 8, float("nan")]]))
    page = report_page(told, document(told))
    drawn = pages_data(page)["indicators"]
    assert drawn["time"] == [to_ms(at(hour)) // 1_000 for hour in (1, 2, 3, 4)]
    assert drawn["values"] == {
        "score": [1, 4, None, 7], "spot": [2, 5, None, 8], "perp": [3, 6, None, None]
    }  # fmt: skip
    assert "<h3>Score</h3>" in page
    assert "0 to &lt;10&gt;." in page
    write_report(told, document(told), tmp_path)
    rows = (tmp_path / "indicators.csv").read_text().splitlines()
    assert rows[:2] == ["slot,score,spot,perp", "2026-01-05T01:00:00Z,1.0,2.0,3.0"]


def test_a_strategy_that_wants_nothing_seen_has_no_such_section(tmp_path: Path) -> None:
    page = report_page(result(), document(result()))
    assert pages_data(page)["indicators"] is None
    assert "What the strategy saw" not in page
    write_report(result(), document(result()), tmp_path)
    assert not (tmp_path / "indicators.csv").exists()


def test_squeezeflows_phases_and_score_are_in_its_report() -> None:
    market, start = GeneratedMarket(5), datetime(2026, 2, 1, tzinfo=UTC)
    wanted = request(
        template="squeezeflow", timeframe=Timeframe.M5, parameters={}, limits=None,
        start=start, end=start + timedelta(hours=8),
    )  # fmt: skip
    told = run_backtest(wanted, market)
    drawn = pages_data(report_page(told, document(told)))["indicators"]
    assert len(drawn["time"]) == 96
    assert {"score", "phase", "spot_flow", "perp_flow"} <= set(drawn["values"])
    assert {abs(phase) for phase in drawn["values"]["phase"]} <= {0, 1, 2, 3, 4}
    assert any(drawn["values"]["score"])


def test_the_page_is_self_contained_and_forbids_loading_anything() -> None:
    page = report_page(result(), document(result()))
    assert "default-src 'none'" in page
    assert not re.search(r'<(script|link|img|iframe)[^>]*\b(src|href)="(?!data:)', page)
    styles = page[page.index("<style>") : page.index("</style>")]
    assert "@import" not in styles
    assert "url(" not in styles


def test_hostile_text_is_escaped_in_markup_and_data() -> None:
    hostile = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
    wanted = request(template=hostile, symbol=hostile, parameters={})
    odd = result(
        request=wanted,
        origin=hostile,
        ticks={("blocked", hostile): 1},
        trades=(trade(hostile, 1, 3, ("100", "120"), "39", exit_reason=hostile),),
    )
    page = report_page(odd, document(odd))
    assert "<script>alert" not in page
    assert "<img" not in page
    assert html.escape("<img src=x") in page
    assert pages_data(page)["markers"][0]["side"] == hostile


@pytest.mark.parametrize(
    ("origin", "said"), [("generated (seed 1)", True), ("recorded candles (a.csv)", False)]
)
def test_generated_candles_are_said_to_be_generated(origin: str, said: bool) -> None:
    told = result(origin=origin)
    assert ("nobody ever traded at these prices" in report_page(told, document(told))) is said


@pytest.mark.parametrize(
    ("changes", "wanted_sentence"),
    [
        ({}, "Funding is not known"),
        ({}, "Risk gates as live: daily loss 50 USDT"),
        ({"request": request(limits=None)}, "The risk gates were off."),
        ({"funding_known": True}, "Funding is the recorded rate"),
        ({"request": request(slippage_pct=Decimal("0.1"))}, "0.1 % slippage"),
        ({"request": request(settings=RunSettings(stop_loss_pct=Decimal(2)))}, "Stop-loss at 2 %"),
        (
            {"request": request(settings=RunSettings(trailing_callback_pct=Decimal("1.5")))},
            "Trailing stop 1.5 % behind the best price since the entry",
        ),
        ({}, "open of the candle that begins then"),
        ({}, "square root of 365"),
        ({"open_position": held(3, "2", "110")}, "The data ended with an open position"),
        ({}, "Cooling down after a trade"),
        (NOTHING, "No trade was closed."),
    ],
)
def test_the_page_says_what_the_figures_rest_on(changes: dict[str, Any], wanted_sentence: str) -> None:
    told = result(**changes)
    assert wanted_sentence in html.unescape(report_page(told, document(told)))


def test_a_stop_and_a_target_touched_in_one_candle_are_said_to_count_as_the_worse() -> None:
    both = request(settings=RunSettings(stop_loss_pct=Decimal(2), take_profit_pct=Decimal(4)))
    assert any("the worse one counts" in line for line in assumptions(both, funding_known=True, path=""))


def test_a_long_list_of_trades_is_cut_on_the_page_and_whole_in_the_csv(tmp_path: Path) -> None:
    many = tuple(trade("long", 1, 3, ("100", "120"), "1") for _ in range(MAX_TRADE_ROWS + 5))
    told = result(trades=many)
    write_report(told, document(told), tmp_path)
    assert (
        f"The newest {MAX_TRADE_ROWS:,} of {MAX_TRADE_ROWS + 5:,}" in (tmp_path / "report.html").read_text()
    )
    assert len((tmp_path / "trades.csv").read_text().splitlines()) == 1 + len(many)


def test_the_folder_holds_the_page_and_the_same_figures_as_json_and_csv(
    replayed: BacktestResult, tmp_path: Path
) -> None:
    folder = tmp_path / "new" / "out"
    prepare_folder(folder)
    told = document(replayed)
    page = write_report(replayed, told, folder)
    names = {"report.html", "report.json", "trades.csv", "signals.csv", "equity.csv"}
    assert {path.name for path in folder.iterdir()} == names
    assert page == folder / "report.html"
    assert json.loads((folder / "report.json").read_text()) == json.loads(msgspec.json.encode(told))
    with (folder / "trades.csv").open() as rows:
        trades = list(csv.DictReader(rows))
    assert [row["pnl"] for row in trades] == [row["pnl"] for row in told["trades"]]
    assert trades[0]["entryTime"].endswith("Z")
    with (folder / "equity.csv").open() as rows:
        equity = list(csv.DictReader(rows))
    assert len(equity) == len(replayed.candles)
    assert float(equity[-1]["equity"]) == pytest.approx(float(told["summary"]["finalEquity"]))
    with (folder / "signals.csv").open() as rows:
        assert len(list(csv.DictReader(rows))) == len(replayed.signals)


def test_a_folder_that_cannot_be_written_is_one_sentence_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ReportNotWritten, match=r"The report cannot be written to .*file.*\.$"):
            prepare_folder(folder)


def test_a_report_that_cannot_replace_its_file_says_which(tmp_path: Path) -> None:
    (tmp_path / "report.json").mkdir()
    with pytest.raises(ReportNotWritten, match=r"report\.json"):
        write_report(result(), document(result()), tmp_path)


def test_many_candles_are_drawn_as_larger_ones_with_every_marker_on_one_of_them() -> None:
    count = MAX_CANDLES + 1_001
    closes = (100 + np.sin(np.arange(count) / 50)).round(2).tolist()
    long = result(
        closes, trades=tuple(trade("long", n, n + 7, ("100", "101"), "1") for n in range(0, count - 9, 997))
    )
    timeframe, candles = thinned_candles(long)
    drawn = chart_data(long, 2)
    assert (timeframe, drawn["timeframe"]) == (Timeframe.H2, "2h")
    assert len(candles) == (count - 1) // 2 <= MAX_CANDLES
    assert {mark["time"] for mark in drawn["markers"]} <= set(drawn["candles"]["time"])
    assert len(drawn["markers"]) == 2 * len(long.trades)


@given(st.lists(st.floats(0, 1e6, allow_nan=False), min_size=1, max_size=400), st.integers(6, 50))
def test_thinning_keeps_both_ends_and_the_extremes(equity: list[float], most: int) -> None:
    values = np.array(equity)
    kept = lowest_and_highest(values, most)
    assert len(kept) <= most
    assert kept == sorted(set(kept))
    assert (kept[0], kept[-1]) == (0, len(equity) - 1)
    assert (values[kept].min(), values[kept].max()) == (values.min(), values.max())


def test_a_year_of_months_compounds_and_missing_months_are_blank() -> None:
    rows = monthly_table([{"month": "2025-12", "returnPct": 10.0}, {"month": "2026-01", "returnPct": None}])
    assert [(row.name, row.total) for row in rows] == [("2025", pytest.approx(10)), ("2026", 0)]
    assert rows[0].months == (*[None] * 11, 10.0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "—"),
        (0, "0 s"),
        (59.6, "1 min"),
        (3_725, "1 h 2 min"),
        (90_000, "1 d 1 h"),
        (86_460, "1 d 1 min"),
    ],
)
def test_durations_are_told_in_their_two_largest_units(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [(None, "—"), ("0", "0.00"), ("-0.001", "0.00"), ("1234.5", "+1,234.50"), ("-3", "-3.00")],
)
def test_gains_carry_their_sign(amount: str | None, text: str) -> None:
    assert money(amount) == text


def test_tone_follows_the_sign_and_reasons_without_a_sentence_are_spelled_out() -> None:
    assert [tone(value) for value in ("1", "-1", "0", None, 0.5)] == ["up", "down", "", "", "up"]
    assert reason_text("store_unavailable") == "Store unavailable"
    assert price_digits(columns([1, 1.25, 1.125])) == 3
    assert price_digits(columns([100, 2000])) == 0


def grid_document() -> dict[str, Any]:
    told = document(result())
    rows = [
        {
            "parameters": {"rsi_period": period, "rsi_oversold": level},
            "summary": {**told["summary"], "pnl": pnl},
        }
        for period, level, pnl in ((7, 30.0, "20"), (7, 20.0, "0"), (14, 20.0, "-10"))
    ]
    return {"grid": rows, "seconds": 1.0, "candles": 5, "leftOut": 1, "replayed": told["replayed"]}


AXES = {"rsi_period": (7, 14), "rsi_oversold": (20.0, 30.0)}


def test_a_heat_map_has_a_cell_for_each_pair_and_none_for_what_was_left_out() -> None:
    heat = heat_map(AXES, grid_document()["grid"])
    assert heat is not None
    cells = [[cell and (cell["tone"], cell["strength"]) for cell in row["cells"]] for row in heat["rows"]]
    assert cells == [[("", 8), ("up", 70)], [("down", 39), None]]
    assert heat_map({"rsi_period": (7, 14)}, []) is None


def test_a_sweep_writes_its_page_json_and_csv(tmp_path: Path) -> None:
    page = write_grid_report(request(), grid_document(), AXES, tmp_path).read_text()
    assert "1 combinations were left out" in page
    assert 'style="--heat: 70%"' in page
    with (tmp_path / "grid.csv").open() as rows:
        assert [row["pnl"] for row in csv.DictReader(rows)] == ["20", "0", "-10"]
    assert len(json.loads((tmp_path / "report.json").read_text())["grid"]) == 3
    assert "partly luck" in grid_page(request(), grid_document(), AXES)


def test_gates_are_told_with_their_limits() -> None:
    told = document(result(request=request(limits=RiskLimits(max_trades_per_day=7))))
    assert told["replayed"]["gates"]["maxTradesPerDay"] == 7
    assert told["replayed"]["gates"]["dailyMaxLossUsdt"] == "50"
    assert told["replayed"]["from"] == at(0)
    assert told["replayed"]["to"] == at(5)


@pytest.mark.requires_chromium
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_the_page_draws_its_charts_in_a_browser_without_errors_or_sideways_scrolling(
    chromium: str, replayed: BacktestResult, tmp_path: Path, width: int, scheme: Any
) -> None:
    from playwright.sync_api import sync_playwright

    page_path = write_report(replayed, document(replayed), tmp_path)
    errors: list[str] = []
    loaded: list[str] = []
    with sync_playwright() as player:
        browser = player.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-background-networking"]
        )
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        page = context.new_page()
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda wanted: loaded.append(wanted.url))
        page.goto(page_path.as_uri(), timeout=15_000)
        for chart in ("price", "equity", "drawdown"):
            page.wait_for_selector(f"#{chart} canvas", timeout=15_000)
        page.click("#whole", timeout=5_000)
        wide = page.evaluate("document.documentElement.scrollWidth")
        browser.close()
    assert errors == []
    assert [url for url in loaded if not url.startswith("data:")] == [page_path.as_uri()]
    assert wide <= width
