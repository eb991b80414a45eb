"""The commands with which an operator manages keys, parked deliveries and unpaid messages."""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

import typer

from cli.bench_commands import Json
from domain.carrier.release import ReleaseStep

OrganizationId = Annotated[str, typer.Argument(help="The organization's id.")]
keys = typer.Typer(help="Make, list and revoke API keys.", no_args_is_help=True)
parked = typer.Typer(invoke_without_command=True)
unpaid = typer.Typer(
    help="Messages that Twilio sent although they were refunded.", no_args_is_help=True
)
unmatched = typer.Typer(
    help="Messages that Twilio has, and no message here stands for.", no_args_is_help=True
)

recurring = typer.Typer(
    help="What a subaccount costs whether it is used or not, and giving up a part of it.",
    no_args_is_help=True,
)


class ScopeName(StrEnum):
    READ = "read"
    WRITE = "write"
    OPERATOR = "operator"


def not_blank(text: str) -> str:
    if not text.strip():
        raise typer.BadParameter("is empty")
    return text


@keys.command("create")
def create_key(
    name: Annotated[str, typer.Option(help="Who or what will use it.", callback=not_blank)],
    scope: Annotated[
        ScopeName, typer.Option(help="Each scope includes those before it.")
    ] = ScopeName.READ,
) -> None:
    """Create a key. It is printed once, alone on standard output, and cannot be shown again."""
    from cli.keys import create

    create(name, scope.value)


@keys.command("list")
def list_keys() -> None:
    """List the keys, the newest first."""
    from cli.keys import show_all

    show_all()


@keys.command("revoke")
def revoke_key(key_id: Annotated[str, typer.Argument(help="The key's id: key_...")]) -> None:
    """Revoke a key. Running processes stop accepting it within seconds."""
    from cli.keys import revoke

    revoke(key_id)


@parked.callback()
def list_parked(context: typer.Context, *, as_json: Json = False) -> None:
    """List the parked webhook deliveries, the oldest first, with what to do about each."""
    if context.invoked_subcommand is None:
        from cli.parked import show_all

        show_all(as_json=as_json)


@parked.command("dismiss")
def dismiss_parked(
    delivery_id: Annotated[int, typer.Argument(help="The delivery's id.", min=1, max=2**63 - 1)],
    reason: Annotated[str, typer.Option(help="How it was resolved.", callback=not_blank)],
    by: Annotated[str, typer.Option(help="Who you are; by default, your user name.")] = "",
) -> None:
    """Dismiss a resolved delivery: it needs no further action. Exit status 1 if it is not parked."""
    from cli.parked import dismiss

    dismiss(delivery_id, reason, by)


@unpaid.command("list")
def list_unpaid(organization: OrganizationId, *, as_json: Json = False) -> None:
    """List an organization's messages that are not charged yet, the oldest first."""
    from cli.unpaid import show_all

    show_all(organization, as_json=as_json)


@unpaid.command("charge")
def charge_unpaid(
    organization: OrganizationId,
    message_id: Annotated[UUID, typer.Argument(help="The message's id.")],
) -> None:
    """Debit a message's price again, once for each attempt that was sent. Exit status 1 if the
    debit is refused.
    """
    from cli.unpaid import charge

    charge(organization, message_id)


@unmatched.command("list")
def list_unmatched(organization: OrganizationId, *, as_json: Json = False) -> None:
    """List an organization's unmatched messages that are not closed yet, the oldest first."""
    from cli.unmatched import show_all

    show_all(organization, as_json=as_json)


@unmatched.command("close")
def close_unmatched(
    organization: OrganizationId,
    message_sid: Annotated[str, typer.Argument(help="The message's sid at Twilio.")],
    reason: Annotated[str, typer.Option(help="How it was resolved.", callback=not_blank)],
    by: Annotated[str, typer.Option(help="Who you are; by default, your user name.")] = "",
) -> None:
    """Close an unmatched message that is resolved. Exit status 1 if it is not open."""
    from cli.unmatched import close

    close(organization, message_sid, reason=reason, by=by)


@recurring.command("show")
def show_recurring(organization: OrganizationId, *, as_json: Json = False) -> None:
    """Show what costs, what is reserved, and what can be given up while it is suspended."""
    from cli.recurring import show

    show(organization, as_json=as_json)


@recurring.command("release")
def release(
    organization: OrganizationId,
    step: Annotated[ReleaseStep, typer.Argument(help="As `tollgate recurring show` proposes it.")],
    number_sid: Annotated[
        str, typer.Argument(help="What it names: a number's or short code's sid, recordingstorage.")
    ],
    reason: Annotated[str, typer.Option(help="Why, for whoever looks later.", callback=not_blank)],
) -> None:
    """Give up a number of a suspended subaccount, its webhooks, its recordings or a short code. Only
    the webhooks can be set again.
    """
    from cli.recurring import release as give_up

    give_up(organization, step, number_sid, reason=reason)


def add_to(app: typer.Typer) -> None:
    app.add_typer(keys, name="keys")
    app.add_typer(parked, name="parked")
    app.add_typer(unpaid, name="unpaid")
    app.add_typer(unmatched, name="unmatched")
    app.add_typer(recurring, name="recurring")
