"""Gives a customer the price of a sent message back, once, as a decision of an operator.

The message's debit stays, since Twilio charged for it: what is given back is a credit. A message
that comes to nothing at Twilio is refunded without anybody's doing, so only one whose outcome is
final is given back here.
"""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from db.campaigns import messages
from db.campaigns.messages import Message
from db.operations import operator_acts
from db.operations.operator_acts import OperatorAct
from db.wallet import wallets
from domain.campaigns.campaign import MessageStatus
from domain.campaigns.telephony import TERMINAL
from domain.wallet import refusals
from domain.wallet.entries import credit
from domain.wallet.ledger import Posted

RETURNED = frozenset({MessageStatus.REFUSED, MessageStatus.LOST})


class AlreadyRefunded(Exception):
    """Its price was returned before, or never taken."""


class NotFinal(Exception):
    """Twilio has not reported the message's final status."""


def goodwill_reference(message_id: UUID, attempt: int) -> str:
    return f"goodwill:message:{message_id}:{attempt}"


async def give_back(conn: AsyncConnection, message: Message, *, by: str, reason: str) -> None:
    """Credit the message's price. Raises `AlreadyRefunded` or `NotFinal`. Locks the wallet,
    then the message; the caller commits.
    """
    organization_id = message.organization_id
    wallet = await wallets.lock(conn, organization_id)
    [message] = await messages.lock(conn, organization_id, [message.id])
    if message.status in RETURNED or message.status is MessageStatus.SKIPPED:
        raise AlreadyRefunded(f"the message is {message.status.value}: nothing of it is paid")
    if message.status is not MessageStatus.ACCEPTED or message.delivery_status not in TERMINAL:
        raise NotFinal("its outcome is not final; if it fails, it is refunded without your doing")
    reference = goodwill_reference(message.id, message.attempt)
    posting = credit(reference, message.price, "given back for a message")
    if wallet is None:
        raise AlreadyRefunded("the organization has no wallet")
    [outcome] = await wallets.post_locked(conn, wallet, [posting])
    if not isinstance(outcome, Posted):
        raise AlreadyRefunded(refusals.in_words(outcome))
    if outcome.replayed:
        raise AlreadyRefunded("its price was given back before")
    await operator_acts.record(
        conn,
        OperatorAct.MESSAGE_REFUNDED,
        by=by,
        organization_id=organization_id,
        subject=f"message {message.id}",
        reason=reason,
    )
