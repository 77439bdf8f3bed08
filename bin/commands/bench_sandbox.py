"""What the sandbox costs on this machine: warm, forked for each call, a thousand at once, and beside an attacker."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import cache
from statistics import median
from threading import Event
from typing import Any, Final

import numpy as np
import talib

from actors.sandbox.frames import Ask, Program
from actors.sandbox.host import Limits, Zygote
from actors.sandbox.judge import CodeTask
from actors.sandbox.pool import Pool
from actors.sandbox.rank import Rank
from actors.sandbox.worker_handle import WorkerHandle
from core.candles import CandleColumns
from core.definition import StrategyKind
from core.ids import UserId
from core.market import Market, Series
from core.strategies.code import CodeStrategy, StrategyCode
from core.strategies.code_answer import read_code_answer
from core.strategy import Context
from core.timeframe import Timeframe, to_ms
from exchanges.feeds.generator import GeneratedMarket

CANDLES: Final = 200
BATCH: Final = 1_000
ATTACK_WALL_S: Final = 0.25
STRETCH_S: Final = 2.0
PAUSE_S: Final = 0.002
LIVE_PAUSE_S: Final = 0.02
"""In which a worker for the next one is made."""
POOL: Final = 2
ANSWER_S: Final = 30.0
START: Final = datetime(2026, 1, 1, tzinfo=UTC)
SLOT: Final = START + timedelta(minutes=5) * CANDLES
BETWEEN_S: Final = 0.02
RSI: Final = """
import talib

def strategy(context):
    rsi = talib.RSI(context.candles.close, 14)[-1]
    action = "buy" if rsi < 30 else "sell" if rsi > 70 else "hold"
    return {"action": action, "indicators": {"rsi": rsi}}
"""
ATTACKS: Final = (
    "while True: pass",
    "kept = []\n    while True: kept.append(bytearray(1 << 20))",
    "while True: print('x' * 1000)",
    "return list(range(10 ** 6))",
)


def measure(*, calls: int, forks: int, rounds: int) -> dict[str, Any]:
    """`bench sandbox --json`: milliseconds and evaluations a second."""
    began_s = time.perf_counter()
    with closing(Zygote(Limits())) as zygote:
        start_ms = (time.perf_counter() - began_s) * 1e3
        program, ask = Program(kind="python", text=RSI), _ask()
        with zygote.worker() as worker:
            worker.ask(program, ask)
            warm = _timed(lambda: worker.ask(ask), calls)
            batches = [_batch(worker, ask) for _ in range(5)]
        close = np.frombuffer(ask.columns).reshape(7, -1)[4]
        here = _timed(lambda: _in_process(close), calls)

        def fork() -> None:
            with zygote.worker() as forked:
                forked.ask(program, ask)

        figures = {
            "layers": dict(zygote.layers),
            "startMs": round(start_ms, 1),
            "inProcess": _figures(here),
            "warm": _figures(warm),
            "forkPerCall": _figures(_timed(fork, forks)),
            "stoodBy": _figures(_stood_by(program, ask, forks)),
            "batch": {
                "evaluations": BATCH,
                "ms": round(median(batches) * 1e3, 1),
                "perSecond": round(BATCH / median(batches)),
            },
        }
    return figures | {"underAttack": under_attack(rounds)}


def under_attack(rounds: int) -> dict[str, Any]:
    """Neighbours asked at a steady pace, without, with and again without an attacker who is a live strategy, in turns.

    One neighbour replays, in a warm worker of another sandbox, one is a live strategy too. How far the two without
    differ is how far the machine can tell.
    """
    ask, program = _ask(), Program(kind="python", text=RSI)
    live = _task(RSI, "a neighbour")
    with (
        closing(Pool(Limits(wall_s=ATTACK_WALL_S), workers=POOL)) as pool,
        closing(Zygote(Limits())) as own,
        own.worker() as worker,
        ThreadPoolExecutor(1) as thread,
    ):
        pool.start()
        worker.ask(program, ask)
        pool.submit(live).result(ANSWER_S)
        asked: dict[str, tuple[Callable[[], object], float]] = {
            "replay": (lambda: worker.ask(ask), PAUSE_S),
            "live": (lambda: pool.submit(live).result(ANSWER_S), LIVE_PAUSE_S),
        }
        took: dict[str, tuple[list[float], list[float], list[float]]] = {name: ([], [], []) for name in asked}
        overrun_s = 0.0
        for name, (call, pause_s) in list(asked.items()) * rounds:
            without, beside, again = took[name]
            without += _paced(call, pause_s)
            over = Event()
            attack = thread.submit(_attack, pool, over)
            beside += _paced(call, pause_s)
            over.set()
            overrun_s = max(overrun_s, attack.result())
            again += _paced(call, pause_s)
    return {name: _compared(*each) for name, each in took.items()} | {
        "limitMs": ATTACK_WALL_S * 1e3,
        "latestKillMs": round(overrun_s * 1e3, 1),
    }


def _compared(without: list[float], beside: list[float], again: list[float]) -> dict[str, Any]:
    either, attacked = _figures(without + again), _figures(beside)
    return {
        "without": either,
        "beside": attacked,
        "p99Ratio": round(attacked["p99Ms"] / either["p99Ms"], 2),
        "p99RatioOfNothing": round(_figures(again)["p99Ms"] / _figures(without)["p99Ms"], 2),
    }


def _stood_by(program: Program, ask: Ask, times: int) -> list[float]:
    """As live: a fresh worker for each, made after the answer before, with time between them."""
    took: list[float] = []
    with closing(Zygote(Limits(), spares=1)) as zygote:
        zygote.replenish()
        for _ in range(times):
            time.sleep(BETWEEN_S)
            began_s = time.perf_counter()
            with zygote.worker(Rank.UNTIL_SLOW) as worker:
                worker.ask(program, ask)
            took.append(time.perf_counter() - began_s)
            zygote.replenish()
    return took


def _attack(pool: Pool, over: Event) -> float:
    """The longest an attacker was there, from the question to its end."""
    longest_s, number = 0.0, 0
    while not over.is_set():
        text = f"def strategy(context):\n    {ATTACKS[number % len(ATTACKS)]}\n"
        number += 1
        began_s = time.perf_counter()
        verdict = pool.submit(_task(text, "an attacker")).result(ANSWER_S)
        longest_s = max(longest_s, time.perf_counter() - began_s)
        if verdict.signal is not None:
            raise AssertionError("an attack was answered")
    return longest_s


def _task(text: str, owner: str) -> CodeTask:
    strategy = CodeStrategy(StrategyKind.PYTHON, StrategyCode(text=text), {})
    series = Series(venue="binance", market=Market.PERP, symbol="BTCUSDT", timeframe=Timeframe.M5)
    context = Context(candles=_candles(), parameters={}, slot=SLOT)
    return CodeTask(strategy=strategy, series=series, context=context, owner=UserId(owner))


def _paced(call: Callable[[], object], pause_s: float) -> list[float]:
    took: list[float] = []
    end_s = time.perf_counter() + STRETCH_S
    while time.perf_counter() < end_s:
        began_s = time.perf_counter()
        call()
        took.append(time.perf_counter() - began_s)
        time.sleep(pause_s)
    return took


def _batch(worker: WorkerHandle, ask: Ask) -> float:
    began_s = time.perf_counter()
    replies = worker.ask(*[ask] * BATCH)
    took_s = time.perf_counter() - began_s
    if len(replies) != BATCH:
        raise AssertionError(replies[-1])
    return took_s


def _in_process(close: Any) -> None:
    """The strategy's own lines and the reading of its answer, which the service does in either case."""
    rsi = talib.RSI(close, 14)[-1]
    action = "buy" if rsi < 30 else "sell" if rsi > 70 else "hold"
    read_code_answer({"action": action, "indicators": {"rsi": rsi}})


def _ask() -> Ask:
    columns = np.ascontiguousarray(_candles().data).tobytes()
    return Ask(columns=columns, parameters={"period": 14}, slot_ms=to_ms(SLOT))


@cache
def _candles() -> CandleColumns:
    """Made once: an attacker does not take the service's own time."""
    return GeneratedMarket(1).candles("BTCUSDT", Timeframe.M5, START, SLOT)


def _timed(call: Callable[[], object], times: int) -> list[float]:
    took: list[float] = []
    for _ in range(times):
        began_s = time.perf_counter()
        call()
        took.append(time.perf_counter() - began_s)
    return took


def _figures(took: Sequence[float]) -> dict[str, float]:
    ordered = sorted(took)
    return {
        "p50Ms": round(ordered[len(ordered) // 2] * 1e3, 3),
        "p99Ms": round(ordered[int(len(ordered) * 0.99)] * 1e3, 3),
        "perSecond": round(len(ordered) / sum(ordered)),
    }
