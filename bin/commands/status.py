"""`status`: what a running service is doing, and with a run's id why that run did not trade."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final
from uuid import UUID

import typer

if TYPE_CHECKING:
    from bin.api_client import ApiClient
    from core.config import Settings

TICKS_SHOWN: Final = 20


def register(app: typer.Typer) -> None:
    @app.command()
    def status(
        run: Annotated[
            UUID | None, typer.Argument(metavar="[RUN]", help="A run's id: why did it not trade?")
        ] = None,
        host: Annotated[str | None, typer.Option(help="Where the service listens (HOST, 127.0.0.1).")] = None,
        port: Annotated[int | None, typer.Option(min=1, max=65535, help="Its port (PORT, 8080).")] = None,
        config: Annotated[
            str | None, typer.Option(metavar="FILE", help="YAML settings file, or a folder with one.")
        ] = None,
        json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    ) -> None:
        """Show what a running service is doing; with RUN, its last ticks and what stands in its way."""
        from bin.api_client import ApiClient
        from bin.commands.output import write_json

        client = ApiClient(service_settings(host, port, config))
        answer = asked(client) if run is None else asked_about(client, run)
        if json:
            write_json(answer)
        elif run is None:
            _print_status(answer, client.address)
        else:
            _print_run(answer)


def service_settings(host: str | None, port: int | None, config: str | None) -> Settings:
    """The settings, with the command line's host and port."""
    from facade.settings_file import load_settings

    given = {"HOST": host, "PORT": None if port is None else str(port)}
    return load_settings({name: text for name, text in given.items() if text is not None}, config=config)


def asked(client: ApiClient) -> dict[str, Any]:
    return client.get("/api/runner/status")


def asked_about(client: ApiClient, run_id: UUID) -> dict[str, Any]:
    """`{run, why, ticks}`; Refused when there is no such run."""
    from bin.api_client import Refused, no_run
    from bin.commands.status_words import why_no_trade

    try:
        run = client.get(f"/api/runs/{run_id}")["run"]
    except Refused as refusal:
        raise no_run(refusal, run_id) from refusal
    query = {"runId": str(run_id), "limit": str(TICKS_SHOWN)}
    ticks = client.get("/api/runner/tick-runs", query)["ticks"]
    return {"run": run, "why": why_no_trade(run, ticks, asked(client)), "ticks": ticks}


def _print_status(answer: Mapping[str, Any], address: str) -> None:
    from rich.console import Console
    from rich.table import Table

    from bin.commands.status_words import gate_words

    lag, actors = answer["slotLagMs"], answer["actors"]
    switch = f"on: {answer['killSwitchReason'] or 'no reason given'}" if answer["killSwitch"] else "off"
    facts = {
        "Service": f"{address}, {'ticking' if answer['enabled'] else 'runner disabled'}",
        "Market time": answer["marketTime"],
        "Kill switch": switch,
        "Active": f"{answer['activeRuns']:,} runs of {answer['activeStrategies']:,} strategies",
        "Last tick": f"{answer['lastTickAt'] or 'none yet'} {answer['lastTickStatus'] or ''}",
        "Slot to finish": f"{_ms(lag['p50'])} median, {_ms(lag['p99'])} p99",
        "Actors": f"{actors['total']:,}, {actors['restarts']:,} restarts, {actors['mailboxLength']:,} waiting",
        "Processes": ", ".join(node["id"] for node in answer["nodes"]) or "none",
    }
    console = Console()
    overview = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, text in facts.items():
        overview.add_row(name, text)
    console.print(overview)
    candles = Table("Candles", "Timeframe", "Strategies", "Runs", "Next slot", box=None, padding=(0, 2, 0, 0))
    for series in answer["candles"]:
        counts = (f"{series['strategies']:,}", f"{series['runs']:,}")
        candles.add_row(series["symbol"], series["timeframe"], *counts, series["nextSlot"])
    if answer["candles"]:
        console.print(candles)
    for user, reason in sorted(answer["lastBlockedReasons"].items()):
        console.print(f"{user}: {gate_words(reason)}", markup=False)


def _print_run(answer: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    from bin.commands.status_words import tick_words, trigger_words

    run, console = answer["run"], Console()
    console.print(f"Run {run['id']} of {run['userId']}: {run['status']}, {run['tradingMode']}", markup=False)
    if run["nextSlotAt"]:
        console.print(f"Next slot: {run['nextSlotAt']}")
    for sentence in answer["why"]:
        console.print(sentence, markup=False)
    if answer["ticks"]:
        ticks = Table("Slot", "Came to", "Took", "Asked for by", box=None, padding=(0, 2, 0, 0))
        for tick in answer["ticks"]:
            ticks.add_row(tick["slot"], tick_words(tick), f"{tick['latencyMs']:.0f} ms", trigger_words(tick))
        console.print(ticks)


def _ms(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.0f} ms"
