"""What a request can use, and parameters that many routes share."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Header, Path, Request
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio.service import RPCError

from activities.campaigns.dispatch import Sending
from activities.turns import TooManyWait, Turns
from api.http.background import Background
from api.http.errors import invalid, not_found
from api.http.http_metrics import Answers
from api.http.key_cache import Keys
from api.http.twilio_tokens import Tokens
from api.http.webhook_setups import Setups
from db.lifecycle import unnotified
from domain.lifecycle.organization import ID_PATTERN, is_organization_id
from runtime.callback_batcher import Callbacks
from runtime.coalescer import Coalescer, Overloaded
from runtime.database import snapshot
from runtime.wiring import Services

HELD_CALLBACKS = 200
"""How many of Twilio's callbacks that cannot be taken a process holds for a moment; each occupies a
connection.
"""
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_SHORT_KEY = re.compile(r"[\x21-\x7e]{1,240}")
"""It leaves room for a place in a list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    services: Services
    background: Background
    keys: Keys
    tokens: Tokens
    sending: Sending
    coalescer: Coalescer
    callbacks: Callbacks
    answers: Answers
    turns: Turns
    webhook_turns: Turns
    setups: Setups
    held_callbacks: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(HELD_CALLBACKS)
    )

    def snapshot(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A connection for reading: all reads see the same moment."""
        return snapshot(self.services.engine)

    def notify(self, organization_id: str, *, urgent: bool = False) -> None:
        """Notifies the lifecycle after the response. If it fails, the relay notifies again."""
        notifying = self._notify(organization_id, urgent=urgent)
        self.background.do(notifying, "notify", organization_id=organization_id)

    async def _notify(self, organization_id: str, *, urgent: bool) -> None:
        try:
            await self.services.notifier.notify_organization(organization_id, urgent=urgent)
        except (RPCError, RuntimeError):
            async with self.services.engine.begin() as conn:
                await unnotified.notify_soon(conn, [organization_id], now=datetime.now(UTC))
            raise

    def notify_switch(self, organization_id: str) -> None:
        self.background.do(
            self.services.notifier.notify_switch(organization_id),
            "notify",
            organization_id=organization_id,
        )

    def notify_campaigns(self, organization_id: str, *campaign_ids: UUID) -> None:
        for campaign_id in campaign_ids:
            self.background.do(
                self.services.notifier.notify_campaign(organization_id, campaign_id),
                "notify",
                organization_id=organization_id,
                campaign_id=str(campaign_id),
            )


async def _here(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


async def _organization_id(
    organization_id: Annotated[
        str,
        Path(
            description="The id that the host application chose.",
            examples=["acme"],
            json_schema_extra={"pattern": f"^{ID_PATTERN}$"},
        ),
    ],
    request: Request,
) -> AsyncIterator[str]:
    """Writes may wait for the organization's locks, so they take turns; reads never wait."""
    checked = checked_organization_id(organization_id)
    if request.method in ("GET", "HEAD"):
        yield checked
        return
    here: Context = request.app.state.context
    try:
        async with here.turns.of(checked):
            yield checked
    except TooManyWait:
        raise Overloaded from None


def checked_organization_id(text: str) -> str:
    """Raises `Problem` (404) for text that cannot be an id."""
    if not is_organization_id(text):
        raise not_found("organization")
    return text


_DONE_ONCE = Header(
    description="Repeating the request with the same key does nothing more.",
    examples=["c0ffee-1"],
    json_schema_extra={"pattern": r"^[\x21-\x7e]{1,255}$"},
)


async def _idempotency_key(idempotency_key: Annotated[str, _DONE_ONCE]) -> str:
    if not _KEY.fullmatch(idempotency_key):
        raise invalid("Idempotency-Key", "1 to 255 printable ASCII characters without a space")
    return idempotency_key


async def _key_of_act(idempotency_key: Annotated[str | None, _DONE_ONCE] = None) -> str | None:
    return None if idempotency_key is None else await _idempotency_key(idempotency_key)


async def _optional_key(
    idempotency_key: Annotated[
        str | None,
        Header(
            description="The reference, if the body has none.",
            examples=["c0ffee-1"],
            json_schema_extra={"pattern": r"^[\x21-\x7e]{1,240}$"},
        ),
    ] = None,
) -> str | None:
    return checked_key(idempotency_key)


def checked_key(text: str | None) -> str | None:
    """A key that may be missing, and that leaves room for a place in a list."""
    if text is not None and not _SHORT_KEY.fullmatch(text):
        raise invalid("Idempotency-Key", "1 to 240 printable ASCII characters without a space")
    return text


def parsed_uuid(text: str, what: str) -> UUID:
    """Raises `Problem` (404) for text that is not a UUID."""
    try:
        return UUID(text)
    except ValueError:
        raise not_found(what) from None


_UUID: dict[str, Any] = {
    "json_schema_extra": {"format": "uuid"},
    "examples": ["0195f1d2-6d3a-7c41-9b1e-3f0a5c7d2e90"],
}
Here = Annotated[Context, Depends(_here)]
CampaignId = Annotated[str, Path(description="The id of the campaign.", **_UUID)]
MessageId = Annotated[str, Path(description="The id of the message.", **_UUID)]
"""Any text is read: one that is no UUID names nothing, and gets 404."""
OrganizationId = Annotated[str, Depends(_organization_id)]
IdempotencyKey = Annotated[str, Depends(_idempotency_key)]
KeyOfAct = Annotated[str | None, Depends(_key_of_act)]
OptionalKey = Annotated[str | None, Depends(_optional_key)]
