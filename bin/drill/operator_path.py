"""The drill of the operator's path: docs/operations.md walked from end to end, each step as an operator takes it."""

from __future__ import annotations

import base64
import os
import secrets
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final

import msgspec

from bin.drill.checkout import Checkout, Client
from bin.drill.left import traces_left
from bin.drill.node import NOBODY, Node
from bin.drill.stand_in import StandIn
from bin.environment import ROOT
from bin.kept_server import kept_server
from core.connection import Venue
from core.errors import RunnerError
from schema import evidence
from schema.database_roles import conninfo_of
from schema.server_files import OWNER_ROLE

UP_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 30.0
AGREE_TIMEOUT_S: Final = 15.0
LOOK_S: Final = 0.1
LATEST_TICK_S: Final = 25
"""Of a minute: a later one might come too late for an entry."""
USER: Final = "me"
ACCOUNT: Final = "main"
SERVE: Final = ("bin.commands", "serve", "--port", "0")
DEPLOYED: Final = {
    "strategyTemplate": "sma_trend",
    "strategyParams": {"period": 5},
    "symbol": "BTCUSDT",
    "timeframe": "1m",
    "tradingMode": "live",
    "executionMode": "AUTO",
    "autoStart": True,
    "leverage": 2,
    "orderSizePct": "10",
    "stopLossPct": "2",
}


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """`previous`: a checkout of the version that is upgraded from; None: this one. `database`: a server's URL, of a
    role that may make roles and databases; None: one of our own."""

    previous: Path | None
    database: str | None


class Step(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    name: str
    outcome: str
    seconds: float
    held: bool = True


class OperatorReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    held: bool
    seconds: float
    steps: Sequence[Step]


def drill(plan: Plan) -> OperatorReport:
    """Raises RunnerError when the drill cannot be held; a step that fails is in the report and the last."""
    if plan.previous is not None and not (plan.previous / "bin" / "runner").is_file():
        raise RunnerError(f"{plan.previous} is no checkout of the program.")
    began_s = monotonic()
    with tempfile.TemporaryDirectory(prefix="runner-operator-") as made, ExitStack() as stack:
        folder = Path(made)
        folder.chmod(0o755)  # the database server may run as another user
        walk = _Walk(plan, folder, stack)
        for name, take in walk.steps():
            if not walk.taken(name, take):
                break
        return OperatorReport(
            held=all(step.held for step in walk.done),
            seconds=round(monotonic() - began_s, 1),
            steps=walk.done,
        )


class _Walk:
    def __init__(self, plan: Plan, folder: Path, stack: ExitStack) -> None:
        self.done: list[Step] = []
        self._plan = plan
        self._folder = folder
        self._stack = stack
        own = plan.database is None
        self._now = Checkout(ROOT, folder, own_server=own)
        self._before = Checkout(plan.previous or ROOT, folder, own_server=own)
        self._yaml = folder / "runner.yaml"
        self._settings = {
            "RUNNER_CONFIG": str(self._yaml),
            "RUNNER_DATA_DIR": str(folder / "var"),
            "BYBIT_BASE_URL": NOBODY,
            "LOG_FORMAT": "json",
        }
        self._keys = [(secrets.token_hex(32), secrets.token_hex(32)) for _ in range(2)]
        self._password = secrets.token_hex(16)
        self._dsns: list[str] = []
        self._nodes: list[Node] = []
        self._connection = self._run = ""

    def steps(self) -> Sequence[tuple[str, Callable[[], str]]]:
        return (
            ("make settings with secrets", self._configure),
            ("make a role and its database", self._make_database),
            ("make the tables", self._migrate),
            ("start the venue's stand-in", self._open_venue),
            ("serve", self._serve_first),
            ("check it from outside", self._smoke),
            ("add a connection", self._connect),
            ("deploy a strategy", self._deploy),
            ("watch it trade", self._watch),
            ("pause and go on", self._pause),
            ("kill switch", self._switch),
            ("rotate the venue's key", self._rotate_key),
            ("upgrade beside the running version", self._upgrade),
            ("rotate the master key", self._rotate_master),
            ("back up", self._back_up),
            ("restore into another database", self._restore),
            ("go on trading", self._trade_on),
            ("stop", self._stop),
            ("look for secrets in what is left", self._scan),
        )

    def taken(self, name: str, take: Callable[[], str]) -> bool:
        began_s = monotonic()
        try:
            outcome, held = take(), True
        except (RunnerError, OSError) as error:
            outcome, held = str(error), False
        step = Step(name=name, outcome=outcome, seconds=round(monotonic() - began_s, 1), held=held)
        self.done.append(step)
        print(
            f"{'ok  ' if held else 'FAIL'}  {name}: {outcome} ({step.seconds} s)", file=sys.stderr, flush=True
        )
        return held

    # -- install ----------------------------------------------------------------------------------

    def _configure(self) -> str:
        self._now.runner("config", "create", str(self._yaml), settings={})
        mode = self._yaml.stat().st_mode & 0o777
        _demand(mode == 0o600, f"the settings file has mode {mode:o}")
        return "mode 600"

    def _make_database(self) -> str:
        """As docs/operations.md has it, by PostgreSQL's own client: the role owns its databases and nothing else."""
        server, mark = self._plan.database, secrets.token_hex(4)
        role, names = f"operator_{mark}", [f"operator_{mark}_{number}" for number in (1, 2)]
        if server is None:
            # It lets in roles of its own alone.
            server = self._stack.enter_context(kept_server(self._folder / "postgres")).admin_dsn
            role = OWNER_ROLE
        else:
            self._sql(server, f"CREATE ROLE {role} LOGIN PASSWORD '{self._password}'")
            self._stack.callback(self._sql, server, f"DROP ROLE {role}")
        for name in names:
            self._sql(server, f"CREATE DATABASE {name} OWNER {role}")
            self._stack.callback(self._sql, server, f"DROP DATABASE {name} WITH (FORCE)")
            self._dsns.append(conninfo_of(server, role=role, password=self._password, database=name))
        self._settings["DATABASE_URL"] = self._dsns[0]
        return self._now.postgres(
            "psql", "-XAt", f"--dbname={self._dsns[0]}", "--command=SHOW server_version"
        ).strip()

    def _sql(self, server: str, statement: str) -> None:
        self._now.postgres("psql", "-XAtq", f"--dbname={server}", f"--command={statement}")

    def _migrate(self) -> str:
        applied = self._before.runner("migrate", settings=self._settings).splitlines()
        self._first_migrations = self._migrations()
        return f"{len(applied)} migrations, the last {applied[-1].removeprefix('Applied ')}"

    def _migrations(self) -> int:
        with evidence.witness(self._dsns[0]) as connection:
            return evidence.number(connection, "SELECT count(*) FROM schema_migrations")

    def _open_venue(self) -> str:
        self._venue = StandIn(Venue.BINANCE, self._folder, (), None)
        self._stack.callback(self._venue.stop)
        self._venue.open_account(
            ACCOUNT, key=self._keys[0][0], secret=self._keys[0][1], balance=Decimal(10_000)
        )
        self._settings |= self._venue.settings
        return self._venue.base_url

    def _serve_first(self) -> str:
        return self._serve(self._before.root)

    def _serve(self, root: Path) -> str:
        node = Node(len(self._nodes) + 1, self._folder, self._settings, None, program=SERVE, root=root)
        self._nodes.append(node)
        self._stack.callback(node.kill)
        node.start(renamed=False)
        deadline_s = monotonic() + UP_TIMEOUT_S
        while node.address is None:
            said = node.log.read_text(errors="replace")[-600:]
            _demand(node.ended is None and monotonic() < deadline_s, f"the service did not start: {said}")
            sleep(LOOK_S)
        token = self._now.runner("token", "--user", USER, "--admin", settings=self._settings).strip()
        self._api = Client(node.address, token)
        self._here = ("--port", node.address.rstrip("/").rsplit(":", 1)[1])
        while not self._api.answers("/readyz"):
            _demand(monotonic() < deadline_s, "the service is not ready")
            sleep(LOOK_S)
        return node.address

    def _smoke(self) -> str:
        address = self._nodes[-1].address or ""
        return self._now.runner("smoke", "--url", address, settings=self._settings).splitlines()[-1]

    # -- trade ------------------------------------------------------------------------------------

    def _connect(self) -> str:
        key, secret = self._keys[0]
        add = ("connections", "add", "--user", USER, "--name", ACCOUNT, "--venue", "binance")
        refused = self._now.runner(*add, settings=self._settings, stdin=f"{secret}\n{key}\n", code=1)
        _demand("does not take this key" in refused, f"a key that is none was answered {refused!r}")
        self._connection = self._now.runner(
            *add, settings=self._settings, stdin=f"{key}\n{secret}\n"
        ).split()[0]
        return "a wrong key refused, the right one tested and sealed"

    def _deploy(self) -> str:
        body = DEPLOYED | {"connectionId": self._connection}
        made = self._api.ask("POST", "/api/strategies/deploy", body, status=201)
        self._run = made["runId"]
        return f"{made['status']}, {made['tradingMode']}"

    def _watch(self) -> str:
        """An operator's tick where the minute is young, else the next slot by itself."""
        if datetime.now(UTC).second < LATEST_TICK_S:
            self._now.runner("tick", self._run, *self._here, settings=self._settings)
        began_s = monotonic()
        while not (held := self._api.ask("GET", f"/api/runs/{self._run}/positions")["positions"]):
            _demand(monotonic() - began_s < UP_TIMEOUT_S + AGREE_TIMEOUT_S, "no position within a slot")
            sleep(LOOK_S)
        types = self._api.follow(f"/api/runs/{self._run}/stream", "order_fill")
        _demand("order_submit" in types, f"the stream told {types}")
        _demand(
            self._run[:8] in self._now.runner("monitor", "--once", *self._here, settings=self._settings),
            "monitor",
        )
        status = self._now.runner("status", self._run, *self._here, settings=self._settings)
        _demand("active, live" in status, status)
        _demand("<main" in self._api.ask("GET", "/"), "the page is none")
        return f"{held[0]['side']} {held[0]['quantity']}; stream, monitor, status and page tell"

    def _pause(self) -> str:
        self._api.ask("POST", f"/api/runs/{self._run}/pause", {})
        refused = self._now.runner("tick", self._run, *self._here, settings=self._settings, code=1)
        self._api.ask("POST", f"/api/runs/{self._run}/resume", {})
        return refused.strip()

    def _switch(self) -> str:
        self._api.ask("PUT", "/api/runner/kill-switch", {"on": True, "reason": "drill"})
        status = self._now.runner("status", self._run, *self._here, settings=self._settings)
        _demand("kill switch is on: drill" in status, status)
        self._api.ask("PUT", "/api/runner/kill-switch", {"on": False, "reason": "drill"})
        return "on, said by status, and off"

    # -- keys and versions ------------------------------------------------------------------------

    def _rotate_key(self) -> str:
        key, secret = self._keys[1]
        path = f"/api/connections/{self._connection}"
        self._api.ask("POST", f"{path}/rotate", {"apiKey": key, "apiSecret": secret}, status=422)
        self._venue.open_account(ACCOUNT, key=key, secret=secret, balance=Decimal(10_000))
        self._api.ask("POST", f"{path}/rotate", {"apiKey": key, "apiSecret": secret})
        balance = self._api.ask("GET", f"{path}/balance")["balanceUsdt"]
        return f"refused before the venue knew it, then taken; {balance} USDT"

    def _upgrade(self) -> str:
        """The new version beside the one before, on one database; then the old one goes."""
        old, asked = self._nodes[-1], self._api
        self._masters(f"second:{base64.b64encode(os.urandom(32)).decode()}", keep=True)
        address = self._serve(ROOT)
        nodes = self._api.ask("GET", "/api/runner/status")["nodes"]
        _demand(len(nodes) == 2, f"there are {len(nodes)} processes")
        told = asked.ask("GET", f"/api/runs/{self._run}")["run"]
        _demand(
            told == self._api.ask("GET", f"/api/runs/{self._run}")["run"],
            "both versions tell of the run alike",
        )
        slots = [
            client.ask("POST", "/api/runner/execute-tick", {"strategyRunId": self._run})["slot"]
            for client in (asked, self._api)
        ]
        self._api.ask("GET", "/readyz")
        took_s = self._ended(old)
        newer = self._migrations() - self._first_migrations
        said = f"{address} beside it, {newer} migrations newer; both tick {slots[-1]}"
        return f"{said}; the old one ended in {took_s:.1f} s"

    def _rotate_master(self) -> str:
        said = self._now.runner("connections", "rotate-keys", settings=self._settings).strip()
        self._masters("", keep=False)
        return f"{said} The old one is out of the settings."

    def _masters(self, first: str, *, keep: bool) -> None:
        """The list in the settings file, as an editor would: the new one in front, or the old one taken out."""
        text = self._yaml.read_text()
        [line] = [line for line in text.splitlines() if line.startswith("runner_master_keys:")]
        listed = line.split('"')[1].split(",")
        now = [first, listed[-1]] if keep else [listed[0]]
        self._yaml.write_text(text.replace(line, f'runner_master_keys: "{",".join(now)}"'))

    # -- back up, restore -------------------------------------------------------------------------

    def _back_up(self) -> str:
        self._api.ask("PUT", "/api/runner/kill-switch", {"on": True, "reason": "restore"})
        dump = self._folder / "runner.dump"
        self._now.postgres(
            *("pg_dump", "--format=custom", "--no-owner", f"--file={dump}", f"--dbname={self._dsns[0]}")
        )
        self._ended(self._nodes[-1])
        return f"{dump.stat().st_size / 1024:,.0f} KB"

    def _restore(self) -> str:
        dump, fresh = self._folder / "runner.dump", self._dsns[1]
        refused = self._now.runner(
            "audit", "verify", settings={**self._settings, "DATABASE_URL": fresh}, code=1
        )
        self._now.postgres("pg_restore", "--no-owner", "--exit-on-error", f"--dbname={fresh}", str(dump))
        self._settings["DATABASE_URL"] = fresh
        said = self._now.runner("migrate", settings=self._settings).strip()
        chains = self._now.runner("audit", "verify", settings=self._settings).splitlines()
        return f"before: {refused.strip()} Then: {said} {len(chains)} chains of events hold."

    def _trade_on(self) -> str:
        """At the venue the position stands as in the rows; it is closed, and both books are the same."""
        self._serve(ROOT)
        path = f"/api/connections/{self._connection}"
        theirs = self._api.ask("GET", f"{path}/positions")["positions"]
        ours = self._api.ask("GET", f"/api/runs/{self._run}/positions")["positions"]
        _demand(
            [each["quantity"] for each in theirs] == [each["quantity"] for each in ours], f"{theirs} / {ours}"
        )
        self._api.ask("PUT", "/api/runner/kill-switch", {"on": False, "reason": "restored"})
        self._api.ask("POST", f"/api/runs/{self._run}/pause", {})
        self._now.runner("flatten", "--run", self._run, *self._here, settings=self._settings)
        deadline_s = monotonic() + AGREE_TIMEOUT_S
        while not self._agrees():
            _demand(monotonic() < deadline_s, f"the venue's books are not ours: {self._venue.accounts()}")
            sleep(LOOK_S)
        [trade] = self._api.ask("GET", f"/api/runs/{self._run}/trades")["trades"]
        return f"closed at the venue, {trade['pnl']} USDT; its books and ours agree"

    def _agrees(self) -> bool:
        account = self._venue.accounts()[ACCOUNT]
        [trade] = self._api.ask("GET", f"/api/runs/{self._run}/trades")["trades"] or [{"pnl": "0"}]
        wallet = Decimal(account["wallet"]["USDT"])
        return not account["positions"] and wallet == Decimal(account["opening"]) + Decimal(trade["pnl"])

    def _stop(self) -> str:
        took_s = self._ended(self._nodes[-1])
        with evidence.witness(self._dsns[1]) as connection:
            found = evidence.broken(connection, evidence.ALWAYS, evidence.SETTLED)
        _demand(not found, f"rows break promises: {found}")
        return f"exit code 0 in {took_s:.1f} s; every statement about the rows holds"

    def _ended(self, node: Node) -> float:
        began_s = monotonic()
        code = node.stop(STOP_TIMEOUT_S)
        _demand(code == 0, f"{node.name} ended with {code}: {node.log.read_text(errors='replace')[-600:]}")
        return monotonic() - began_s

    def _scan(self) -> str:
        """I13: keys of venues, in logs, in what commands said and in the rows."""
        with ExitStack() as opened:
            connections = [opened.enter_context(evidence.witness(dsn)) for dsn in self._dsns]
            said = [text for each in (self._before, self._now) for text in each.heard]
            found, read = traces_left(self._venue.secrets, self._folder, connections, said)
        _demand(not found, f"a piece of a key stands in {', '.join(found)}")
        return f"none in {read / 1024:,.0f} KB of logs, answers and rows (I13)"


def _demand(held: Any, otherwise: str) -> None:
    if not held:
        raise RunnerError(otherwise)
