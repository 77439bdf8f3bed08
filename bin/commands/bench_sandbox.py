"""What the sandbox costs on this machine: warm, forked for each call, a thousand at once, and beside an attacker."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from statistics import median
from threading import Event
from typing import Any, Final

import numpy as np
import talib

from actors.sandbox.frames import Answered, Ask, Failed, Fault, Program
from actors.sandbox.host import Limits, Starved, WorkerHandle, Zygote
from core.strategies.code_answer import read_code_answer
from core.timeframe import Timeframe, to_ms
from exchanges.feeds.generator import GeneratedMarket

CANDLES: Final = 200
BATCH: Final = 1_000
ATTACK_WALL_S: Final = 0.25
STRETCH_S: Final = 2.0
PAUSE_S: Final = 0.002
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
    """A neighbour asked at a steady pace, without, with and again without an attacker of another strategy, in turns.

    How far the two without differ is how far the machine can tell.
    """
    quiet, attacked, again, overrun = [], [], [], [0.0]
    ask, program = _ask(), Program(kind="python", text=RSI)
    with (
        closing(Zygote(Limits())) as own,
        closing(Zygote(Limits(wall_s=ATTACK_WALL_S))) as zygote,
        own.worker() as worker,
        ThreadPoolExecutor(1) as thread,
    ):
        worker.ask(program, ask)
        for _ in range(rounds):
            quiet.append(_paced(worker, ask))
            over = Event()
            attack = thread.submit(_attack, zygote, ask, over)
            attacked.append(_paced(worker, ask))
            over.set()
            overrun.append(attack.result())
            again.append(_paced(worker, ask))
    first, beside, second = (
        _figures([each for stretch in stretches for each in stretch])
        for stretches in (quiet, attacked, again)
    )
    without = _figures([each for stretch in (*quiet, *again) for each in stretch])
    return {
        "without": without,
        "beside": beside,
        "p99Ratio": round(beside["p99Ms"] / without["p99Ms"], 2),
        "p99RatioOfNothing": round(second["p99Ms"] / first["p99Ms"], 2),
        "limitMs": ATTACK_WALL_S * 1e3,
        "latestKillMs": round(max(overrun) * 1e3, 1),
    }


def _stood_by(program: Program, ask: Ask, times: int) -> list[float]:
    """As live: a fresh worker for each, made after the answer before, with time between them."""
    took: list[float] = []
    with closing(Zygote(Limits(), spares=1)) as zygote:
        zygote.replenish()
        for _ in range(times):
            time.sleep(BETWEEN_S)
            began_s = time.perf_counter()
            with zygote.worker(gives_way=True) as worker:
                worker.ask(program, ask)
            took.append(time.perf_counter() - began_s)
            zygote.replenish()
    return took


def _attack(zygote: Zygote, ask: Ask, over: Event) -> float:
    """The longest an attacker was there, from the question to its end."""
    longest_s, number = 0.0, 0
    while not over.is_set():
        text = f"def strategy(context):\n    {ATTACKS[number % len(ATTACKS)]}\n"
        number += 1
        with zygote.worker(gives_way=True) as worker:
            worker.ask(Program(kind="python", text=text))
            began_s = time.perf_counter()
            try:
                reply = worker.ask(ask)[-1]
            except Starved:
                reply = Failed(fault=Fault.TIMEOUT, sentence="starved")
            longest_s = max(longest_s, time.perf_counter() - began_s)
        if isinstance(reply, Answered):
            raise AssertionError("an attack was answered")
    return longest_s


def _paced(worker: WorkerHandle, ask: Ask) -> list[float]:
    took: list[float] = []
    end_s = time.perf_counter() + STRETCH_S
    while time.perf_counter() < end_s:
        began_s = time.perf_counter()
        worker.ask(ask)
        took.append(time.perf_counter() - began_s)
        time.sleep(PAUSE_S)
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
    start = datetime(2026, 1, 1, tzinfo=UTC)
    slot = start + timedelta(minutes=5) * CANDLES
    candles = GeneratedMarket(1).candles("BTCUSDT", Timeframe.M5, start, slot)
    return Ask(
        columns=np.ascontiguousarray(candles.data).tobytes(), parameters={"period": 14}, slot_ms=to_ms(slot)
    )


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
