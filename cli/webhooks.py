"""`tollgate webhooks`: manages webhook endpoints, in the forms of `/v1/webhook-endpoints`."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import typer
from pydantic import BaseModel, TypeAdapter, ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from api.outbound.fields import (
    AttemptOut,
    WebhookEndpointChangeRequest,
    WebhookEndpointOut,
    WebhookEndpointRequest,
)
from cli.console import output, table, write
from cli.failures import CommandFailed, Misused
from cli.schema import configured, database_url
from cli.transactions import run
from db.outbound import endpoints
from db.outbound.endpoints import Endpoint
from domain.outbound.deliveries import Disabled, SigningScheme
from providers.outbound import addresses
from providers.outbound.client import outbound
from providers.outbound.urls import Refused
from runtime import stored_secrets
from runtime.database import create_engine
from runtime.outbound_endpoints import (
    Endpoints,
    NoKeys,
    UnknownOrganization,
    check_organizations,
)
from runtime.outbound_endpoints import enable as enable_endpoint

B = TypeVar("B", bound=BaseModel)
T = TypeVar("T")
MOST = 10_000


def create(
    url: str,
    *,
    types: Sequence[str],
    organization_ids: Sequence[str],
    description: str,
    scheme: str,
    as_json: bool,
) -> None:
    request = checked(
        WebhookEndpointRequest,
        url=url,
        types=list(types),
        organization_ids=list(organization_ids),
        description=description,
        scheme=scheme,
    )

    async def make(calling: Endpoints, conn: AsyncConnection) -> WebhookEndpointOut:
        endpoint_id = endpoints.new_id()
        shown = await calling.create(
            conn,
            endpoint_id,
            url=request.url,
            description=request.description,
            types=request.types,
            organization_ids=request.organization_ids,
            scheme=request.scheme,
        )
        return await _out(conn, endpoint_id, shown)

    _show_secret(_with_endpoints(make), as_json=as_json)


def show_all(*, as_json: bool) -> None:
    async def read(conn: AsyncConnection) -> list[WebhookEndpointOut]:
        found = await endpoints.page(conn, limit=MOST)
        ids = [endpoint.id for endpoint in found]
        secrets = await endpoints.valid_secrets(conn, ids, now=datetime.now(UTC))
        return [WebhookEndpointOut.of(endpoint, secrets[endpoint.id]) for endpoint in found]

    found = run(read)
    if as_json:
        write_list(found)
        return
    shown = table("id", "url", "events", "organizations", "status", "failing since")
    for endpoint in found:
        shown.add_row(
            endpoint.id,
            endpoint.url,
            ", ".join(endpoint.types) or "(all)",
            ", ".join(endpoint.organization_ids) or "(all)",
            f"{endpoint.status} {endpoint.disabled_because or ''}".strip(),
            written(endpoint.first_failed_at),
        )
    output.print(shown)


def change(
    endpoint_id: str,
    *,
    url: str | None,
    types: Sequence[str] | None,
    organization_ids: Sequence[str] | None,
    description: str | None,
    as_json: bool,
) -> None:
    request = checked(
        WebhookEndpointChangeRequest,
        url=url,
        types=_given(types),
        organization_ids=_given(organization_ids),
        description=description,
    )

    async def set_(calling: Endpoints, conn: AsyncConnection) -> WebhookEndpointOut:
        if request.url is not None:
            calling.check(request.url)
        await check_organizations(conn, request.organization_ids or ())
        await endpoints.change(conn, endpoint_id, request.model_dump(exclude_none=True))
        return await _out(conn, endpoint_id)

    changed = _with_endpoints(set_)
    if as_json:
        write(changed.model_dump_json())
    else:
        output.print(f"changed {endpoint_id}")


def delete(endpoint_id: str) -> None:
    if not run(lambda conn: endpoints.remove(conn, endpoint_id)):
        raise missing(endpoint_id)
    output.print(f"deleted {endpoint_id}")


def rotate(endpoint_id: str, *, overlap_hours: int, scheme: str | None, as_json: bool) -> None:
    async def replace(calling: Endpoints, conn: AsyncConnection) -> WebhookEndpointOut:
        await endpoint_of(conn, endpoint_id)
        shown = await calling.rotate(
            conn,
            endpoint_id,
            scheme=None if scheme is None else SigningScheme(scheme),
            overlap=timedelta(hours=overlap_hours),
            now=datetime.now(UTC),
        )
        return await _out(conn, endpoint_id, shown)

    _show_secret(_with_endpoints(replace), as_json=as_json)


def enable(endpoint_id: str, *, skip_pending: bool) -> None:
    async def begin(conn: AsyncConnection) -> None:
        await endpoint_of(conn, endpoint_id)
        await enable_endpoint(conn, endpoint_id, skip_pending=skip_pending, now=datetime.now(UTC))

    run(begin)
    output.print(f"enabled {endpoint_id}")


def disable(endpoint_id: str) -> None:
    async def end(conn: AsyncConnection) -> None:
        await endpoint_of(conn, endpoint_id)
        await endpoints.disable(conn, endpoint_id, Disabled.BY_HAND, now=datetime.now(UTC))

    run(end)
    output.print(f"disabled {endpoint_id}")


def send_test(endpoint_id: str, *, as_json: bool) -> None:
    async def send(calling: Endpoints, engine: AsyncEngine) -> AttemptOut:
        async with engine.begin() as conn:
            endpoint = await endpoint_of(conn, endpoint_id)
        return AttemptOut.of(await calling.test(engine, endpoint))

    attempt = _calling(send)
    if as_json:
        write(attempt.model_dump_json())
    else:
        output.print(f"{attempt.status or 'no answer'} in {attempt.latency_ms} ms {attempt.reason}")
    if attempt.status is None or not 200 <= attempt.status < 300:
        raise typer.Exit(1)


def _with_endpoints(work: Callable[[Endpoints, AsyncConnection], Awaitable[T]]) -> T:
    async def in_transaction(calling: Endpoints, engine: AsyncEngine) -> T:
        async with engine.begin() as conn:
            return await work(calling, conn)

    return _calling(in_transaction)


def _calling(work: Callable[[Endpoints, AsyncEngine], Awaitable[T]]) -> T:
    """Run something that may call an endpoint."""
    read = configured()

    async def with_engine(url: str) -> T:
        engine = create_engine(url, pool_size=1, application_name="tollgate command")
        listed = [addresses.network(text) for text in read.outbound_networks]
        try:
            async with outbound(listed=listed, http=read.outbound_http) as client:
                return await work(Endpoints(client, stored_secrets.read(read.secret_keys)), engine)
        finally:
            await engine.dispose()

    try:
        with database_url(read) as url:
            return asyncio.run(with_engine(url))
    except Refused as refusal:
        raise Misused(f"the URL {refusal}") from None
    except UnknownOrganization as problem:
        raise CommandFailed(f"there is no organization {problem}") from None
    except NoKeys as problem:
        raise Misused(str(problem)) from None


def checked(model: type[B], **values: Any) -> B:
    try:
        return TypeAdapter(model).validate_python(values)
    except ValidationError as problem:
        first = problem.errors()[0]
        message = first["msg"].removeprefix("Value error, ")
        raise Misused(f"{first['loc'][0]}: {message}") from None


def _given(values: Sequence[str] | None) -> list[str] | None:
    return None if values is None else [value for value in values if value]


async def endpoint_of(conn: AsyncConnection, endpoint_id: str) -> Endpoint:
    endpoint = await endpoints.get(conn, endpoint_id)
    if endpoint is None:
        raise missing(endpoint_id)
    return endpoint


async def _out(
    conn: AsyncConnection, endpoint_id: str, secret: str | None = None
) -> WebhookEndpointOut:
    endpoint = await endpoint_of(conn, endpoint_id)
    secrets = await endpoints.valid_secrets(conn, [endpoint_id], now=datetime.now(UTC))
    return WebhookEndpointOut.of(endpoint, secrets[endpoint_id], secret)


def missing(endpoint_id: str) -> CommandFailed:
    return CommandFailed(f"there is no endpoint {endpoint_id}")


def _show_secret(endpoint: WebhookEndpointOut, *, as_json: bool) -> None:
    if as_json:
        write(endpoint.model_dump_json())
        return
    output.print(f"{endpoint.id} is verified with this, which is not shown again:")
    write(endpoint.secret or "")


def write_list(found: Sequence[BaseModel]) -> None:
    rows = [each.model_dump(mode="json") for each in found]
    write(json.dumps({"data": rows, "next_cursor": None}))


def written(at: datetime | None) -> str:
    return "" if at is None else at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
