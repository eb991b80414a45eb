"""What a subaccount has besides its numbers that costs whether it is used or not: short codes and
recordings with the parent's credentials, also while the subaccount is suspended; 10DLC campaigns
with its own, which Twilio refuses then.

Sources: Twilio's OpenAPI descriptions `twilio_api_v2010.json` (SMS/ShortCodes, Recordings) and
`twilio_messaging_v1.json` (Services, Compliance/Usa2p). Its API gives no short code back.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from providers.errors import NotFound
from providers.twilio.adapter import Twilio
from providers.twilio.subaccount import own_client
from providers.twilio.wire import answer_of

_MOST_LISTED = 1000
DELETED_AT_ONCE = 200
_SIDE_BY_SIDE = 10


@dataclass(frozen=True, slots=True)
class ShortCode:
    sid: str
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UsCampaign:
    """A 10DLC campaign, and what it is used for, as Twilio's price depends on that."""

    sid: str
    usecase: str
    status: str


async def short_codes(twilio: Twilio, account_sid: str) -> list[ShortCode]:
    listed = (await twilio.as_subaccount(account_sid)).short_codes
    page = await answer_of(lambda: listed.page_async(page_size=_MOST_LISTED))
    return [ShortCode(str(each.sid), str(each.short_code)) for each in page]


async def has_recordings(twilio: Twilio, account_sid: str) -> bool:
    return bool(await _recordings(twilio, account_sid, 1))


async def delete_recordings(twilio: Twilio, account_sid: str) -> bool:
    """Delete some of them for good; returns whether none is left."""
    subaccount = await twilio.as_subaccount(account_sid)
    turns = asyncio.Semaphore(_SIDE_BY_SIDE)

    async def delete(sid: str) -> None:
        async with turns:
            with suppress(NotFound):
                await answer_of(subaccount.recordings(sid).delete_async)

    await asyncio.gather(
        *(delete(sid) for sid in await _recordings(twilio, account_sid, DELETED_AT_ONCE))
    )
    return not await has_recordings(twilio, account_sid)


async def us_campaigns(
    twilio: Twilio, account_sid: str, turn: Callable[[], Awaitable[None]]
) -> list[UsCampaign]:
    """Of each messaging service; those that were only tried out are left out, as they cost nothing.
    `turn` is waited for before each further call.
    """
    services = (await own_client(twilio, account_sid)).messaging.v1.services
    found: list[UsCampaign] = []
    page = await answer_of(lambda: services.page_async(page_size=_MOST_LISTED))
    while True:
        for service in [str(each.sid) for each in page]:
            await turn()
            found += await _campaigns_of(services(service))
        following = page.next_page_url
        if following is None:
            return found
        await turn()
        page = await answer_of(partial(services.get_page_async, following))


async def _campaigns_of(service: Any) -> list[UsCampaign]:
    listed = service.us_app_to_person
    page = await answer_of(lambda: listed.page_async(page_size=_MOST_LISTED))
    return [
        UsCampaign(
            sid=str(each.sid),
            usecase=str(each.us_app_to_person_usecase or ""),
            status=str(each.campaign_status or ""),
        )
        for each in page
        if not each.mock
    ]


async def _recordings(twilio: Twilio, account_sid: str, most: int) -> list[str]:
    listed = (await twilio.as_subaccount(account_sid)).recordings
    page = await answer_of(lambda: listed.page_async(page_size=most))
    return [str(each.sid) for each in page]
