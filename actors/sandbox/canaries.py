"""Whether a real worker is held: what no strategy may do is tried in one, and what succeeds is named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from actors.sandbox.frames import Failed, Fault, Program
from actors.sandbox.host import Zygote

_MODULES: Final = "import statistics\nmodules = statistics.sys.modules\nos = modules['posix']\n"
CANARIES: Final[Mapping[str, str]] = {
    "open files": "open('/etc/hostname').read(1)",
    "list folders": "os.listdir('/')",
    "use the network": "modules['socket'].socket()",
    "make processes": "os._exit(0) if os.fork() == 0 else None",
    "run programs": "os.execv('/bin/true', ['true'])",
    "send signals": "os.kill(os.getpid(), 0)",
    "make threads": "modules['_thread'].start_new_thread(int, ())",
    "take memory without end": "bytearray({too_much})",
    "run machine code": (
        "c = modules['ctypes']\nm = c.CDLL(None, use_errno=True).mmap\nm.restype = c.c_void_p\n"
        "if m(0, 4096, 7, 34, -1, 0) == 2 ** 64 - 1: raise PermissionError"
    ),
}
_REFUSED: Final = frozenset({Fault.EXCEPTION, Fault.MEMORY})


def holes(zygote: Zygote) -> list[str]:
    """What got through, as "the kernel lets a worker …"; empty where all was refused. Raises SandboxAway, Starved."""
    through = []
    for name, code in CANARIES.items():
        with zygote.worker() as worker:
            # An alarm that goes off by a wrong name is no refusal: modules are there before anything is tried.
            text = _MODULES + code.replace("{too_much}", str(2 * zygote.limits.memory))
            reply = worker.ask(Program(kind="python", text=text))[-1]
        if not _is_refusal(reply):
            through.append(name)
    return through


def _is_refusal(reply: object) -> bool:
    if not isinstance(reply, Failed) or reply.fault not in _REFUSED:
        return False
    return reply.fault is Fault.MEMORY or reply.sentence.startswith(
        ("PermissionError", "RuntimeError: can't start new thread", "BlockingIOError")
    )
