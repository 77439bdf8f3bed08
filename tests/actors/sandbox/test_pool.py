"""Code at live ticks: fresh workers, a fault is the code's, a busy or missing sandbox is not, owners take turns."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from actors.runtime.process_time import process_s
from actors.sandbox.canaries import CANARIES, holes
from actors.sandbox.frames import Fault
from actors.sandbox.host import Limits, Zygote
from actors.sandbox.judge import CodeTask, NoVerdict, Verdict
from actors.sandbox.pool import MAX_WAITING_OF_OWNER, Pool
from actors.sandbox.shadow_lane import MAX_WAITING
from core.definition import StrategyKind
from core.ids import UserId
from core.market import Market, Series
from core.signal import Action
from core.strategies.code import CodeStrategy, StrategyCode
from core.strategy import Context
from core.timeframe import Timeframe
from tests.actors.sandbox.asks import CANDLES, SLOT

SERIES = Series(venue="binance", market=Market.PERP, symbol="BTCUSDT", timeframe=Timeframe.M5)
TIMEOUT_S = 30.0


def task(text: str, owner: str = "ann") -> CodeTask:
    strategy = CodeStrategy(StrategyKind.PYTHON, StrategyCode(text=text), {})
    context = Context(candles=CANDLES, parameters={}, slot=SLOT)
    return CodeTask(strategy=strategy, series=SERIES, context=context, owner=UserId(owner))


def answering(body: str) -> str:
    return f"def strategy(context):\n    {body}\n"


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    started = Pool(Limits(wall_s=1.0), workers=2)
    started.start()
    yield started
    started.close()


def judged(pool: Pool, text: str) -> Verdict:
    return pool.submit(task(text)).result(TIMEOUT_S)


def test_a_pool_is_ready_once_its_canaries_were_all_refused(pool: Pool) -> None:
    """I14: the answer waits for the canaries; then there is nothing to say."""
    assert judged(pool, answering("return 'buy'")).signal is not None
    assert pool.is_ready
    assert pool.sentence is None


def test_each_evaluation_has_a_worker_of_its_own(pool: Pool) -> None:
    text = "seen = []\n" + answering("seen.append(1); return {'action': 'hold', 'score': len(seen)}")
    assert [judged(pool, text).signal for _ in range(3)] == [judged(pool, text).signal] * 3


def test_a_fault_is_the_codes_own_with_its_line(pool: Pool) -> None:
    verdict = judged(pool, answering("return 1 / 0"))
    assert verdict.failed is not None
    assert verdict.failed.fault is Fault.EXCEPTION
    assert verdict.sentence == "Line 2: ZeroDivisionError: division by zero"


def test_an_answer_that_is_no_signal_is_a_fault(pool: Pool) -> None:
    verdict = judged(pool, answering("return {'action': 'buy', 'indicators': {'x': float('nan')}}"))
    assert verdict.failed is not None
    assert verdict.sentence == "Line 1: The signal's indicator x is NaN."


def test_code_that_does_not_end_is_ended_and_the_next_one_answers(pool: Pool) -> None:
    verdict = judged(pool, answering("while True: pass"))
    assert verdict.failed is None or verdict.failed.fault is Fault.TIMEOUT
    assert verdict.failed is not None or verdict.nothing is NoVerdict.STARVED
    found = judged(pool, answering("return 'sell'"))
    assert found.signal is not None
    assert found.signal.action is Action.SHORT


def test_endless_code_of_one_owner_keeps_no_other_waiting() -> None:
    """I14: neighbours go on, with one place and with the limit far away."""
    pool = Pool(Limits(wall_s=20.0), workers=1)
    pool.start()
    endless = [pool.submit(task(answering("while True: pass"), "mal")) for _ in range(3)]
    while not endless[0].running():
        pass
    assert pool.submit(task(answering("return 'hold'"), "ann")).result(TIMEOUT_S).signal is not None
    assert not any(each.done() for each in endless)
    pool.close()


def test_owners_take_turns_however_much_one_asks_for() -> None:
    owners = ("ann", "ann", "ann", "ann", "bob", "cid")
    pool = Pool(Limits(), workers=len(owners))  # never started: who is next depends on no clock
    for owner in owners:
        pool.submit(task("x", owner))
    taken = [pool._next() for _ in owners]
    pool.close()
    assert [each[1].task.owner for each in taken if each] == ["ann", "bob", "cid", "ann", "ann", "ann"]


def test_a_full_queue_and_a_closed_pool_say_so_and_blame_nobody() -> None:
    pool = Pool(Limits(), workers=1)  # never started: everything waits
    waiting = [pool.submit(task("x")) for _ in range(MAX_WAITING_OF_OWNER)]
    full = pool.submit(task("x")).result(TIMEOUT_S)
    assert (full.signal, full.failed, full.nothing) == (None, None, NoVerdict.STARVED)
    assert not pool.submit(task("x", "bob")).done()
    pool.close()
    assert {each.result(TIMEOUT_S).nothing for each in waiting} == {NoVerdict.AWAY}


def test_a_sandbox_that_ended_is_no_fault_of_the_code_and_is_started_again(pool: Pool) -> None:
    pool.zygote().close()
    away = judged(pool, answering("return 'hold'"))
    assert away.failed is None
    assert away.signal is not None or away.nothing is NoVerdict.AWAY


def test_a_worker_that_ends_with_its_sandbox_is_not_to_blame() -> None:
    pool = Pool(Limits(wall_s=20.0), workers=1)
    pool.start()
    assert pool.submit(task(answering("return 'hold'"))).result(TIMEOUT_S).signal is not None
    running = pool.submit(task(answering("while True: pass")))
    while not running.running():
        pass
    pool.zygote().close()
    assert running.result(TIMEOUT_S).nothing is NoVerdict.AWAY
    pool.close()


def test_what_a_canary_gets_through_with_is_named(monkeypatch: pytest.MonkeyPatch, zygote: Zygote) -> None:
    """I14: fail closed; here two canaries that nothing would stop, one of them by a wrong name."""
    assert holes(zygote) == []
    monkeypatch.setitem(CANARIES, "add numbers", "1 + 1")  # type: ignore[arg-type]
    monkeypatch.setitem(CANARIES, "be misspelt", "os.frok()")  # type: ignore[arg-type]
    assert holes(zygote) == ["add numbers", "be misspelt"]


def test_a_second_evaluation_waits_until_nothing_is_live_and_is_given_up_for_what_comes() -> None:
    """Issue 6: shadow re-evaluation delays no tick; what was given up says nothing about the code."""
    pool = Pool(Limits(wall_s=20.0), workers=1)
    pool.start()
    assert pool.submit(task(answering("return 'buy'"))).result(TIMEOUT_S).signal is not None
    again = pool.submit_shadow(task(answering("return 'buy'"))).result(TIMEOUT_S)
    assert again.signal is not None
    assert again.signal.action is Action.LONG
    pool.close()

    pool = Pool(Limits(wall_s=20.0), workers=1)
    pool.start()
    live = pool.submit(task(answering("return 'sell'")))
    endless = pool.submit_shadow(task(answering("while True: pass")))
    assert live.result(TIMEOUT_S).signal is not None
    while not pool.shadowing:
        pass
    began_s = process_s()
    assert pool.submit(task(answering("return 'hold'"))).result(TIMEOUT_S).signal is not None
    assert process_s() - began_s < 15.0, "it waited for what repeats"
    assert endless.result(TIMEOUT_S).nothing is NoVerdict.STARVED
    pool.close()


def test_of_second_evaluations_too_many_and_those_of_a_closed_pool_are_left_out() -> None:
    pool = Pool(Limits(), workers=1)  # never started: something live waits for ever
    pool.submit(task("x"))
    waiting = [pool.submit_shadow(task("x")) for _ in range(MAX_WAITING + 1)]
    assert waiting[-1].result(TIMEOUT_S).nothing is NoVerdict.STARVED
    assert not waiting[0].done()
    pool.close()
    assert {each.result(TIMEOUT_S).nothing for each in waiting} == {NoVerdict.STARVED}
