"""The process workers are forked from: `python -m actors.sandbox.zygote CONTROL_FD OPTIONS`.

It loads what code may use once, gives up what the kernel lets it, and then forks a worker for each descriptor that
it is sent, answering with a handle of the process. It holds no secret and reads nothing of what its workers do; it
ends when the service closes the socket, however the service ends.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import gc
import importlib
import json
import os
import random
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from actors.sandbox import layers
from actors.sandbox.allowed import ALLOWED, BEHIND_THE_SCENES
from actors.sandbox.rehearsal import rehearse
from actors.sandbox.worker import WORKER_FD, Worker

NOBODY: Final = 64_000
"""A user id that owns nothing."""
REHEARSALS: Final = 16
"""As often as the interpreter wants to have seen a line before it takes it the quick way."""


_LIBC: Final = ctypes.PyDLL(None, use_errno=True)


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    options: dict[str, Any] = json.loads(sys.argv[2])
    for name in (*ALLOWED, *BEHIND_THE_SCENES, *options["preload"]):
        importlib.import_module(name)
    # Read while files can be: what the loaded modules take of the address space is not the code's.
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    memory = pages * os.sysconf("SC_PAGE_SIZE") + options["memory"]
    standing = {"namespaces": _tried(layers.enter_namespaces)}
    if standing["namespaces"] == "on":
        _become_first_process(control)
    # As root alone; another user has nothing to drop.
    standing["user"] = _tried(lambda: layers.drop_user(NOBODY)) if os.geteuid() == 0 else "not root"
    standing["landlock"] = _tried(layers.restrict_files)
    syscalls = layers.SyscallFilter(writes_to=WORKER_FD)
    worker = Worker(memory=memory, cpu_s=options["cpu_s"], syscalls=syscalls)
    for _ in range(REHEARSALS):
        rehearse()
    gc.collect()
    gc.freeze()  # or each worker's first collection would copy every page
    _send_handle(control, json.dumps(standing).encode(), os.getpid())
    _serve(control, worker)


def _tried(layer: Callable[[], object]) -> str:
    try:
        layer()
    except OSError as error:
        return f"off: {error.strerror}"
    return "on"


def _become_first_process(control: socket.socket) -> None:
    """Go on as the child, which is the first process of the new namespace: its end is the end of all in it."""
    child = os.fork()
    if not child:
        layers.die_with_parent()
        return
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGKILL))
    control.close()
    os.waitpid(child, 0)
    os._exit(0)


def _serve(control: socket.socket, worker: Worker) -> None:
    while True:
        _draw_anew()
        told, handles, _, _ = socket.recv_fds(control, 16, 1)
        if not told:
            os._exit(0)
        _reap()
        child = _fork()
        if child < 0:
            control.send(os.strerror(ctypes.get_errno()).encode())
            os.close(handles[0])
            continue
        if not child:
            try:
                control.close()
                worker.live(handles[0], stands_by=told == b"spare")
            finally:
                os._exit(1)
        _send_handle(control, b"worker", child)
        os.close(handles[0])


def _send_handle(control: socket.socket, told: bytes, pid: int) -> None:
    handle = os.pidfd_open(pid)
    control.sendmsg([told], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [handle]))])
    os.close(handle)


def _fork() -> int:
    """As the kernel does it; negative where it does not. What `os.fork` sets right in the child is for processes with
    threads, of which this has one, and it writes to a third of the pages that a child comes to own.
    """
    return int(_LIBC.fork())


def _draw_anew() -> None:
    """Before each child is asked for, as it takes it many pages: all would draw the same numbers, and what differs from
    run to run would go unseen.
    """
    random.seed()
    np.random.seed(int.from_bytes(os.urandom(4), "little"))


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


if __name__ == "__main__":
    main()
