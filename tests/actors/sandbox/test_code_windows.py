"""Code that looks beside its own candles: tried before it is kept, and the same live and in a replay."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import product

import pytest

from actors.backtest import BacktestRequest, run_backtest
from actors.sandbox.frames import Program
from actors.sandbox.host import Zygote
from actors.sandbox.judge import ask_of, verdict_of
from actors.sandbox.validation import Validated, sample_contexts, validate_code
from actors.sandbox.warm import WarmSandbox
from core.candles import aggregate
from core.definition import StrategyDefinition, StrategyKind
from core.ids import StrategyId, UserId
from core.market import Market
from core.signal import Action
from core.strategies.code import StrategyCode
from core.strategies.declaration import declared_code
from core.timeframe import Timeframe, to_ms
from exchanges.feeds.base import ColumnSource, NoCandles
from tests.actors.candles import START, SYMBOL
from tests.actors.test_further_windows import BASE, BOTH, HOURS, drawn, executions, series, world_of
from tests.actors.world import World

PYTHON = """
LOOKBACK = 3
WINDOWS = {
    "quarters": {"timeframe": "15m", "lookback": 2},
    "spot": {"market": "spot"},
}

def strategy(context):
    one, other = context.extra.quarters.close
    assert context["extra"]["quarters"][-1].close == other
    indicators = {"premium": context.price - context.extra.spot[-1]["close"], "quarter": other,
                  "spot": len(context.extra.spot), "opened": context.extra.quarters[-1].open_time}
    return {"action": "long" if other > one else "short", "indicators": indicators}
"""
TYPESCRIPT = """
type Candle = { openTime: number; close: number };
type Context = { price: number; extra: Record<string, Candle[]> };

const LOOKBACK: number = 3;
const WINDOWS = {
  quarters: { timeframe: "15m", lookback: 2 },
  spot: { market: "spot" },
};

function strategy({ price, extra: { quarters, spot } }: Context) {
  const [one, other] = quarters;
  const indicators = { premium: price - spot[spot.length - 1].close, quarter: other.close,
                       spot: spot.length, opened: other.openTime };
  return { action: other.close > one.close ? "long" : "short", indicators };
}
"""
KINDS = {StrategyKind.PYTHON: PYTHON, StrategyKind.TYPESCRIPT: TYPESCRIPT}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[WarmSandbox]:
    with WarmSandbox() as started:
        yield started


def validated(zygote: Zygote, text: str, kind: StrategyKind = StrategyKind.PYTHON) -> Validated:
    return validate_code(zygote, kind=kind, text=text)


@pytest.fixture(scope="module")
def codes(zygote: Zygote) -> dict[StrategyKind, StrategyCode]:
    kept = {}
    for kind, text in KINDS.items():
        found = validated(zygote, text, kind)
        assert found.errors == ()
        assert found.code is not None
        kept[kind] = found.code
    return kept


def of_code(world: World, kind: StrategyKind, code: StrategyCode) -> StrategyDefinition:
    definition = StrategyDefinition(
        id=StrategyId(world.id()),
        owner_id=UserId("owner"),
        name=kind.value,
        template=kind.value,
        parameters={},
        symbol=SYMBOL,
        timeframe=BASE,
        kind=kind,
        source=code.source(),
    )
    world.memory.create_strategy(definition)
    return definition


def told(
    sandbox: WarmSandbox, kind: StrategyKind, code: StrategyCode, *, replayed: bool, until: timedelta = HOURS
) -> list[tuple[object, ...]]:
    world = world_of(replayed=replayed, until=until)
    world.code = sandbox.ask
    definition = of_code(world, kind, code)
    world.run("bob", strategy=definition)
    world.to(START + timedelta(minutes=50, seconds=30))
    rows = [row for row in executions(world) if row.strategy_id == definition.id]
    return [(row.slot, row.action, dict(row.indicators)) for row in rows]


def test_code_is_tried_on_sample_candles_of_its_windows(
    zygote: Zygote, codes: dict[StrategyKind, StrategyCode]
) -> None:
    """They have closed at the slot, and the languages see the same."""
    python = codes[StrategyKind.PYTHON]
    assert codes[StrategyKind.TYPESCRIPT].windows == python.windows
    contexts = sample_contexts(python, {}, SYMBOL, BASE)
    for context, window in product(contexts, contexts[0].extra):
        closed = context.extra[window].open_time[-1] + window.timeframe.ms
        assert 0 <= to_ms(context.slot) - closed < window.timeframe.ms
    signals = {}
    for kind, code in codes.items():
        program = Program(
            kind=kind.value, text=code.compiled or code.text, compiled=code.compiled is not None
        )
        with zygote.worker() as worker:
            replies = worker.ask(program, *(ask_of(code, context) for context in contexts))[1:]
        signals[kind] = [verdict_of(*each).signal for each in zip(replies, contexts, strict=True)]
    assert signals[StrategyKind.PYTHON] == signals[StrategyKind.TYPESCRIPT]
    assert {signal.action for signal in signals[StrategyKind.PYTHON] if signal} == {Action.LONG, Action.SHORT}


@pytest.mark.parametrize(
    ("kind", "text", "line", "said"),
    [
        (
            StrategyKind.PYTHON,
            'LOOKBACK = 9\nWINDOWS = {"trend": {"timeframe": "7m"}}\ndef strategy(context):\n    return "hold"\n',
            2,
            "WINDOWS trend has a timeframe that cannot be: '7m' is not a timeframe",
        ),
        (
            StrategyKind.TYPESCRIPT,
            'const WINDOWS = { trend: { venue: "kraken" } };\nfunction strategy(context) { return "hold"; }',
            1,
            "WINDOWS trend has a venue that cannot be: 'kraken' is none of binance, bybit",
        ),
        (
            StrategyKind.PYTHON,
            "def strategy(context):\n    return context.extra.trend.close[-1]\n",
            2,
            "there is no 'trend' here; there are none",
        ),
    ],
)
def test_a_window_that_cannot_be_or_was_not_declared_is_told_with_its_line(
    zygote: Zygote, kind: StrategyKind, text: str, line: int, said: str
) -> None:
    [error] = validated(zygote, text, kind).errors
    assert said in error.message
    assert error.line == line
    assert kind is StrategyKind.TYPESCRIPT or error.hint is None or "WINDOWS" in error.hint


@pytest.mark.parametrize("kind", KINDS)
def test_i10_further_windows_of_code_are_the_same_live_and_in_replay_and_end_at_the_slot(
    sandbox: WarmSandbox, codes: dict[StrategyKind, StrategyCode], kind: StrategyKind
) -> None:
    """I10: between its closes nothing of the larger candle that is open; and a cut future changes nothing before it."""
    live = told(sandbox, kind, codes[kind], replayed=False)
    assert told(sandbox, kind, codes[kind], replayed=True) == live
    assert told(sandbox, kind, codes[kind], replayed=True, until=timedelta(hours=1)) == live
    assert len(live) == 10
    quarters, perp, spot = (
        aggregate(drawn(Market.PERP), BASE, Timeframe.M15),
        drawn(Market.PERP),
        drawn(Market.SPOT),
    )
    for slot, action, indicators in live:
        assert isinstance(slot, type(START))
        closed = quarters.open_time <= to_ms(slot) - Timeframe.M15.ms
        at = perp.open_time == to_ms(slot) - BASE.ms
        one, other = quarters.close[closed][-2:]
        assert action == ("long" if other > one else "short"), slot
        assert indicators == {
            "premium": perp.close[at][0] - spot.close[at][0],
            "quarter": other,
            "spot": 3,
            "opened": quarters.open_time[closed][-1],
        }


@BOTH
def test_a_window_of_code_that_is_too_short_skips_the_slot_and_is_named(
    sandbox: WarmSandbox, codes: dict[StrategyKind, StrategyCode], replayed: bool
) -> None:
    """The market has three days; the window asks for four."""
    world = world_of(replayed=replayed)
    world.code = sandbox.ask
    text = PYTHON.replace('"timeframe": "15m", "lookback": 2', '"timeframe": "1d", "lookback": 4')
    windows = declared_code(text, {"LOOKBACK": 3, "WINDOWS": {"days": {"timeframe": "1d", "lookback": 4}}})
    run = world.run("bob", strategy=of_code(world, StrategyKind.PYTHON, windows))
    world.to(START + BASE.delta + timedelta(seconds=30))
    assert [(status, reason) for _, status, reason in world.outcomes(run)] == [("skipped", "too_few_candles")]
    [row] = [row for row in executions(world) if row.error]
    assert row.error is not None
    assert row.error.startswith("perp BTCUSDT 1d of binance: ")


def test_a_series_nobody_has_candles_of_is_refused_to_a_replay_by_name(
    codes: dict[StrategyKind, StrategyCode],
) -> None:
    source = ColumnSource(origin="drawn", venue="binance", series={series(Market.PERP): drawn(Market.PERP)})
    request = BacktestRequest(
        template="python",
        kind=StrategyKind.PYTHON,
        source=codes[StrategyKind.PYTHON].source(),
        symbol=SYMBOL,
        timeframe=BASE,
        start=START,
        limits=None,
    )
    with pytest.raises(NoCandles, match="no spot candles of BTCUSDT"):
        run_backtest(request, source)
