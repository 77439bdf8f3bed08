"""Code is read once a version, not at every tick; what was read answers as the text does."""

from __future__ import annotations

import marshal

import pytest

from actors.sandbox import code_cache
from actors.sandbox.code_cache import CodeCache
from actors.sandbox.frames import Compile, Compiled
from actors.sandbox.host import Limits, Zygote
from actors.sandbox.pool import Pool
from core.definition import StrategyKind
from core.signal import Action
from core.strategies.code import CodeStrategy, StrategyCode
from tests.actors.sandbox.test_pool import TIMEOUT_S, answering, task

FAILING = "import numpy\n\n" + answering("return 1 / 0")


def strategy(text: str, kind: StrategyKind = StrategyKind.PYTHON) -> CodeStrategy:
    return CodeStrategy(kind, StrategyCode(text=text), {})


def test_a_version_is_read_once_and_then_loaded(zygote: Zygote) -> None:
    """Issue 6: code cache. What is kept is what runs: another's code in its place answers for it."""
    pool = Pool(Limits(), workers=1)
    pool.start()
    asked = task(answering("return 'buy'"))
    assert pool.codes.get(asked.strategy) is None
    bought = pool.submit(asked).result(TIMEOUT_S).signal
    while pool.codes.get(asked.strategy) is None:
        assert pool.submit(asked).result(TIMEOUT_S).signal == bought
    assert pool.submit(asked).result(TIMEOUT_S).signal == bought
    pool.codes.put(asked.strategy, zygote_code(zygote, answering("return 'sell'")))
    sold = pool.submit(asked).result(TIMEOUT_S).signal
    pool.close()
    assert bought is not None
    assert sold is not None
    assert (bought.action, sold.action) == (Action.LONG, Action.SHORT)


def test_what_was_read_fails_with_the_authors_line(zygote: Zygote) -> None:
    pool = Pool(Limits(), workers=1)
    pool.start()
    asked = task(FAILING)
    told = []
    for code in (None, zygote_code(zygote, FAILING)):
        pool.codes.put(asked.strategy, code)
        told.append(pool.submit(asked).result(TIMEOUT_S).failed)
    pool.close()
    assert told[0] is not None
    assert (told[0], told[0].line) == (told[1], 4)


def zygote_code(zygote: Zygote, text: str) -> bytes:
    with zygote.worker() as worker:
        [reply] = worker.ask(Compile(text=text))
    assert isinstance(reply, Compiled)
    return reply.code


def test_reading_runs_nothing_of_the_authors(zygote: Zygote) -> None:
    """I14: so that what is kept cannot be of the code's own making."""
    text = "while True: pass\n" + answering("return 'buy'")
    assert marshal.loads(zygote_code(zygote, text)).co_filename == "<strategy>"  # noqa: S302


def test_what_cannot_be_read_or_is_no_python_is_not_kept(zygote: Zygote) -> None:
    cache = CodeCache()
    for each in (strategy("def ("), strategy("x", StrategyKind.JAVASCRIPT)):
        cache.learn(each, zygote)
        assert cache.get(each) is None


def test_what_was_not_asked_for_longest_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_cache, "MAX_BYTES", 100)
    cache, (a, b, c) = CodeCache(), (strategy(text) for text in "abc")
    cache.put(a, b"x" * 50)
    cache.put(b, b"x" * 50)
    assert cache.get(a) is not None
    cache.put(c, b"x" * 40)
    assert [cache.get(each) is None for each in (a, b, c)] == [False, True, False]
    cache.put(a, b"y" * 60)
    assert cache.get(c) is not None
