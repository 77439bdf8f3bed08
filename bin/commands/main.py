"""The command line: one file per command, one place that turns the outcome into an exit code.

Exit codes: 0 done; 1 refused or failed, with one sentence on stderr; 2 the command line itself is wrong.
A command module offers `register(app)`. Its top imports only typer and the standard library, and the command
imports the rest when it is called, so that `--help` and `token` do not wait for numpy or a database driver.
With `--json` a command writes one JSON document to stdout and nothing else (bin/commands/output.py).
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback

import typer

from core.errors import RunnerError

# In the order of `--help`.
COMMANDS = (
    *("serve", "backtest", "strategy", "status", "tick", "flatten", "health", "token"),
    *(
        "migrate",
        "import",
        "config",
        "connections",
        "data",
        "bench",
        "simulate",
        "replay",
        "drill",
        "simulator",
        "openapi",
        "audit",
        "smoke",
        "monitor",
        "strategies",
        "cycle",
    ),
)
DEFAULT_COMMAND = "serve"
DONE, FAILED, INTERRUPTED = 0, 1, 130


def main(arguments: list[str]) -> int:
    """Runs one command and returns its exit code; a traceback only when RUNNER_DEBUG=1 asks for it."""
    try:
        application()(args=with_default_command(arguments), prog_name="bin/runner")
    except SystemExit as ended:  # typer ends every command so, 2 included
        return ended.code if isinstance(ended.code, int) else DONE
    except KeyboardInterrupt:
        return INTERRUPTED
    except RunnerError as refusal:
        print(refusal, file=sys.stderr)
        return FAILED
    except Exception as error:
        if os.environ.get("RUNNER_DEBUG") == "1":
            traceback.print_exc()
        else:
            print(f"Failed unexpectedly: {brief(error)} (RUNNER_DEBUG=1 shows where).", file=sys.stderr)
        return FAILED
    return DONE


def application() -> typer.Typer:
    app = typer.Typer(
        add_completion=False,
        pretty_exceptions_enable=False,  # they would print the traceback that main() keeps back
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback()
    def program() -> None:
        """Run trading strategies at each candle close, exactly once, under risk limits."""

    for name in COMMANDS:
        if importlib.util.find_spec(f"bin.commands.{name}") is not None:
            importlib.import_module(f"bin.commands.{name}").register(app)
    return app


def with_default_command(arguments: list[str]) -> list[str]:
    """`bin/runner --port 9000` means `bin/runner serve --port 9000`; only help is for the whole program."""
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-h", "--help")):
        return [DEFAULT_COMMAND, *arguments]
    return arguments


def brief(error: Exception) -> str:
    """The error's class and its first line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].rstrip('.')}" if lines else type(error).__name__
