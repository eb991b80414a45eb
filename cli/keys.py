"""`tollgate keys`: make, list and revoke the keys with which the API is called."""

import typer

from cli.console import errors, output, table, write
from cli.transactions import in_transaction, run
from db import api_keys
from db.api_keys import ApiKey, Scope
from domain.plain_text import is_plain


def create(name: str, scope: str) -> None:
    """Only the key is printed on standard output."""
    if not name.strip() or not is_plain(name):
        raise typer.BadParameter(
            "must not be blank or contain control characters", param_hint="--name"
        )
    key, plain = run(lambda conn: api_keys.create(conn, name=name, scope=Scope[scope.upper()]))
    errors.print(
        f"made {key.id} with the scope {scope}; store it now, it is not shown again:",
        highlight=False,
    )
    write(plain)


def show_all() -> None:
    shown = table("id", "name", "scope", "created", "revoked")
    for key in run(api_keys.page):
        shown.add_row(
            key.id, key.name, key.scope.word, _at(key, "created_at"), _at(key, "revoked_at")
        )
    output.print(shown)


def revoke(key_id: str) -> None:
    if not run(lambda conn: api_keys.revoke(conn, key_id)):
        errors.print(f"there is no valid key {key_id}", style="red", highlight=False)
        raise typer.Exit(1)
    output.print(f"revoked {key_id}", highlight=False)


async def make(url: str, name: str, scope: Scope) -> str:
    """The plain text of a new key."""
    _, plain = await in_transaction(url, lambda conn: api_keys.create(conn, name=name, scope=scope))
    return plain


def _at(key: ApiKey, which: str) -> str:
    moment = getattr(key, which)
    return moment.strftime("%Y-%m-%d %H:%M UTC") if moment else ""
