"""`runner config`: a settings file to begin with, and every setting, its value and where it came from."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    config = typer.Typer(help="Settings in force.", no_args_is_help=True)

    @config.command()
    def show(
        file: Annotated[
            str | None, typer.Option("--config", metavar="FILE", help="YAML file, or a folder with one.")
        ] = None,
        as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    ) -> None:
        """Print each setting with its value and origin, secrets masked."""
        import msgspec

        from core.config import shown
        from facade.settings_file import load_settings

        rows = shown(load_settings(config=file))
        if as_json:
            sys.stdout.write(msgspec.json.encode(rows).decode() + "\n")
            return
        name_width = max(len(row.name) for row in rows)
        value_width = min(48, max(len(row.value) for row in rows))
        for row in rows:
            print(f"{row.name:<{name_width}}  {row.value or '—':<{value_width}}  {row.origin}")

    @config.command()
    def create(
        file: Annotated[
            Path, typer.Argument(metavar="FILE", help="A YAML file that is not there yet.", dir_okay=False)
        ],
    ) -> None:
        """Write a settings file with new secrets, readable by nobody else; the other settings as comments.

        Then: bin/runner serve --config FILE, or RUNNER_CONFIG=FILE. RUNNER_MASTER_KEYS opens what is sealed under it:
        keep a copy of the file apart from the database's backups.
        """
        import os

        from core.errors import RunnerError

        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError as error:
            raise RunnerError(f"{file} is there already; it is not written over.") from error
        except OSError as error:
            raise RunnerError(f"{file} cannot be written: {error.strerror}.") from error
        with os.fdopen(descriptor, "w") as opened:
            opened.write(first_settings())
        print(f"{file}: new secrets, mode 600. bin/runner config show --config {file}")

    app.add_typer(config, name="config")


def first_settings() -> str:
    """What a settings file begins with: secrets of its own, the runner switched on, the rest by default."""
    import base64
    import secrets

    from core.config import Settings, shown

    chosen = {
        "ENABLE_STRATEGY_RUNNER": "true",
        "JWT_SECRET": secrets.token_urlsafe(48),
        "RUNNER_CRON_SECRET": secrets.token_urlsafe(24),
        "RUNNER_MASTER_KEYS": f"first:{base64.b64encode(secrets.token_bytes(32)).decode()}",
    }
    lines = ["# Settings of bin/runner serve; docs/operations.md says more.", ""]
    lines += [f'{name.lower()}: "{text}"' for name, text in chosen.items()]
    lines += ["", "# By default:"]
    lines += [f'# {row.name.lower()}: "{row.value}"' for row in shown(Settings()) if row.name not in chosen]
    return "\n".join(lines) + "\n"
