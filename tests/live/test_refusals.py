"""Bad input through the real command line: one clear sentence on stderr, an exit code, no traceback."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from bin.tether import tether
from core.risk import RiskLimits
from schema.embedded import EmbeddedPostgres
from schema.migrate import migrate
from schema.pg import PgStore
from tests.leftovers import LEFT
from tests.live.candle_folder import START, candle_folder
from tests.live.process import command, environment, folder
from tests.schema.pg_world import make_run

pytestmark = pytest.mark.live

PATIENCE_S = 60.0
BACKTEST = ("backtest", "--template", "sma_trend", "--timeframe", "5m")
SERVE = ("serve", "--port", "0")
NOBODY_ID = 65_534
EVERYWHERE = "0.0.0.0"  # noqa: S104 - what must be refused


class Said:
    """How a command ended."""

    def __init__(
        self, data_dir: Path, arguments: tuple[str, ...], prefix: tuple[str, ...], **settings: str
    ) -> None:
        done = subprocess.run(
            [*prefix, *command(*arguments)],
            cwd=data_dir,
            env=environment(data_dir, **settings),
            stdin=tether(),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        self.code = done.returncode
        self.stdout = done.stdout
        self.stderr = done.stderr
        LEFT.note("what a command said", done.stdout + done.stderr)

    def refusal(self) -> str:
        """The one sentence, after what was said about progress; exit code 1 and nothing else anywhere."""
        *before, sentence = self.stderr.splitlines()
        assert self.code == 1, self.stderr
        assert self.stdout == ""
        assert "Traceback" not in self.stderr
        assert all(line.endswith("…") for line in before), self.stderr
        assert sentence.endswith(".")
        assert "Failed unexpectedly" not in sentence
        return sentence


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder with good candles, malformed ones, an empty folder and a broken settings file."""
    with folder() as made:
        candle_folder(made / "candles", span=timedelta(days=1, hours=1), symbols=("BTCUSDT",))
        (made / "empty").mkdir()
        (made / "malformed").mkdir()
        name = "binance-perp-BTCUSDT-1m-20260202-20260202.csv"
        rows = [f"{int(START.timestamp() + 60 * n) * 1_000},1,2,0.5,1.5,10" for n in range(1_500)]
        rows[41] = rows[41].replace("0.5", "half")
        (made / "malformed" / name).write_text(
            "open_time,open,high,low,close,volume\n" + "\n".join(rows) + "\n"
        )
        (made / "broken.yaml").write_text("risk:\n  daily_max_loss_usdt: [50\n")
        (made / "unknown.yaml").write_text("no_such_setting: 1\n")
        yield made


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            (*BACKTEST, "--symbol", "DOGEUSDT", "--data", "candles"),
            "no candles of DOGEUSDT; there are BTCUSDT",
        ),
        ((*BACKTEST, "--symbol", "no such thing"), "'no such thing' is not a symbol"),
        ((*BACKTEST, "--symbol", "BTCUSDT", "--data", "malformed"), ".csv, line 43: "),
        ((*SERVE, "--demo", "--data", "malformed"), ".csv, line 43: "),
        (
            (*BACKTEST, "--symbol", "BTCUSDT", "--from", "2026-02-02", "--to", "2026-02-01"),
            "must end after it begins",
        ),
        ((*BACKTEST, "--symbol", "BTCUSDT", "--from", "someday"), "'someday' is not a time"),
        (
            (
                *BACKTEST,
                "--symbol",
                "BTCUSDT",
                "--data",
                "candles",
                "--from",
                "2020-01-01",
                "--to",
                "2020-02-01",
            ),
            "The range lies outside the BTCUSDT candles",
        ),
        ((*SERVE, "--config", "broken.yaml"), "broken.yaml is not YAML (line"),
        ((*SERVE, "--config", "unknown.yaml"), "there is no setting"),
        ((*SERVE, "--demo", "--data", "nowhere"), "There is no folder nowhere"),
        ((*SERVE, "--demo", "--data", "empty"), "empty holds no file named like"),
        ((*SERVE, "--data", "candles"), "--data is for the demo"),
        ((*SERVE, "--once"), "--once is for the demo"),
        ((*SERVE, "--demo", "--host", EVERYWHERE), f"this machine only, not on {EVERYWHERE}"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(place: Path, arguments: tuple[str, ...], sentence: str) -> None:
    assert sentence in Said(place, arguments, ()).refusal()


@pytest.mark.parametrize(
    "arguments",
    [
        ("serve", "--port", "nine"),
        ("serve", "--port", "70000"),
        ("serve", "--demo", "--speed", "0"),
        ("serve", "--nonsense"),
        ("nonsense",),
        ("backtest", "--symbol", "BTCUSDT"),
    ],
)
def test_a_command_line_that_cannot_be_is_exit_code_2(place: Path, arguments: tuple[str, ...]) -> None:
    said = Said(place, arguments, ())
    assert said.code == 2
    assert said.stderr
    assert "Traceback" not in said.stderr


def test_a_production_environment_plays_no_demo(place: Path) -> None:
    assert "ENVIRONMENT" in Said(place, (*SERVE, "--demo"), (), ENVIRONMENT="production").refusal()


def test_a_port_that_is_taken_is_named_before_anything_is_started(place: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = Said(place, ("serve", "--demo", "--port", str(port)), ())
    assert said.stderr == said.refusal() + "\n"
    assert f"Port {port} on 127.0.0.1 is taken" in said.stderr


@pytest.mark.parametrize("arguments", [(), ("--demo",)])
def test_a_data_directory_that_cannot_be_written_is_named(place: Path, arguments: tuple[str, ...]) -> None:
    closed = place / "closed"
    closed.mkdir(exist_ok=True)
    prefix: tuple[str, ...] = ()
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("setpriv, which takes root's right to write anywhere away, is not installed")
        prefix = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")
        os.chown(closed, NOBODY_ID, NOBODY_ID)
    closed.chmod(0o555)
    said = Said(place, (*SERVE, *arguments), prefix, RUNNER_DATA_DIR=str(closed / "var"))
    assert "closed/var" in said.refusal()
    assert "cannot be written: Permission denied" in said.refusal()


@pytest.mark.parametrize("arguments", [(), ("--demo",)])
def test_a_database_that_is_not_for_this_is_refused(
    arguments: tuple[str, ...], database: str, place: Path
) -> None:
    """Decision 2: a demo's database for plain serve, another's for the demo; either way nothing is changed."""
    with open_store(database) as store:
        if arguments:
            make_run(store, "somebody")
            sentence = "This database holds runs that are no demo"
        else:
            store.mark_demo(start=START, rate=1.0)
            sentence = "This database holds a demo"
        before = store.platform().demo
    said = Said(place, (*SERVE, *arguments), (), DATABASE_URL=database)
    assert sentence in said.refusal()
    with open_store(database) as store:
        assert store.platform().demo == before


def test_a_database_of_a_newer_program_is_refused(database: str, place: Path) -> None:
    with psycopg.connect(database) as connection:
        connection.execute(
            "INSERT INTO schema_migrations (version, name, sha256) VALUES (9999, '9999_later.sql', 'x')"
        )
    said = Said(place, SERVE, (), DATABASE_URL=database)
    assert "newer than this program: it has migration 9999_later.sql" in said.refusal()


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    with folder() as made, EmbeddedPostgres(made / "postgres") as running:
        yield running


@pytest.fixture
def database(server: EmbeddedPostgres) -> Iterator[str]:
    """The URL of a migrated database, as DATABASE_URL would give it; dropped afterwards."""
    name = "runner_refused"
    owner = conninfo_to_dict(server.owner_dsn)["user"]
    with psycopg.connect(server.admin_dsn, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} OWNER {owner}")
        parts = conninfo_to_dict(server.owner_dsn)
        url = f"postgresql://{parts['user']}@/{name}?host={quote(str(parts['host']), safe='')}&port={parts['port']}"
        migrate(url)
        yield url
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def open_store(url: str) -> Iterator[PgStore]:
    store = PgStore(url, default_limits=RiskLimits(), worker="test")
    try:
        yield store
    finally:
        store.close()
