"""What Twilio takes only with a subaccount's own token: everything outside its API of 2010.

The token is read with the parent's credentials for each use. A suspended subaccount's is refused.
Sources: Twilio's pages "REST API: Secondary Auth Token" and "REST API: Auth Token", its page of
subaccounts, and its OpenAPI description of Messaging v1.
"""

from contextlib import suppress
from typing import Any

from twilio.rest import Client  # type: ignore[import-untyped]

from domain.campaigns.telephony import Account
from providers.errors import NotFound
from providers.twilio.adapter import Twilio
from providers.twilio.wire import answer_of

_MOST_SENDERS = 1000


async def rotate_token(twilio: Twilio, account_sid: str) -> Account:
    """Replace the token; the old one is refused from then on. Returns the account with the new one.

    A secondary token that is there already is not promoted but deleted: whoever has the old token
    may have made it, and would have the new one.
    """
    own = (await own_client(twilio, account_sid)).accounts.v1
    with suppress(NotFound):
        await answer_of(lambda: own.secondary_auth_token().delete_async())
    await answer_of(
        lambda: own.secondary_auth_token().create_async(suppress_email_notification=True)
    )
    await answer_of(lambda: own.auth_token_promotion().update_async())
    return await twilio.get_account(account_sid)


async def channel_senders(twilio: Twilio, account_sid: str, service_sid: str) -> list[str]:
    """The senders of other channels in a messaging service's pool, such as `rcs:acme_agent`; a pool
    has few (Twilio's page of the ChannelSender resource).
    """
    service = (await own_client(twilio, account_sid)).messaging.v1.services(service_sid)
    page = await answer_of(lambda: service.channel_senders.page_async(page_size=_MOST_SENDERS))
    return [str(each.sender or "") for each in page]


async def own_client(twilio: Twilio, account_sid: str) -> Any:
    """The SDK with the credentials of the subaccount itself."""
    account = await twilio.get_account(account_sid)
    return Client(account_sid, account.auth_token, http_client=twilio.wire)
