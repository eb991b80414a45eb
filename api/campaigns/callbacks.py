"""Twilio's status callbacks. The subaccount that sent the message signs them; statuses have ranks,
so repeats do no harm.
"""

import asyncio
from datetime import UTC, datetime

import structlog
from fastapi import APIRouter, Request, Response
from sqlalchemy.exc import SQLAlchemyError

from api.context import Context, Here
from api.http.errors import Kind, Problem
from api.http.fast_routes import BareRoute
from api.http.twilio_urls import called
from db.campaigns.callbacks import Applied, SubaccountCallback
from db.carrier import foreign_messages, message_readings
from providers.errors import ProviderUnavailable
from providers.twilio import form_of, parse_callback
from runtime.coalescer import Overloaded

log = structlog.get_logger()
PATH = "/webhooks/twilio/status"
HELD = 2.5
"""Seconds before a callback that cannot be taken now is answered: Twilio's five repetitions follow
each other without a documented pause, and so they span the fifteen seconds that it allows.
"""
router = APIRouter(tags=["webhooks"], route_class=BareRoute)


@router.post(
    PATH,
    status_code=204,
    operation_id="receive_twilio_status",
    summary="Receive a message status callback from Twilio",
    description=(
        "Twilio signs the request over the public URL with the token of the subaccount; no API key."
        " 400: the signature is wrong. 403: the account belongs to no organization. 503: Twilio "
        "does"
        " not answer the request for the token of the account; try again."
    ),
)
async def twilio_status(request: Request, here: Here) -> Response:
    try:
        return await _take(request, here)
    except (Overloaded, ProviderUnavailable, SQLAlchemyError, OSError):
        if not here.held_callbacks.locked():
            async with here.held_callbacks:
                await asyncio.sleep(HELD)
        raise


async def _take(request: Request, here: Context) -> Response:
    raw = await request.body()
    url = called(request, here.services.settings.public_url)
    form = form_of(raw)
    callback = None if form is None else parse_callback(url, form)
    if form is None or callback is None:
        raise Problem(Kind.NOT_A_STATUS_CALLBACK)
    organization_id = await here.tokens.organization(callback.account_sid)
    if organization_id is None:
        raise Problem(Kind.UNKNOWN_ACCOUNT)
    signature = request.headers.get("x-twilio-signature", "")
    if not await here.tokens.signed(callback.account_sid, url, form, signature):
        log.warning("callback_signature_wrong", organization_id=organization_id)
        raise Problem(Kind.INVALID_SIGNATURE)
    applied = await here.callbacks.apply(SubaccountCallback(organization_id, callback))
    if applied is Applied.NOT_OURS:
        now = datetime.now(UTC)
        async with here.services.engine.begin() as conn:
            await foreign_messages.note_callback(conn, organization_id, callback, now=now)
            await message_readings.want(conn, organization_id, now=now)
    if applied in (Applied.TO_BE_READ, Applied.TOO_LATE, Applied.NOT_OURS):
        log.info(
            "callback",
            organization_id=organization_id,
            message_sid=callback.message_sid,
            outcome=applied.value,
        )
    return Response(status_code=204)
