"""Worker processes of a command, which end with it however it ends."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.process import BaseProcess


def worker_pool(workers: int, begin: Callable[..., None], *arguments: object) -> ProcessPoolExecutor:
    """`begin(*arguments)` is called first in each. Spawned: a fork would copy the locks of whatever thread runs."""
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, spawn, initializer=_begin, initargs=(begin, arguments))


def _begin(begin: Callable[..., None], arguments: tuple[object, ...]) -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), name="parent", daemon=True).start()
    begin(*arguments)


def _end_with(parent: BaseProcess) -> None:
    """A killed parent cancels nothing: its workers would go on, and then wait for work for ever."""
    parent.join()
    os._exit(1)
