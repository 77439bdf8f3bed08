"""`monitor`: a terminal page about a running service, drawn anew every few seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from rich.console import Group

    from bin.api_client import ApiClient

TICKS_SHOWN: Final = 12
ALERTS_SHOWN: Final = 8


def register(app: typer.Typer) -> None:
    @app.command()
    def monitor(
        every: Annotated[float, typer.Option(min=0.5, max=60, help="Seconds between two looks.")] = 2.0,
        once: Annotated[bool, typer.Option("--once", help="One look, for a pipe or a log.")] = False,
        host: Annotated[str | None, typer.Option(help="Where the service listens (HOST, 127.0.0.1).")] = None,
        port: Annotated[int | None, typer.Option(min=1, max=65535, help="Its port (PORT, 8080).")] = None,
        config: Annotated[
            str | None, typer.Option(metavar="FILE", help="YAML settings file, or a folder with one.")
        ] = None,
    ) -> None:
        """Watch a running service: processes, slots, ticks, alerts, actors; Ctrl-C ends it."""
        from time import sleep

        from rich.console import Console
        from rich.live import Live

        from bin.api_client import ApiClient
        from bin.commands.status import service_settings

        client = ApiClient(service_settings(host, port, config))
        if once:
            Console().print(page(client))
            return
        with Live(page(client), screen=True, auto_refresh=False) as live:
            while True:
                sleep(every)
                live.update(_page_or_why(client), refresh=True)


def page(client: ApiClient) -> Group:
    """Raises NoAnswer or Refused."""
    from rich.console import Group

    status = client.get("/api/runner/status")
    ticks = client.get("/api/runner/tick-runs", {"limit": str(TICKS_SHOWN)})["ticks"]
    actors = client.get("/api/runner/actors")["actors"]
    alerts = client.get("/api/alerts", {"open": "true", "limit": str(ALERTS_SHOWN)})["alerts"]
    parts = (_series(status), _ticks(ticks), _alerts(alerts), _trouble(actors))
    return Group(_facts(status, client.address), *(each for part in parts for each in ("", part)))


def _page_or_why(client: ApiClient) -> Group:
    """A service that is away for a while is news too."""
    from rich.console import Group
    from rich.markup import escape

    from core.errors import RunnerError

    try:
        return page(client)
    except RunnerError as error:
        return Group(f"[red]{escape(str(error))}[/red]")


def _facts(status: Mapping[str, Any], address: str) -> Any:
    from rich.markup import escape
    from rich.table import Table

    lag = status["slotLagMs"]
    table = Table.grid(padding=(0, 3))
    nodes = ", ".join(f"{node['id']} ({node['version']})" for node in status["nodes"]) or "none"
    for name, text in (
        ("Service", f"{address}, {'ticking' if status['enabled'] else 'runner disabled'}"),
        (
            "Kill switch",
            f"[red]ON[/red]: {escape(status['killSwitchReason'])}" if status["killSwitch"] else "off",
        ),
        ("Processes", nodes),
        ("Active strategies", str(status["activeStrategies"])),
        ("Last tick", f"{status['lastTickAt'] or '—'}  {status['lastTickStatus'] or ''}"),
        ("Slot to finish", f"{_ms(lag['p50'])} median, {_ms(lag['p99'])} p99"),
        ("Blocked users", str(status["blockedUsersCount"])),
    ):
        table.add_row(f"[bold]{name}[/bold]", text)
    return table


def _series(status: Mapping[str, Any]) -> Any:
    from rich.table import Table

    table = Table("Symbol", "Timeframe", "Strategies", "Runs", "Next slot", box=None, padding=(0, 2, 0, 0))
    for each in status["candles"]:
        table.add_row(
            each["symbol"], each["timeframe"], str(each["strategies"]), str(each["runs"]), each["nextSlot"]
        )
    return table


def _ticks(ticks: Sequence[Mapping[str, Any]]) -> Any:
    from rich.table import Table

    table = Table("Slot", "Run", "Status", "Signal", "Reason", "Late", box=None, padding=(0, 2, 0, 0))
    for each in ticks:
        late = each.get("lateMs")
        table.add_row(
            each["slot"],
            str(each["runId"])[:8],
            each["status"],
            each.get("signal") or "",
            each.get("reason") or "",
            _ms(late),
        )
    return table


def _alerts(alerts: Sequence[Mapping[str, Any]]) -> Any:
    """What is wrong now, newest first; its words come from outside and are no markup."""
    from rich.text import Text

    if not alerts:
        return "No alert is open."
    lines = (
        f"{each['kind']}  {each['subject']}  {each['detail']}  since {each['raisedAt']}" for each in alerts
    )
    return Text("\n".join(["Alerts", *lines]), style="red")


def _trouble(actors: Sequence[Mapping[str, Any]]) -> str:
    """Actors that do not run, or have failed; an error's words are no markup."""
    from rich.markup import escape

    found: list[str] = []
    left = list(actors)
    while left:
        actor = left.pop()
        left += actor["children"]
        if actor["state"] != "running" or actor["restarts"] or actor["lastError"]:
            found.append(
                f"{actor['name']}: {actor['state']}, {actor['restarts']} restarts, {actor['lastError'] or ''}"
            )
    shown = [escape(line) for line in sorted(found)[:20]]
    return "\n".join(["[bold]Actors in trouble[/bold]", *shown]) if found else "All actors run."


def _ms(value: float | None) -> str:
    return "—" if value is None else f"{value:,.0f} ms"
