"""`strategies validate`: the author's `strategy check`, under the name the interface has for it."""

from __future__ import annotations

import typer

from bin.commands.strategy import check


def register(app: typer.Typer) -> None:
    strategies = typer.Typer(help="Try a strategy before it is handed to anybody.")
    strategies.callback()(_group)
    strategies.command("validate")(check)
    app.add_typer(strategies, name="strategies", no_args_is_help=True)


def _group() -> None:
    """Try a strategy before it is handed to anybody."""
