"""`import`: strategies and bots of older deployments, taken over as strategies with subscribers and paper runs."""  # noqa: N999 (a command's file is named like the command)

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from core.config import Settings
    from core.legacy.plan import Imported, Plan
    from schema.pg import PgStore
    from schema.pg_legacy import Written

_VENUE = "binance"

_app = typer.Typer(help="Take over what ran elsewhere.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.add_typer(_app, name="import")


@_app.callback()
def imports() -> None:
    """Take over what ran elsewhere."""


@_app.command()
def legacy(
    source: Annotated[str, typer.Option("--from", metavar="URL", help="The older deployment's PostgreSQL.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be done; write nothing.")
    ] = False,
    activate: Annotated[
        bool, typer.Option("--activate", help="Start, on paper, what was running there.")
    ] = False,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="What tells this source from others (its database).")
    ] = None,
    config: Annotated[
        str | None, typer.Option(metavar="FILE", help="YAML settings file, or a folder with one.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Import bots (a row a user's bot) and strategy definitions with subscriptions; equal ones become one strategy.

    Runs are imported as paper: keys are not read. What was running becomes a draft, or active with --activate; the
    rest is paused. One transaction; importing again adds what is new and changes nothing else. Rows that cannot be
    taken over are listed with the reason.
    """
    from core.legacy.plan import plan
    from facade.settings_file import load_settings
    from schema.ledger import PLATFORM_USER
    from schema.legacy_source import read_legacy
    from schema.pg_legacy import write_plan

    settings = load_settings(config=config)
    found = read_legacy(source)
    planned = plan(
        found.layout, found.rows, source=name or found.name, shared_owner=PLATFORM_USER, venue=_VENUE
    )
    kept: dict[str, str] = {}
    with _opened(settings) as store, _progress(len(planned.runs)) as told:
        may = _activation(store, settings, kept) if activate else lambda _: False
        written = write_plan(
            store.database, settings.risk_limits(), planned, activate=may, dry_run=dry_run, told=told
        )
    _tell(planned, written, kept, dry_run=dry_run, json=json)


@contextmanager
def _opened(settings: Settings) -> Iterator[PgStore]:
    from pathlib import Path

    from actors.launch import installation, opened_store

    with (
        installation(settings, Path(settings.runner_data_dir)) as database,
        opened_store(settings, database.dsn) as store,
    ):
        yield store


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Importing", total=total)
        yield lambda done: progress.update(task, completed=done)


def _activation(store: PgStore, settings: Settings, kept: dict[str, str]) -> Callable[[Imported], bool]:
    """The preflight every start goes through; `kept` gets the reason of each run that stays a draft."""
    from facade.errors import ApiError
    from facade.preflight import preflight
    from schema.pg_legacy import portfolio_of

    def may(each: Imported) -> bool:
        try:
            preflight(store, each.run, settings, None, new_account=portfolio_of(each.run))
        except ApiError as refusal:
            kept[each.row] = str(refusal)
            return False
        kept.pop(each.row, None)
        return True

    return may


def _tell(planned: Plan, written: Written, kept: dict[str, str], *, dry_run: bool, json: bool) -> None:
    from bin.commands.output import write_json

    document = _document(planned, written, kept, dry_run=dry_run)
    if json:
        write_json(document)
        return
    if dry_run:
        _show(document)
    for each in document["refused"]:
        typer.echo(f"Not taken over: {each['row']}: {each['reason']}", err=True)
    for each in document["runs"]:
        if each["note"] is not None:
            typer.echo(f"{each['row']}: {each['note']}", err=True)
    did = "Would import" if dry_run else "Imported"
    typer.echo(
        f"{did} {len(written.strategies)} strategies and {len(written.runs)} runs, {len(written.activated)} of them "
        f"started; {len(written.there)} were there already, {len(document['refused'])} rows were not taken over."
    )


def _document(planned: Plan, written: Written, kept: dict[str, str], *, dry_run: bool) -> dict[str, Any]:
    new, activated, runs = set(written.strategies), set(written.activated), set(written.runs)
    running = Counter(each.run.strategy.id for each in planned.runs)
    return {
        "dryRun": dry_run,
        "strategies": [
            {
                "id": each.id,
                "new": each.id in new,
                "owner": each.owner_id,
                "name": each.name,
                "template": each.template,
                "params": each.parameters,
                "symbol": each.symbol,
                "timeframe": each.timeframe.value,
                "runs": running[each.id],
            }
            for each in planned.strategies
        ],
        "runs": [
            {
                "id": each.run.id,
                "row": each.row,
                "user": each.run.user_id,
                "strategyId": each.run.strategy.id,
                "new": each.run.id in runs,
                "status": "active"
                if each.run.id in activated
                else written.there.get(each.run.id, each.run.status),
                "note": _note(each, kept),
            }
            for each in planned.runs
            if each.run.id in runs or each.run.id in written.there
        ],
        "refused": [
            {"row": each.row, "reason": each.reason} for each in (*planned.refused, *written.refused)
        ],
    }


def _note(each: Imported, kept: dict[str, str]) -> str | None:
    notes = [f"Stays a draft: {kept[each.row]}"] if each.row in kept else []
    if each.had_connection:
        notes.append("It traded on an exchange connection there; here it is paper until you connect one.")
    return " ".join(notes) or None


def _show(document: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table("Strategy", "Owner", "Template", "Symbol", "Timeframe", "Runs", "New", title="Strategies")
    for each in document["strategies"]:
        fields = (each["name"], each["owner"], each["template"], each["symbol"], each["timeframe"])
        table.add_row(*fields, str(each["runs"]), "yes" if each["new"] else "no")
    console.print(table)
    table = Table("Row", "User", "Status here", "New", title="Runs")
    for each in document["runs"]:
        table.add_row(each["row"], each["user"], each["status"], "yes" if each["new"] else "no")
    console.print(table)
