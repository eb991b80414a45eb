"""The commands of acts over many organizations."""

from typing import Annotated
from uuid import UUID

import typer

from cli.bench_commands import Json
from cli.question_commands import By, Limit, Reason
from domain.lifecycle.standing import Block, Status
from domain.operations.bulk_act import BulkKind

BulkActId = Annotated[UUID, typer.Argument(help="The act's id, as its preview printed it.")]
bulk = typer.Typer(
    help="Suspend, freeze or credit many organizations: preview it, then confirm it.",
    no_args_is_help=True,
)


@bulk.command("preview")
def preview_bulk_act(
    act: Annotated[BulkKind, typer.Argument(help="What to do.")],
    *,
    reason: Reason,
    status: Annotated[Status | None, typer.Option(help="Only those in this status.")] = None,
    block: Annotated[Block | None, typer.Option(help="Only those that this blocks.")] = None,
    stuck: Annotated[
        bool | None, typer.Option("--stuck/--not-stuck", help="Only those with a refused step.")
    ] = None,
    q: Annotated[str, typer.Option(help="Words of the id or name; a subaccount's id.")] = "",
    amount: Annotated[str, typer.Option(help="For a credit: how much for each, 5.00.")] = "",
    currency: Annotated[str, typer.Option(help="For a credit: ISO 4217 code.")] = "",
    by: By = "",
    as_json: Json = False,
) -> None:
    """Show which organizations an act would concern; nothing is done to them."""
    from cli.bulk_acts import preview

    preview(
        act,
        {"status": status, "block": block, "stuck": stuck, "q": q},
        reason=reason,
        amount=amount or None,
        currency=currency or None,
        by=by,
        as_json=as_json,
    )


@bulk.command("confirm")
def confirm_bulk_act(
    bulk_act_id: BulkActId,
    digest: Annotated[str, typer.Argument(help="The preview's digest.")],
    by: By = "",
) -> None:
    """Let a previewed act run: the workers do it, each organization once. Exit status 1 if the
    digest is another one or the preview is over an hour old.
    """
    from cli.bulk_acts import confirm

    confirm(bulk_act_id, digest, by)


@bulk.command("show")
def show_bulk_act(bulk_act_id: BulkActId, *, as_json: Json = False) -> None:
    """Show how far an act is, and for whom it was refused."""
    from cli.bulk_acts import show

    show(bulk_act_id, as_json=as_json)


@bulk.command("list")
def list_bulk_acts(limit: Limit = 100, *, as_json: Json = False) -> None:
    """List previews and acts, the newest first."""
    from cli.bulk_acts import show_all

    show_all(limit, as_json=as_json)
