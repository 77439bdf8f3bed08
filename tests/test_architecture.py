"""The tree keeps its layers, and the check that says so bites."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.architecture import ARROWS, FILE_LINES_MAX, FUNCTION_LINES_MAX, violations

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in (*ARROWS, "tests")
    for path in (ROOT / folder).rglob("*.py")
)


@pytest.mark.parametrize("package", [*ARROWS, "tests"])
def test_every_file_keeps_the_layering_rules(package: str) -> None:
    files = [path for path in SOURCES if path.startswith(f"{package}/")]
    assert files
    assert [rule for path in files for rule in violations(path, (ROOT / path).read_text())] == []


@pytest.mark.parametrize(
    ("path", "source", "rule"),
    [
        ("core/x.py", "import schema.store", "core may not import schema.store"),
        ("core/x.py", "from actors import system", "core may not import actors"),
        ("core/x.py", "import httpx", "httpx may be imported only in"),
        ("core/x.py", "import socket", "core is pure"),
        ("core/x.py", "import os", "core is pure"),
        ("core/x.py", "import urllib.request", "core is pure"),
        ("core/x.py", "from time import monotonic", "core is pure"),
        ("core/x.py", "def f():\n    import schema", "core may not import schema"),
        (
            "core/x.py",
            "if TYPE_CHECKING:\n    from actors.system import System",
            "core may not import actors.system",
        ),
        ("exchanges/x.py", "from schema.store import Store", "exchanges may not import schema.store"),
        ("schema/x.py", "import exchanges", "schema may not import exchanges"),
        ("actors/x.py", "import facade.app", "actors may not import facade.app"),
        ("facade/x.py", "from bin.commands import main", "facade may not import bin.commands"),
        ("facade/x.py", "import psycopg", "psycopg may be imported only in schema/"),
        ("facade/routes/x.py", "import httpx", "httpx may be imported only in"),
        ("bin/commands/x.py", "import starlette.applications", "starlette may be imported only in facade/"),
        ("bin/commands/x.py", "import uvicorn", "uvicorn may be imported only in facade/"),
        ("exchanges/x.py", "import pykka", "pykka may be imported only in actors/"),
        ("facade/x.py", "import uvloop", "uvloop may be imported only in actors/runtime/"),
        ("schema/x.py", "from cryptography.hazmat import x", "cryptography may be imported only in"),
        ("actors/x.py", "import psycopg_pool", "psycopg_pool may be imported only in schema/"),
        ("actors/x.py", "import requests", "requests has no place yet"),
        ("actors/x.py", "from tests.fakes import clock", "actors may not import tests"),
        ("actors/x.py", "from datetime import datetime\ndatetime.now(UTC)", "datetime.now is not read here"),
        ("actors/x.py", "import datetime as dt\nf = dt.datetime.now", "datetime.now is not read here"),
        ("core/x.py", "import datetime\ndatetime.date.today()", "datetime.date.today is not read here"),
        ("actors/x.py", "import time\ntime.sleep(1)", "time.sleep is not read here"),
        ("actors/x.py", "from time import time as read\nread()", "time.time is not read here"),
        ("core/x.py", "import random\nrandom.random()", "random.random is not used here"),
        ("actors/x.py", "from random import choice\nchoice(x)", "random.choice is not used here"),
        ("actors/x.py", "import random\nrandom.Random()", "an unseeded Random"),
        ("actors/x.py", "from uuid import uuid4\nuuid4()", "uuid.uuid4 is not read here"),
        ("actors/x.py", "import os\nos.environ['X']", "os.environ is not read here"),
        ("actors/x.py", "import secrets\nsecrets.token_hex()", "secrets.token_hex is not used here"),
        ("core/utils.py", "", "a file is named for the one thing in it"),
        ("core/x.py", "\n" * (FILE_LINES_MAX + 1), f"more than {FILE_LINES_MAX}"),
        ("tests/x.py", "def f():\n" + "    g()\n" * FUNCTION_LINES_MAX, f"more than {FUNCTION_LINES_MAX}"),
    ],
)
def test_a_file_that_breaks_a_rule_is_named_with_the_rule(path: str, source: str, rule: str) -> None:
    found = violations(path, source)
    assert len(found) == 1
    assert rule in found[0]
    assert found[0].startswith(f"{path}:")


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("core/x.py", "import talib, numpy, msgspec, cronsim, math\nfrom decimal import Decimal"),
        ("core/x.py", "from datetime import UTC, datetime\ndatetime.fromtimestamp(0, UTC)"),
        ("core/x.py", "from urllib.parse import urlsplit"),
        ("core/x.py", "def next_close(now):\n    return now"),
        ("actors/x.py", "import random\ndef f(rng: random.Random): return rng.random()"),
        ("actors/x.py", "import random\nrandom.Random(7)"),
        ("actors/x.py", "def f(clock):\n    return clock.monotonic(), clock.now()"),
        ("actors/runtime/x.py", "import time\ntime.monotonic()"),
        ("actors/x.py", "import pykka, exchanges.base, schema.store, core.run"),
        ("exchanges/binance/x.py", "import httpx, websockets"),
        ("actors/publishers/x.py", "import httpx"),
        ("facade/x.py", "import starlette, uvicorn, jwt, actors.system, core.errors"),
        ("schema/vault.py", "from cryptography.hazmat.primitives.ciphers.aead import AESGCM"),
        ("bin/x.py", "import time\ntime.time()"),
        ("tests/x.py", "import time, httpx, anything_at_all\ntime.time()"),
        ("core/x.py", "def f():\n" + "    g()\n" * (FUNCTION_LINES_MAX - 1)),
    ],
)
def test_what_the_rules_allow_passes(path: str, source: str) -> None:
    assert violations(path, source) == []
