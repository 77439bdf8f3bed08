"""What strangers may try, as bodies of a strategy: each answers GOT_THROUGH only if it did, and what stops it is named.

They run with `os`, `sys`, `M` (all loaded modules) and `sc` (any syscall), past the list of allowed imports: what has
to hold is the kernel. Braces hold the service's process, a secret file and sockets made for it.
"""

from __future__ import annotations

import sys
from typing import Final

GOT_THROUGH: Final = "got through"
REFUSED, EXHAUSTED, DIED, BAD, FORGED = "refused", "exhausted", "died", "bad", "forged"
HARMLESS: Final = "harmless"
"""It runs to its end, and nothing outside has changed."""

PREAMBLE: Final = """
import statistics
sys = statistics.sys
M = sys.modules
os = M["os"]
np = M["numpy"]
C = M["ctypes"]
L = C.CDLL(None, use_errno=True)
L.syscall.restype = C.c_long

def sc(*arguments):
    longs = [C.c_long(each) if isinstance(each, int) else each for each in arguments]
    if (result := L.syscall(*longs)) < 0:
        raise OSError(C.get_errno(), os.strerror(C.get_errno()))
    return result

"""

PAYLOADS: Final[dict[str, tuple[str, str]]] = {
    # files
    "open a file": (REFUSED, "open('/etc/passwd').read()"),
    "open a world-readable secret": (REFUSED, "open({secret!r}).read()"),
    "open by descriptor": (REFUSED, "os.open({secret!r}, 0)"),
    "open as FileIO": (REFUSED, "M['io'].FileIO({secret!r})"),
    "map a file as an array": (REFUSED, "np.memmap({secret!r}, dtype='u1', mode='r')"),
    "read a file as an array": (REFUSED, "np.fromfile({secret!r}, dtype='u1')"),
    "load a file as an array": (REFUSED, "np.load({secret!r})"),
    "list a folder": (REFUSED, "os.listdir('/')"),
    "scan a folder": (REFUSED, "list(os.scandir('/'))"),
    "look at a file": (REFUSED, "os.stat({secret!r})"),
    "follow a link": (REFUSED, "os.readlink('/proc/self/exe')"),
    "write a file": (REFUSED, "open('/tmp/payload', 'w').write('x')"),
    "make a folder": (REFUSED, "os.mkdir('/tmp/payload')"),
    "remove a file": (REFUSED, "os.unlink({secret!r})"),
    "change rights": (REFUSED, "os.chmod({secret!r}, 0o777)"),
    "make a link": (REFUSED, "os.symlink({secret!r}, '/tmp/payload')"),
    "change root": (REFUSED, "os.chroot('/tmp')"),
    "make a device": (REFUSED, "os.mknod('/tmp/payload', 0o60666, 0x800)"),
    "mount": (REFUSED, "sc(165, b'x', b'/tmp', b'tmpfs', 0, 0)"),
    "read the service's environment": (REFUSED, "open('/proc/{service}/environ').read()"),
    "read the service's memory": (REFUSED, "open('/proc/{service}/mem', 'rb')"),
    "find a secret in its own environment": (
        HARMLESS,
        "assert 'RUNNER_PAYLOAD_SECRET' not in os.environ; return 'hold'",
    ),
    "find a secret among all objects": (
        HARMLESS,
        (
            "texts = [each for each in M['gc'].get_objects() if isinstance(each, dict)]\n"
            "assert not any('RUNNER_PAYLOAD_' + 'SECRET' in each for each in texts)\nreturn 'hold'"
        ),
    ),
    "use descriptors it was born with": (
        HARMLESS,
        (
            "held = []\nfor each in range(1024):\n  try: os.lseek(each, 0, 1)\n"
            "  except OSError as e: held += [each][e.errno == 9:]\n"
            "assert held == [3]\nreturn 'hold'"
        ),
    ),
    "load a module from disk": (BAD, "M['importlib'].import_module('sqlite3')"),
    # network
    "connect over TCP": (REFUSED, "M['socket'].create_connection(('127.0.0.1', {port}), 1)"),
    "send over UDP": (REFUSED, "M['socket'].socket(2, 2).sendto(b'x', ('127.0.0.1', {port}))"),
    "connect to the database's socket": (REFUSED, "M['socket'].socket(1, 1).connect({unix!r})"),
    "connect to an abstract socket": (REFUSED, "M['socket'].socket(1, 1).connect('\\0payload')"),
    "open a raw socket": (REFUSED, "M['socket'].socket(2, 3, 1)"),
    "open a netlink socket": (REFUSED, "M['socket'].socket(16, 3, 0)"),
    "make a pair of sockets": (REFUSED, "M['socket'].socketpair()"),
    "resolve a name": (BAD, "M['socket'].getaddrinfo('example.org', 80)"),
    # processes
    "fork": (REFUSED, "if os.fork() == 0: os._exit(0)"),
    "fork bomb that never gives up": (
        EXHAUSTED,
        "while True:\n  try:\n    if os.fork() >= 0: return GOT_THROUGH\n  except OSError: pass",
    ),
    "vfork": (REFUSED, "sc(58)"),
    "clone": (REFUSED, "sc(56, 17, 0, 0, 0, 0)"),
    "clone3": (REFUSED, "sc(435, C.addressof(C.create_string_buffer(88)), 88)"),
    "start a thread": (BAD, "M['_thread'].start_new_thread(int, ())"),
    "start fifty threads": (BAD, "[M['threading'].Thread(target=int).start() for _ in range(50)]"),
    "run a program": (REFUSED, "M['subprocess'].run(['id'])"),
    "spawn a program": (REFUSED, "os.posix_spawn('/bin/true', ['true'], {{}})"),
    "become a program": (REFUSED, "os.execv('/bin/sh', ['sh', '-c', 'true'])"),
    "a shell by way of all classes": (
        HARMLESS,
        (
            "wrap = next(each for each in ().__class__.__base__.__subclasses__() if each.__name__ == '_wrap_close')\n"
            "assert wrap.__init__.__globals__['system']('exit 7') >> 8 != 7\nreturn 'hold'"
        ),
    ),
    "a shell by way of pickle": (
        HARMLESS,
        "assert M['pickle']._loads(b'cposix\\nsystem\\n(S\"exit 7\"\\ntR.') >> 8 != 7\nreturn 'hold'",
    ),
    "a pipe from a shell": (REFUSED, "os.popen('id').read()"),
    # others
    "signal the service": (REFUSED, "os.kill({service}, 0)"),
    "kill the service": (REFUSED, "os.kill({service}, 9)"),
    "signal everybody": (REFUSED, "os.kill(-1, 0)"),
    "signal its group": (REFUSED, "os.killpg(0, 0)"),
    "signal a thread of the service": (REFUSED, "sc(234, {service}, {service}, 0)"),
    "a handle of the service": (REFUSED, "sc(434, {service}, 0)"),
    "trace the service": (REFUSED, "sc(101, 0x4206, {service}, 0, 0)"),
    "be traced": (REFUSED, "sc(101, 0, 0, 0, 0)"),
    "read the service's memory by syscall": (REFUSED, "sc(310, {service}, 0, 0, 0, 0, 0)"),
    "write the service's memory by syscall": (REFUSED, "sc(311, {service}, 0, 0, 0, 0, 0)"),
    "take more than its share of the processor": (REFUSED, "os.setpriority(0, 0, -20)"),
    "choose its processor": (REFUSED, "os.sched_setaffinity(0, {{0}})"),
    # the kernel
    "raise its limits": (BAD, "M['resource'].setrlimit(M['resource'].RLIMIT_AS, (-1, -1))"),
    "become root": (REFUSED, "os.setuid(0)"),
    "new namespaces": (REFUSED, "sc(272, 0x10000000)"),
    "another's namespace": (REFUSED, "sc(308, 3, 0)"),
    "change its own flags": (REFUSED, "sc(157, 4, 1, 0, 0, 0)"),
    "a filter of its own": (REFUSED, "sc(317, 1, 0, 0)"),
    "bpf": (REFUSED, "sc(321, 0, 0, 0)"),
    "performance events": (REFUSED, "sc(298, 0, 0, -1, -1, 0)"),
    "keys of the kernel": (REFUSED, "sc(250, 0, -3, 1)"),
    "io_uring": (REFUSED, "sc(425, 4, C.addressof(C.create_string_buffer(120)))"),
    "a file in memory": (REFUSED, "sc(319, C.c_char_p(b'x'), 0)"),
    "shared memory": (REFUSED, "sc(29, 7, 4096, 0o1666)"),
    "page faults of its own": (REFUSED, "sc(323, 0)"),
    "another personality": (REFUSED, "sc(135, 0x0400000)"),
    "memory that is executable": (
        REFUSED,
        (
            "L.mmap.restype = C.c_void_p\nif L.mmap(0, 4096, 7, 34, -1, 0) in (None, 2 ** 64 - 1):\n"
            "  raise OSError(C.get_errno(), 'mmap')"
        ),
    ),
    "make memory executable": (
        REFUSED,
        "L.mmap.restype = C.c_void_p\nat = L.mmap(0, 4096, 3, 34, -1, 0)\nsc(10, C.c_void_p(at), 4096, 5)",
    ),
    "an alarm": (REFUSED, "M['signal'].setitimer(0, 1)"),
    "a system call of 32 bits": (DIED, "sc(0x40000000 | 39)"),
    # memory and time
    "an array of 2 GB": (EXHAUSTED, "np.ones(1 << 28)"),
    "small objects without end": (EXHAUSTED, "kept = []\nwhile True: kept.append(bytearray(1 << 20))"),
    "a text that doubles": (EXHAUSTED, "text = 'x'\nwhile True: text += text"),
    "a loop without end": (EXHAUSTED, "while True: pass"),
    "a loop that swallows everything": (
        EXHAUSTED,
        "while True:\n  try:\n    while True: pass\n  except BaseException: pass",
    ),
    "a number without end": (EXHAUSTED, "len(str(9 ** 9 ** 9))"),
    "a pattern without end": (EXHAUSTED, "M['re'].match(r'(a+)+$', 'a' * 40 + 'b')"),
    "a sum without end": (EXHAUSTED, "sum(iter(int, 1))"),
    "sleep": (EXHAUSTED, "M['time'].sleep(30)"),
    # From Python 3.12 on the interpreter itself bounds it, and the error is refused by name.
    "recursion without a bound": (
        DIED if sys.version_info < (3, 12) else BAD,
        "sys.setrecursionlimit(10 ** 9)\ndef f(x): return [*map(f, [x])]\nf(0)",
    ),
    # what it sends back
    "an answer of 10 MB": (FORGED, "return 'x' * 10_000_000"),
    "a million items": (BAD, "return list(range(10 ** 6))"),
    "an answer 100,000 deep": (BAD, "x = []\nfor _ in range(100_000): x = [x]\nreturn x"),
    "an answer that holds itself": (BAD, "x = {{}}\nx['x'] = x\nreturn x"),
    "an answer whose items never end": (
        EXHAUSTED,
        (
            "class Endless(dict):\n  def __len__(self): return 1\n  def items(self):\n"
            "    while True: yield 'a', 1\nreturn Endless()"
        ),
    ),
    "print 100 MB": (HARMLESS, "for _ in range(1000): print('x' * 100_000)\nreturn 'hold'"),
    "a length of 2 GB": (FORGED, "os.write(3, b'\\xff\\xff\\xff\\x7f'); return 'hold'"),
    "a frame of rubbish": (FORGED, "os.write(3, b'\\x04\\0\\0\\0\\xc1\\xc1\\xc1\\xc1'); return 'hold'"),
    "a frame of another kind": (FORGED, "os.write(3, b'\\x01\\0\\0\\0\\x80'); return 'hold'"),
    "byte by byte for minutes": (
        EXHAUSTED,
        "os.write(3, b'\\xff\\xff\\x03\\0')\nwhile True: os.write(3, b'x'); M['time'].sleep(0.0005)",
    ),
    "close the line": (DIED, "os.close(3); return 'hold'"),
    "leave": (DIED, "os._exit(0)"),
    "fall over": (DIED, "C.string_at(0)"),
    # words and traces
    "a text that formats its way out": (
        HARMLESS,
        "assert 'RUNNER_PAYLOAD_' + 'SECRET' not in '{{0.__class__.__init__}}'.format(context)\nreturn 'hold'",
    ),
    "walk the frames to the zygote's socket": (
        BAD,
        (
            "frame = sys._getframe()\nwhile frame.f_back: frame = frame.f_back\n"
            "for each in M['gc'].get_objects():\n  if isinstance(each, M['socket'].socket): each.send(b'fork')\n"
            "raise ValueError('none')"
        ),
    ),
    "an error that never ends to speak": (
        EXHAUSTED,
        "class E(Exception):\n  def __str__(self):\n    while True: pass\nraise E",
    ),
    "an error of 10 MB": (BAD, "raise ValueError('x' * 10_000_000)"),
    "an error that tells a path": (BAD, "raise ValueError({secret!r})"),
    "stop the interpreter's own way": (BAD, "raise SystemExit(0)"),
    "hooks for the end": (HARMLESS, "M['atexit'].register(lambda: os.kill({service}, 9))\nreturn 'hold'"),
    # what the next one finds
    "change math for all": (HARMLESS, "M['math'].sqrt = lambda x: 0\nreturn 'hold'"),
    "change numpy for all": (HARMLESS, "np.mean = np.sum = np.ones = None\nreturn 'hold'"),
    "change talib for all": (HARMLESS, "M['talib'].RSI = lambda *a, **k: np.zeros(1)\nreturn 'hold'"),
    "change the builtins for all": (FORGED, "M['builtins'].len = lambda x: 0\nreturn 'hold'"),
    "empty the modules for all": (HARMLESS, "M.clear()\nreturn 'hold'"),
    "change the worker itself": (HARMLESS, "M['actors.sandbox.worker'].LANGUAGES = {{}}\nreturn 'hold'"),
}
