"""The commands that answer what an operator asks about all organizations, and act on the answer."""

from datetime import datetime
from typing import Annotated

import typer

from cli.bench_commands import Json
from cli.operator_commands import OrganizationId, not_blank
from domain.billing.deliveries import InboxStatus
from domain.billing.subscription import Provider
from domain.lifecycle.order import Order
from domain.lifecycle.standing import Block, Status

Limit = Annotated[int, typer.Option(min=1, max=100_000, help="So many at most.")]
Reason = Annotated[str, typer.Option(help="Why, for whoever looks later.", callback=not_blank)]
By = Annotated[str, typer.Option(help="Who you are; by default, your user name.")]
DeliveryId = Annotated[int, typer.Argument(help="The delivery's id.", min=1, max=2**63 - 1)]
Since = Annotated[
    datetime | None,
    typer.Option(
        help="Only since this time, in UTC.",
        formats=["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d"],
    ),
]
organizations = typer.Typer(help="Find organizations, and act on one.", no_args_is_help=True)
deliveries = typer.Typer(
    help="The webhooks that arrived, of all organizations.", no_args_is_help=True
)
messages = typer.Typer(help="Find messages of all organizations.", no_args_is_help=True)


@organizations.command("list")
def list_organizations(
    *,
    status: Annotated[Status | None, typer.Option(help="Only those in this status.")] = None,
    block: Annotated[Block | None, typer.Option(help="Only those that this blocks.")] = None,
    stuck: Annotated[
        bool | None, typer.Option("--stuck/--not-stuck", help="Only those with a refused step.")
    ] = None,
    q: Annotated[
        str,
        typer.Option(
            help="Beginnings of words of the id and the name, or the subaccount's or a "
            "subscription's id."
        ),
    ] = "",
    sort: Annotated[
        Order, typer.Option(help="As GET /v1/organizations sorts; owed: only those that owe.")
    ] = Order.ID,
    limit: Limit = 1_000,
    as_json: Json = False,
) -> None:
    """List organizations with since when, balance, debt, parked campaigns and refused step."""
    from cli.organizations import show
    from db.lifecycle.organization_lists import Filters, words

    sought = words(q)
    if q and not sought:
        raise typer.BadParameter("contains no letter and no digit", param_hint="--q")
    filters = Filters(status=status, block=block, stuck=stuck, words=sought, named=q)
    show(filters, sort, limit, as_json=as_json)


@organizations.command("retry")
def retry_organization(organization: OrganizationId, reason: Reason, by: By = "") -> None:
    """Try a refused step again now: the relay notifies its workflow within a second. Exit status 1
    if no step waits.
    """
    from cli.organizations import retry

    retry(organization, reason=reason, by=by)


@organizations.command("restore-balance")
def restore_balance(
    organization: OrganizationId,
    second: Annotated[str, typer.Option(help="Who else agrees.", callback=not_blank)],
    reason: Reason,
    by: By = "",
) -> None:
    """Set a balance that somebody changed past the ledger to what the newest entry says. Exit
    status 1 if it agrees with the ledger.
    """
    from cli.organizations import restore_balance as restore

    restore(organization, second=second, reason=reason, by=by)


@deliveries.command("list")
def list_deliveries(
    *,
    status: Annotated[InboxStatus | None, typer.Option(help="Only those in this status.")] = None,
    provider: Annotated[Provider | None, typer.Option(help="Only those of this provider.")] = None,
    organization: Annotated[str, typer.Option(help="Only those of this organization.")] = "",
    event: Annotated[str, typer.Option(help="Only those of the event with this id.")] = "",
    limit: Limit = 100,
    as_json: Json = False,
) -> None:
    """List webhook deliveries, the newest first, with what became of each."""
    from cli.inbound_deliveries import show_all
    from db.inbox.delivery_lists import Filters

    filters = Filters(
        status=status,
        provider=provider,
        organization_id=organization or None,
        event_id=event or None,
    )
    show_all(filters, limit, as_json=as_json)


@deliveries.command("show")
def show_delivery(delivery_id: DeliveryId) -> None:
    """Print one delivery with its body, as JSON; secrets and phone numbers are redacted."""
    from cli.inbound_deliveries import show

    show(delivery_id)


@deliveries.command("retry")
def retry_delivery(delivery_id: DeliveryId, reason: Reason, by: By = "") -> None:
    """Try a parked delivery again now. Exit status 1 if it is not parked, or if that changes
    nothing.
    """
    from cli.inbound_deliveries import retry

    retry(delivery_id, reason=reason, by=by)


@deliveries.command("dismiss")
def dismiss_delivery(delivery_id: DeliveryId, reason: Reason, by: By = "") -> None:
    """Dismiss a resolved delivery: it needs no further action. Exit status 1 if it is not parked."""
    from cli.parked import dismiss

    dismiss(delivery_id, reason, by)


@messages.command("find")
def find_messages(
    *,
    sid: Annotated[str, typer.Option(help="The message's id at Twilio: SM...")] = "",
    to: Annotated[str, typer.Option(help="The recipient's phone number: +1...")] = "",
    since: Since = None,
    limit: Limit = 100,
    as_json: Json = False,
) -> None:
    """Find messages of all organizations by Twilio's id or by the recipient, the newest first."""
    from cli.found_messages import show

    if not sid and not to:
        raise typer.BadParameter("--sid or --to is needed")
    show(sid or None, to or None, since, limit, as_json=as_json)


@messages.command("refund")
def refund_message(
    organization: OrganizationId,
    message: Annotated[str, typer.Argument(help="The message's id here, or at Twilio: SM...")],
    reason: Reason,
    by: By = "",
) -> None:
    """Give the price of a sent message back, once; Twilio is not asked for anything. Exit status 1
    if it was refunded already, or if its outcome is not final.
    """
    from cli.found_messages import refund

    refund(organization, message, reason=reason, by=by)


def acts(
    organization: Annotated[str, typer.Option(help="Only those for this organization.")] = "",
    limit: Limit = 100,
    *,
    as_json: Json = False,
) -> None:
    """List what operators did: who, when and why, the newest first."""
    from cli.acts import show

    show(organization or None, limit, as_json=as_json)


def money_waiting(limit: Limit = 10_000, *, as_json: Json = False) -> None:
    """List money that waits for a person: unbooked payments and refunds, disputes, alerts."""
    from cli.money_waiting import show

    show(limit, as_json=as_json)


def at_risk(
    days: Annotated[int, typer.Option(min=1, max=366, help="How far to look ahead.")] = 7,
    *,
    as_json: Json = False,
) -> None:
    """List what happens by itself soon unless somebody acts: ends of grace periods and of paid
    time, disputes to answer, the parent accounts' money.
    """
    from cli.money_waiting import show_risks

    show_risks(days, as_json=as_json)


def add_to(app: typer.Typer) -> None:
    """Add these commands and groups of commands to the application."""
    app.command()(acts)
    app.command("money-waiting")(money_waiting)
    app.command("at-risk")(at_risk)
    app.add_typer(organizations, name="organizations")
    app.add_typer(deliveries, name="deliveries")
    app.add_typer(messages, name="messages")
