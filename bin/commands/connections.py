"""`connections`: an operator's hand on users' keys at exchanges, beside the running service or without it.

A key and its secret are asked for without echo, or read from stdin as two lines; they never stand on a command line,
where other users of the machine and the shell's history would have them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

if TYPE_CHECKING:
    from actors.keys import Keys
    from core.connection import Environment, Venue
    from schema.connections import Connection
    from schema.vault import OpenedKeys

User = Annotated[str, typer.Option(help="Whose connection it is (the `sub` of their token).")]
Id = Annotated[UUID, typer.Argument(metavar="ID", help="The connection's id.")]
Config = Annotated[str | None, typer.Option(metavar="FILE", help="YAML settings file, or a folder with one.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document.")]


_app = typer.Typer(help="Keys of users at exchanges: sealed, tested, re-wrapped.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.add_typer(_app, name="connections")


@_app.command()
def add(
    user: User,
    name: Annotated[str, typer.Option(help="What its owner calls it.")],
    venue: Annotated[str, typer.Option(help="binance or bybit.")],
    environment: Annotated[str, typer.Option(help="live, testnet or demo.")] = "live",
    max_leverage: Annotated[int, typer.Option(min=1, max=125, help="The most its runs may use.")] = 10,
    config: Config = None,
    json: Json = False,
) -> None:
    """Test a key at its venue and store it; key and secret come from a prompt or as two lines from stdin.

    A key that may withdraw is refused.
    """
    import asyncio
    from uuid import uuid4

    from actors.keys import VenueAway
    from core.connection import Environment, Venue
    from core.errors import RunnerError
    from core.ids import AccountId, UserId
    from schema.connections import NewConnection
    from schema.vault import Owner

    where = _choice(Venue, venue, "--venue"), _choice(Environment, environment, "--environment")
    opened = read_keys()
    new = NewConnection(name=name, venue=where[0], environment=where[1], max_leverage=max_leverage)
    with opened_keys(config) as keys:
        try:
            rights = asyncio.run(keys.examine(*where, opened))
        except VenueAway as error:
            raise RunnerError(f"{error} It was asked at {_asked_at(*where, config)}.") from None
        owner = Owner(user_id=UserId(user), account_id=AccountId(uuid4()))
        _tell(keys.add(owner, new, opened, rights), json=json)


@_app.command("list")
def list_(
    user: Annotated[str | None, typer.Option(help="Of this user alone.")] = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Show connections, without their keys."""
    from bin.commands.output import write_json
    from core.ids import UserId

    with opened_keys(config) as keys:
        found = keys.connections.of_all() if user is None else keys.connections.of_user(UserId(user))
    if json:
        write_json({"connections": [_document(each) for each in found]})
        return
    for each in found:
        typer.echo(_sentence(each))
    if not found:
        typer.echo("There are no connections.")


@_app.command("test")
def ask(connection: Id, config: Config = None, json: Json = False) -> None:
    """Ask the venue what a stored key may do; exit code 1 unless it may read and trade and nothing more.

    Active runs stop where the key may withdraw by now, and pause where it may no longer read or trade.
    """
    import asyncio

    from actors.keys import SEALED
    from core.errors import RunnerError
    from schema.connections import TEST_OK

    with opened_keys(config) as keys:
        found = _there(keys, connection)
        tested = asyncio.run(keys.test(found))
        if tested.result == SEALED:  # of this command's settings, not of the key: nothing to note down
            raise RunnerError(f"Connection {found.id} does not open with the master keys given.")
        _tell(keys.settle(found, tested) or found, json=json)
    if tested.result != TEST_OK:
        raise typer.Exit(1)


@_app.command("rotate-keys")
def rotate_keys(config: Config = None, json: Json = False) -> None:
    """Put every connection under the first of RUNNER_MASTER_KEYS, while the service runs.

    Before: give all processes the new list, the new key first, the old one behind. After: take the old one out.
    """
    from bin.commands.output import write_json

    with opened_keys(config) as keys:
        done = _rewrapped(keys)
        left = keys.left_to_rewrap()
        connections = {each for each in done.unopened if keys.connections.get(each) is not None}
    if json:
        write_json(
            {"rewrapped": done.rewrapped, "left": left, "unopened": [str(each) for each in done.unopened]}
        )
    else:
        typer.echo(
            f"{done.rewrapped} sealed keys and secrets are under the first master key now; {left} are not."
        )
        for each in done.unopened:
            kind = "Connection" if each in connections else "Secret"
            typer.echo(f"{kind} {each} does not open with the master keys given.", err=True)
    if left:
        raise typer.Exit(1)


@_app.command()
def remove(connection: Id, config: Config = None, json: Json = False) -> None:
    """Forget a connection's keys; refused while a run that is not archived uses it."""
    from bin.commands.output import write_json
    from core.errors import RunnerError

    with opened_keys(config) as keys:
        found = _there(keys, connection)
        if not keys.connections.remove(found.user_id, found.id):
            raise RunnerError(f"There is no connection {connection}.")
    if json:
        write_json({"removed": connection})
    else:
        typer.echo(f"Removed {found.name} ({connection}).")


@contextmanager
def opened_keys(config: str | None) -> Iterator[Keys]:
    """The users' keys of the installation the settings name; RunnerError where there are no master keys."""
    import secrets
    from pathlib import Path

    from actors.key_probe import keys_of
    from actors.launch import installation, opened_store, venue_addresses
    from core.errors import RunnerError
    from facade.secrets import sealing_keys
    from facade.settings_file import load_settings
    from schema.vault import Vault

    settings = load_settings(config=config)
    sealing = sealing_keys(settings)
    if sealing is None:
        raise RunnerError("RUNNER_MASTER_KEYS is not set; give this command the service's own.")
    with (
        installation(settings, Path(settings.runner_data_dir)) as database,
        opened_store(settings, database.dsn) as store,
    ):
        yield keys_of(store, Vault(sealing, secrets.token_bytes), venue_addresses(settings))


def _asked_at(venue: Venue, environment: Environment, config: str | None) -> str:
    """Whoever forgot to point this shell at a stand-in sees it here."""
    from actors.launch import venue_addresses
    from exchanges.venues import address
    from facade.settings_file import load_settings

    rest = address(venue, environment, venue_addresses(load_settings(config=config))).rest
    return f"{rest} (see {venue.upper()}_BASE_URL)"


def read_keys() -> OpenedKeys:
    """Without echo from a terminal, else the first two lines of stdin. Raises RunnerError, quoting nothing."""
    import getpass

    from core.errors import RunnerError
    from core.key_text import key_text
    from core.redact import Secret
    from schema.vault import OpenedKeys

    if sys.stdin.isatty():
        given = [getpass.getpass("API key: "), getpass.getpass("API secret: ")]
    else:
        given = [sys.stdin.readline(), sys.stdin.readline()]
    try:
        key, secret = (Secret(key_text(each.strip())) for each in given)
    except ValueError as error:
        raise RunnerError(f"Key and secret {error}, a line each.") from None
    return OpenedKeys(key=key, secret=secret)


def _rewrapped(keys: Keys) -> Any:
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Re-wrapping", total=keys.left_to_rewrap())
        return keys.rewrap(lambda so_far: progress.update(task, completed=so_far.seen))


def _there(keys: Keys, connection: UUID) -> Connection:
    from core.errors import RunnerError
    from core.ids import AccountId

    found = keys.connections.get(AccountId(connection))
    if found is None:
        raise RunnerError(f"There is no connection {connection}.")
    return found


def _choice(kind: Any, text: str, option: str) -> Any:
    if text not in list(kind):
        raise typer.BadParameter(f"{text!r} is not one of {', '.join(kind)}", param_hint=option)
    return kind(text)


def _tell(connection: Connection, *, json: bool) -> None:
    from bin.commands.output import write_json

    if json:
        write_json(_document(connection))
    else:
        typer.echo(_sentence(connection))


def _document(connection: Connection) -> dict[str, Any]:
    from core.key_rights import problem_of, warning_of

    rights = connection.rights
    notices = [] if rights is None else [problem_of(rights), warning_of(rights)]
    return {
        "id": connection.id,
        "user": connection.user_id,
        "name": connection.name,
        "venue": connection.venue,
        "environment": connection.environment,
        "keyHint": connection.key_hint,
        "killSwitch": connection.kill_switch,
        "lastTestAt": connection.last_test_at,
        "lastTestResult": connection.last_test_result,
        "notices": [each for each in notices if each is not None],
    }


def _sentence(connection: Connection) -> str:
    from core.key_rights import SENTENCES, warning_of

    told = (
        f"{connection.id}  {connection.user_id}: {connection.name}, {connection.venue} {connection.environment}, "
        f"key …{connection.key_hint}, last test {connection.last_test_result or 'none'}"
    )
    warning = None if connection.rights is None else warning_of(connection.rights)
    return told if warning is None else f"{told}. {SENTENCES[warning]}"
