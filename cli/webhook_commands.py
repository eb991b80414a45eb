"""`tollgate webhooks`: where the host application is told what happened."""

from enum import StrEnum
from typing import Annotated

import typer

from cli.bench_commands import Json

webhooks = typer.Typer(
    help="Endpoints of the host application, and what was delivered to them.", no_args_is_help=True
)
EndpointId = Annotated[str, typer.Argument(help="The endpoint's id: we_...")]
DeliveryId = Annotated[int, typer.Argument(help="The delivery's id.", min=1, max=2**63 - 1)]
Types = Annotated[
    list[str] | None,
    typer.Option("--type", help="Only events of this type; may be repeated."),
]
Organizations = Annotated[
    list[str] | None,
    typer.Option("--organization", help="Only events of this organization; may be repeated."),
]
Description = Annotated[str | None, typer.Option(help="For people.")]


class SchemeName(StrEnum):
    V1 = "v1"
    V1A = "v1a"


@webhooks.command("create")
def create(
    url: Annotated[str, typer.Argument(help="An https URL with a public address.")],
    *,
    type_: Types = None,
    organization: Organizations = None,
    description: Description = None,
    scheme: Annotated[
        SchemeName, typer.Option(help="v1: a shared secret; v1a: a key pair.")
    ] = SchemeName.V1,
    as_json: Json = False,
) -> None:
    """Create an endpoint. What its events are verified with is shown once."""
    from cli.webhooks import create

    create(
        url,
        types=type_ or [],
        organization_ids=organization or [],
        description=description or "",
        scheme=scheme.value,
        as_json=as_json,
    )


@webhooks.command("list")
def list_all(*, as_json: Json = False) -> None:
    """List the endpoints, the newest first."""
    from cli.webhooks import show_all

    show_all(as_json=as_json)


@webhooks.command("change")
def change(
    endpoint: EndpointId,
    *,
    url: Annotated[str | None, typer.Option(help="The new URL.")] = None,
    type_: Types = None,
    organization: Organizations = None,
    description: Description = None,
    as_json: Json = False,
) -> None:
    """Change an endpoint; what is not given stays. An empty --type or --organization means all."""
    from cli.webhooks import change

    change(
        endpoint,
        url=url,
        types=type_,
        organization_ids=organization,
        description=description,
        as_json=as_json,
    )


@webhooks.command("delete")
def delete(endpoint: EndpointId) -> None:
    """Delete an endpoint: nothing is delivered to it any more."""
    from cli.webhooks import delete

    delete(endpoint)


@webhooks.command("rotate-secret")
def rotate_secret(
    endpoint: EndpointId,
    *,
    overlap_hours: Annotated[
        int, typer.Option(help="How long the previous secrets sign, too.", min=0, max=720)
    ] = 24,
    scheme: Annotated[
        SchemeName | None, typer.Option(help="The new one's; by default as before.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Replace an endpoint's secret. The new one is shown once."""
    from cli.webhooks import rotate

    rotate(
        endpoint,
        overlap_hours=overlap_hours,
        scheme=None if scheme is None else scheme.value,
        as_json=as_json,
    )


@webhooks.command("enable")
def enable(
    endpoint: EndpointId,
    *,
    skip_pending: Annotated[
        bool, typer.Option("--skip-pending", help="Skip what was queued meanwhile.")
    ] = False,
) -> None:
    """Deliver to an endpoint again, beginning with what was queued while it was disabled."""
    from cli.webhooks import enable

    enable(endpoint, skip_pending=skip_pending)


@webhooks.command("disable")
def disable(endpoint: EndpointId) -> None:
    """Deliver nothing to an endpoint until it is enabled; what happens meanwhile is queued."""
    from cli.webhooks import disable

    disable(endpoint)


@webhooks.command("test")
def send_test(endpoint: EndpointId, *, as_json: Json = False) -> None:
    """Send a test event at once. Exit status 1 if it is not accepted."""
    from cli.webhooks import send_test

    send_test(endpoint, as_json=as_json)


@webhooks.command("deliveries")
def deliveries(
    endpoint: EndpointId,
    *,
    status: Annotated[
        str | None, typer.Option(help="Only pending, delivered, failed or skipped ones.")
    ] = None,
    organization: Annotated[str | None, typer.Option(help="Only events of this one.")] = None,
    limit: Annotated[int, typer.Option(help="How many.", min=1, max=10_000)] = 100,
    as_json: Json = False,
) -> None:
    """List what was delivered to an endpoint, the newest first."""
    from cli.webhook_deliveries import show_deliveries

    show_deliveries(
        endpoint, status=status, organization_id=organization, limit=limit, as_json=as_json
    )


@webhooks.command("delivery")
def delivery(endpoint: EndpointId, delivery_id: DeliveryId, *, as_json: Json = False) -> None:
    """Show a delivery with each attempt of the last 30 days."""
    from cli.webhook_deliveries import show_delivery

    show_delivery(endpoint, delivery_id, as_json=as_json)


@webhooks.command("redeliver")
def redeliver(endpoint: EndpointId, delivery_id: DeliveryId) -> None:
    """Attempt a pending delivery now, or queue a settled one again."""
    from cli.webhook_deliveries import redeliver

    redeliver(endpoint, delivery_id)


@webhooks.command("replay")
def replay(
    endpoint: EndpointId,
    *,
    since: Annotated[
        str | None, typer.Option(help="Events since then, such as 2026-12-24T08:00:00Z.")
    ] = None,
    after: Annotated[str | None, typer.Option(help="Events after this one: evt_...")] = None,
    as_json: Json = False,
) -> None:
    """Queue past events again, all of them."""
    from cli.webhook_deliveries import replay

    replay(endpoint, since=since, after=after, as_json=as_json)
