"""Which event loop there is: uvloop's where it can be imported, asyncio's elsewhere; effects do not notice."""

from __future__ import annotations

import asyncio
import sys
from types import SimpleNamespace

import pytest

from actors.runtime.event_loop import new_event_loop
from actors.runtime.thread_effects import ThreadEffects


class OtherLoop(asyncio.SelectorEventLoop):
    """As another library's."""


def test_without_uvloop_it_is_asyncios(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    loop = new_event_loop()
    assert type(loop).__module__.startswith("asyncio")
    loop.close()


def test_where_uvloop_is_installed_effects_run_on_its_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", SimpleNamespace(new_event_loop=OtherLoop))
    effects = ThreadEffects(1)
    assert isinstance(effects.loop, OtherLoop)
    assert asyncio.run_coroutine_threadsafe(asyncio.sleep(0, "done"), effects.loop).result(5) == "done"
    assert effects.stop(5)
