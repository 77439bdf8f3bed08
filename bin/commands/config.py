"""`runner config show`: every setting, its value and where it came from."""

from __future__ import annotations

import sys
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

    app.add_typer(config, name="config")
