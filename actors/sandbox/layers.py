"""What the kernel takes away from a process: namespaces, Landlock, user, limits, syscalls. Linux on x86-64 and arm64.

The syscall filter and the limits are what holds (platform: every attempt is refused by these two alone); the others
stand behind them where the kernel offers them. Each function raises OSError where it does not.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import struct
from typing import Final

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_SIGKILL = 9
# The numbers of these calls are the same on both machines.
_LANDLOCK_CREATE_RULESET, _LANDLOCK_RESTRICT_SELF = 444, 446
_LANDLOCK_VERSION_QUESTION = 1


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return result


def _syscall(number: int, *arguments: int) -> int:
    longs = [ctypes.c_long(each) for each in (number, *arguments)]
    return _checked(_LIBC.syscall(*longs), f"syscall {number}")


def _prctl(option: int, value: int) -> None:
    rest = [ctypes.c_ulong(each) for each in (value, 0, 0, 0)]
    _checked(_LIBC.prctl(option, *rest), f"prctl {option}")


def die_with_parent() -> None:
    """To be called again after a change of user, which the kernel takes as the end of this wish."""
    _prctl(_PR_SET_PDEATHSIG, _SIGKILL)


def undumpable() -> None:
    """No core file, and nobody of the same user may look into this process."""
    _prctl(_PR_SET_DUMPABLE, 0)


# -- namespaces -----------------------------------------------------------------------------------

_MOUNTS, _HOST_NAME, _IPC, _USERS, _PIDS, _NETWORK = (
    0x20000,
    0x4000000,
    0x8000000,
    0x10000000,
    0x20000000,
    0x40000000,
)


def enter_namespaces() -> None:
    """No network, no other processes; process ids from the next child on. Without root through a user namespace."""
    wanted = _MOUNTS | _HOST_NAME | _IPC | _PIDS | _NETWORK
    user, group = os.geteuid(), os.getegid()
    if user == 0:
        _checked(_LIBC.unshare(wanted), "unshare")
        return
    _checked(_LIBC.unshare(wanted | _USERS), "unshare")
    maps = {"setgroups": "deny", "uid_map": f"{user} {user} 1", "gid_map": f"{group} {group} 1"}
    for name, content in maps.items():
        with open(f"/proc/self/{name}", "w") as file:
            file.write(content)


# -- Landlock -------------------------------------------------------------------------------------

_FILE_RIGHTS: Final = {1: 13, 2: 14, 3: 15, 4: 15}
"""Rights over files that a version of Landlock knows, as a number of bits; later ones know 16."""


def restrict_files() -> int:
    """No file, no TCP, no signal outside; the version of Landlock that says so. Children inherit it."""
    version = _syscall(_LANDLOCK_CREATE_RULESET, 0, 0, _LANDLOCK_VERSION_QUESTION)
    files = (1 << _FILE_RIGHTS.get(version, 16)) - 1
    network, scopes = (3 if version >= 4 else 0), (3 if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = ctypes.create_string_buffer(struct.pack("=QQQ", files, network, scopes)[:size], size)
    handle = _syscall(_LANDLOCK_CREATE_RULESET, ctypes.addressof(ruleset), size, 0)
    try:
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        _syscall(_LANDLOCK_RESTRICT_SELF, handle, 0)
    finally:
        os.close(handle)
    return version


# -- user and limits ------------------------------------------------------------------------------


def drop_user(user: int) -> None:
    """From root to a user and group that own nothing."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def limit(*, memory: int, cpu_s: int) -> None:
    """`memory`: bytes of address space in all; `cpu_s`: over the process's life. Nothing is written, nothing forked."""
    limits = {
        resource.RLIMIT_AS: memory,
        resource.RLIMIT_CPU: cpu_s,
        resource.RLIMIT_NPROC: 0,
        resource.RLIMIT_NOFILE: 8,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
    }
    for name, value in limits.items():
        resource.setrlimit(name, (value, value))


# -- syscalls -------------------------------------------------------------------------------------

_CALLS: Final = {
    "x86_64": {
        "read": 0, "write": 1, "close": 3, "fstat": 5, "lseek": 8, "mmap": 9, "mprotect": 10, "munmap": 11,
        "brk": 12, "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15, "sched_yield": 24, "mremap": 25,
        "madvise": 28, "nanosleep": 35, "getpid": 39, "exit": 60, "gettimeofday": 96, "getrusage": 98,
        "sigaltstack": 131, "gettid": 186, "time": 201, "futex": 202, "restart_syscall": 219,
        "clock_gettime": 228, "clock_getres": 229, "clock_nanosleep": 230, "exit_group": 231, "getrandom": 318,
        "membarrier": 324, "rseq": 334,
    },
    "aarch64": {
        "close": 57, "lseek": 62, "read": 63, "write": 64, "fstat": 80, "exit": 93, "exit_group": 94,
        "futex": 98, "nanosleep": 101, "clock_gettime": 113, "clock_getres": 114, "clock_nanosleep": 115,
        "sched_yield": 124, "restart_syscall": 128, "sigaltstack": 132, "rt_sigaction": 134,
        "rt_sigprocmask": 135, "rt_sigreturn": 139, "getrusage": 165, "gettimeofday": 169, "getpid": 172,
        "gettid": 178, "brk": 214, "munmap": 215, "mremap": 216, "mmap": 222, "mprotect": 226, "madvise": 233,
        "getrandom": 278, "membarrier": 283, "rseq": 293,
    },
}  # fmt: skip
_MACHINES: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_SECCOMP: Final = {"x86_64": 317, "aarch64": 277}
_FILTER_MODE, _ALL_THREADS = 1, 1
_ALLOW, _KILL, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050000 | errno.EPERM
_LOAD, _RETURN, _EQUAL, _AT_LEAST, _ANY_BIT = 0x20, 0x06, 0x15, 0x35, 0x45
_NUMBER, _MACHINE, _FIRST_ARGUMENT, _THIRD_ARGUMENT = 0, 4, 16, 32
_X32_NUMBERS, _PROT_EXEC = 0x40000000, 4

Instruction = tuple[int, int, int, int]
"""Code, how many to jump over if true, and if false, operand."""


class SyscallFilter:
    """An allow-list: memory that is never executable, time, writing to one descriptor, the end. The rest is EPERM.

    Made before the limits are set, installed after; there is no way back.
    """

    def __init__(self, *, writes_to: int) -> None:
        machine = platform.machine()
        if machine not in _CALLS:
            raise OSError(errno.ENOSYS, f"no syscall filter is known for {machine}")
        program = b"".join(struct.pack("=HBBI", *each) for each in _program(machine, writes_to))
        self._code = ctypes.create_string_buffer(program, len(program))
        header = struct.pack("=H6xQ", len(program) // 8, ctypes.addressof(self._code))
        self._header = ctypes.create_string_buffer(header, len(header))
        self._number = _SECCOMP[machine]

    def install(self) -> None:
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        _syscall(self._number, _FILTER_MODE, _ALL_THREADS, ctypes.addressof(self._header))


def _program(machine: str, writes_to: int) -> list[Instruction]:
    calls = _CALLS[machine]
    program: list[Instruction] = [
        (_LOAD, 0, 0, _MACHINE),
        (_EQUAL, 1, 0, _MACHINES[machine]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
    ]
    if machine == "x86_64":
        program += [(_AT_LEAST, 0, 1, _X32_NUMBERS), (_RETURN, 0, 0, _KILL)]
    for name in ("mmap", "mprotect"):
        program += [
            (_EQUAL, 0, 4, calls[name]),
            (_LOAD, 0, 0, _THIRD_ARGUMENT),
            (_ANY_BIT, 0, 1, _PROT_EXEC),
            (_RETURN, 0, 0, _REFUSE),
            (_RETURN, 0, 0, _ALLOW),
        ]
    program += [
        (_EQUAL, 0, 4, calls["write"]),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_EQUAL, 0, 1, writes_to),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    for name, number in calls.items():
        if name not in ("mmap", "mprotect", "write"):
            program += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    return [*program, (_RETURN, 0, 0, _REFUSE)]
