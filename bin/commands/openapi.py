"""`openapi`: the HTTP interface described, without a server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    @app.command()
    def openapi(
        table: Annotated[
            bool, typer.Option("--table", help="The Markdown table of docs/api.md instead: a row a route.")
        ] = False,
        into: Annotated[
            Path | None,
            typer.Option(
                metavar="FILE", help="Write the table between the marks of this page.", dir_okay=False
            ),
        ] = None,
    ) -> None:
        """Print the HTTP interface as OpenAPI 3.1, as a running server answers at /openapi.json.

        bin/runner openapi > openapi.json          for a generator of clients
        bin/runner openapi --table                 what docs/api.md holds between its marks
        """
        import msgspec

        from core.errors import RunnerError
        from core.version import VERSION
        from facade.app import INTERFACE
        from facade.openapi import document
        from facade.route_table import route_table, with_table

        operations = [each.operation for each in INTERFACE]
        if into is not None:
            try:
                into.write_text(with_table(into.read_text(), operations))
            except (OSError, ValueError) as error:
                raise RunnerError(f"{into}: {error}") from error
        elif table:
            typer.echo(route_table(operations), nl=False)
        else:
            described = msgspec.json.encode(document(operations, version=VERSION))
            typer.echo(msgspec.json.format(described, indent=2))
