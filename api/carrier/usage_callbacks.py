"""Twilio's callbacks of usage triggers: each makes Tollgate look at once at what the subaccount did.

The subaccount's token signs them, so a callback proves nothing about money: only that somebody with
the token wants a look, which is repeated as often as is asked for and changes nothing by itself.
"""

from datetime import UTC, datetime

import structlog
from fastapi import APIRouter, Request, Response

from api.context import Here
from api.http.errors import Kind, Problem
from api.http.twilio_urls import called
from db.carrier import message_readings, tripwires
from providers.twilio import triggers

log = structlog.get_logger()
PATH = triggers.PATH
router = APIRouter(tags=["webhooks"])


@router.post(
    PATH,
    status_code=204,
    operation_id="receive_twilio_usage",
    summary="Receive a usage trigger's callback from Twilio",
    description=(
        "Twilio signs the request over the public URL with the token of the subaccount; no API key."
        " 400: the signature is wrong. 403: the account belongs to no organization. 503: Twilio "
        "does not answer the request for the token of the account; try again."
    ),
)
async def twilio_usage(request: Request, here: Here) -> Response:
    raw = await request.body()
    url = called(request, here.services.settings.public_url)
    parsed = triggers.parse_trigger(raw)
    if parsed is None:
        raise Problem(Kind.NOT_A_USAGE_CALLBACK)
    account_sid, trigger_sid = parsed
    organization_id = await here.tokens.organization(account_sid)
    if organization_id is None:
        raise Problem(Kind.UNKNOWN_ACCOUNT)
    signature = request.headers.get("x-twilio-signature", "")
    if not await here.tokens.signed(account_sid, url, raw, signature):
        log.warning("callback_signature_wrong", organization_id=organization_id)
        raise Problem(Kind.INVALID_SIGNATURE)
    now = datetime.now(UTC)
    async with here.services.engine.begin() as conn:
        await tripwires.note_fired(conn, organization_id, now=now)
        await message_readings.want(conn, organization_id, now=now)
    log.warning("tripwire_fired", organization_id=organization_id, trigger_sid=trigger_sid)
    here.background.do(
        here.services.notifier.notify_usage(organization_id),
        "notify_usage",
        organization_id=organization_id,
    )
    return Response(status_code=204)
