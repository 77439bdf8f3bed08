"""`migrate`: brings the database to this program's schema."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from core.config import Settings


def register(app: typer.Typer) -> None:
    @app.command()
    def migrate(
        config: Annotated[
            str | None, typer.Option(metavar="FILE", help="YAML settings file, or a folder with one.")
        ] = None,
        json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    ) -> None:
        """Apply what the database lacks: DATABASE_URL, or the embedded server in RUNNER_DATA_DIR.

        `serve` does so by itself; this is for a database role that may not change the schema while serving.
        """
        from bin.commands.output import write_json
        from facade.settings_file import load_settings

        settings = load_settings(config=config)
        applied = apply(settings)
        if json:
            write_json({"applied": applied})
            return
        for name in applied:
            print(f"Applied {name}")
        if not applied:
            print("The database is up to date; nothing was applied.")


def apply(settings: Settings) -> list[str]:
    """The migrations applied, in order; RunnerError for a database that is newer, altered or away."""
    from schema.embedded import EmbeddedPostgres
    from schema.migrate import migrate

    if settings.database_url is not None:
        return migrate(settings.database_url.reveal())
    with EmbeddedPostgres(Path(settings.runner_data_dir) / "postgres") as server:
        return migrate(server.owner_dsn)
