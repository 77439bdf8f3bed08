"""`audit`: users' chains of events, verified and exported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from core.audit import Head, Verdict
    from schema.audit import Chains

Config = Annotated[str | None, typer.Option(metavar="FILE", help="YAML settings file, or a folder with one.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document.")]
Known = Annotated[
    str | None,
    typer.Option(metavar="LINK:HASH", help="A head noted earlier, which the chain must go through."),
]

_app = typer.Typer(help="Chains of events: verify them, take them elsewhere.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.add_typer(_app, name="audit")


@_app.command()
def verify(
    user: Annotated[str | None, typer.Option(help="Whose events; without it, everybody's.")] = None,
    file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="An export instead of the database.", dir_okay=False)
    ] = None,
    known: Known = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Recompute every hash of a user's events and name the first link that does not hold.

    The head that is printed (LINK:HASH) is worth keeping elsewhere: whoever may rewrite the database may also
    rewrite a chain, but not one that must go through a head you have kept (--known).

    Exit code 0: the chain holds. 1: it does not, or there is none.
    """
    from bin.audit_file import verify_file
    from core.audit import verify as verified
    from core.errors import RunnerError

    if known is not None and user is None and file is None:
        raise typer.BadParameter("a known head is one user's: give --user or --file", param_hint="--known")
    if file is not None:
        verdicts = [verify_file(file, known=_known(known))]
    else:
        with _opened(config) as chains:
            heads = _heads(chains, user)
            verdicts = [verified(head, chains.links(head.user_id), known=_known(known)) for head in heads]
    if not verdicts and user is not None:
        raise RunnerError(f"There are no sealed events of {user}.")
    _tell(verdicts, json=json)


@_app.command()
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it.", dir_okay=False)],
    user: Annotated[str, typer.Option(help="Whose events.")],
    config: Config = None,
    json: Json = False,
) -> None:
    """Write a user's chain of events to a file that `audit verify --file` checks without a database."""
    from bin.audit_file import write
    from bin.commands.output import write_json
    from core.errors import RunnerError

    with _opened(config) as chains:
        heads = _heads(chains, user)
        if not heads:
            raise RunnerError(f"There are no sealed events of {user}.")
        try:
            count = write(file, heads[0], chains.links(heads[0].user_id))
        except OSError as error:
            raise RunnerError(f"{file}: {error.strerror}.") from error
    if json:
        write_json({"file": str(file), "user": user, "links": count, "head": _head(heads[0])})
    else:
        typer.echo(f"{file}: {count:,} events of {user}; head {_head(heads[0])}")


@contextmanager
def _opened(config: str | None) -> Iterator[Chains]:
    from actors.launch import installation
    from core.errors import RunnerError
    from facade.settings_file import load_settings
    from schema.audit import chains
    from schema.migrate import is_foreign

    settings = load_settings(config=config)
    # Nothing sealed would be good news of the wrong database, and tables made there are in the way of a restore.
    if settings.database_url is not None and is_foreign(settings.database_url.reveal()):
        raise RunnerError("This database holds nothing of ours; is DATABASE_URL the right one?")
    with (
        installation(settings, Path(settings.runner_data_dir)) as database,
        chains(database.dsn) as opened,
    ):
        yield opened


def _heads(chains: Chains, user: str | None) -> list[Head]:
    from core.ids import UserId

    return list(chains.heads(None if user is None else UserId(user)))


def _known(text: str | None) -> Any:
    from core.audit import Head
    from core.ids import UserId

    if text is None:
        return None
    number, _, hexed = text.partition(":")
    try:
        return Head(user_id=UserId(""), number=int(number), hash=bytes.fromhex(hexed))
    except ValueError:
        raise typer.BadParameter("a head is LINK:HASH, as verify prints it", param_hint="--known") from None


def _tell(verdicts: list[Verdict], *, json: bool) -> None:
    from bin.commands.output import write_json

    if json:
        write_json(
            {"holds": all(each.holds for each in verdicts), "chains": [_document(v) for v in verdicts]}
        )
    else:
        for each in verdicts:
            typer.echo(_sentence(each))
        if not verdicts:
            typer.echo("There are no sealed events.")
    if not all(each.holds for each in verdicts):
        raise typer.Exit(1)


def _document(verdict: Verdict) -> dict[str, Any]:
    return {
        "user": verdict.head.user_id,
        "holds": verdict.holds,
        "links": verdict.links,
        "first": verdict.first,
        "head": _head(verdict.head),
        "broken": None
        if verdict.broken is None
        else {"link": verdict.broken.number, "why": verdict.broken.why},
    }


def _sentence(verdict: Verdict) -> str:
    if verdict.broken is not None:
        return f"{verdict.head.user_id}: BROKEN: link {verdict.broken.number} {verdict.broken.why}."
    older = "" if verdict.head.dropped == 0 else f" (up to {verdict.head.dropped:,} removed by retention)"
    return f"{verdict.head.user_id}: {verdict.links:,} events hold{older}; head {_head(verdict.head)}"


def _head(head: Head) -> str:
    return f"{head.number}:{head.hash.hex()}"
