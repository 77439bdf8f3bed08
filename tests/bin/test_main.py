"""The command line's contract: exit codes, one sentence per refusal, no traceback that was not asked for."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bin.commands.main import COMMANDS, application, main, with_default_command

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("numpy", "talib", "psycopg", "starlette", "uvicorn", "pykka", "httpx", "jinja2")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "bin.commands", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_every_listed_command_has_its_module(name: str) -> None:
    assert importlib.util.find_spec(f"bin.commands.{name}") is not None


def test_help_names_the_commands_and_imports_nothing_heavy() -> None:
    """`--help` has to be quick: a command imports what it needs when it is called."""
    listing = "import sys, bin.commands.main as m; m.application(); print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", listing], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    ).stdout.split()
    assert not set(HEAVY) & set(loaded)
    done = run("--help")
    assert done.returncode == 0
    assert "token" in done.stdout


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ([], ["serve"]),
        (["--demo", "--port", "9000"], ["serve", "--demo", "--port", "9000"]),
        (["token", "--user", "u"], ["token", "--user", "u"]),
        (["--help"], ["--help"]),
        (["-h"], ["-h"]),
    ],
)
def test_without_a_command_it_serves(given: list[str], meant: list[str]) -> None:
    assert with_default_command(given) == meant


@pytest.mark.parametrize("arguments", [["nonsense"], ["token"], ["token", "--user", "u", "--ttl", "soon"]])
def test_a_wrong_command_line_is_exit_code_2(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_a_refusal_is_exit_code_1_and_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "secrets").write_text("a file where the folder should be")
    done = run(
        "token", "--user", "u", "--json", RUNNER_DATA_DIR=str(tmp_path), JWT_SECRET="", SUPABASE_JWT_SECRET=""
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert str(tmp_path) in done.stderr


@pytest.mark.parametrize(("debug", "traceback"), [("0", False), ("1", True)])
def test_an_unexpected_error_shows_its_traceback_only_when_asked(
    debug: str, traceback: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RUNNER_DEBUG", debug)
    monkeypatch.setenv("JWT_SECRET", "\udcff" * 32)  # cannot be encoded: nobody's refusal foresees it
    assert main(["token", "--user", "u"]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert ("Traceback" in shown.err) is traceback
    assert ("RUNNER_DEBUG=1" in shown.err) is not traceback


def test_json_is_one_document_on_stdout_and_nothing_else() -> None:
    done = run("token", "--user", "u", "--json", JWT_SECRET="0" * 32)
    assert done.returncode == 0
    assert done.stderr == ""
    assert json.loads(done.stdout)["user"] == "u"


def test_the_application_can_be_made_more_than_once() -> None:
    assert application() is not application()
