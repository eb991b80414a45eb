"""Gives up messages that Twilio never confirmed, and sends them again: operator actions, since both
may arrive.
"""

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.campaigns import campaigns, messages, send_results, transitions
from db.campaigns.campaigns import Campaign
from db.campaigns.messages import Message
from db.campaigns.send_results import Reply
from db.campaigns.transitions import PERSON, TOLLGATE
from db.lifecycle import standings
from db.wallet import wallets
from domain.campaigns.campaign import Act, ActFacts, CampaignStatus, MessageStatus, Park, kept_by
from domain.wallet.entries import debit
from domain.wallet.ledger import Debited, Outcome

_AGAIN = text(
    """
    WITH lost AS MATERIALIZED (
        SELECT id, attempt, problem, sending_at FROM messages
        WHERE organization_id = :organization_id AND id = :id AND status = 'lost' AND provider_sid IS NULL
        FOR UPDATE
    ), again AS (
        UPDATE messages m SET status = :status, provider_sid = NULL, delivery_status = NULL, error_code = NULL,
                            problem = NULL, attempt = m.attempt + :more,
                            sending_at = CASE WHEN :more = 1 THEN clock_timestamp() ELSE m.sending_at END,
                            sender = CASE WHEN :more = 1 THEN (SELECT o.sender FROM organizations o
                                                               WHERE o.id = :organization_id) ELSE sender END
        FROM lost WHERE m.organization_id = :organization_id AND m.id = lost.id
        RETURNING lost.id, lost.attempt, lost.problem, lost.sending_at
    )
    INSERT INTO attempts (organization_id, message_id, attempt, status, problem, sending_at)
    SELECT :organization_id, id, attempt, 'lost', problem, sending_at FROM again
    """
)


class NotLost(Exception):
    """Only a message that was given up, and was not found to be sent, may be sent again."""


class CampaignCanceled(NotLost):
    """The message's campaign was canceled, and sends nothing more."""


class Confirmed(Exception):
    """Only a message that Twilio never confirmed may be given up."""


async def give_up(conn: AsyncConnection, message: Message) -> None:
    """Refund a message of unknown outcome and mark it as LOST, once, on a person's decision.

    Raises `Confirmed`. Locks the wallet, then the message; the caller commits.
    """
    lost = Reply(
        message=message,
        status=MessageStatus.LOST,
        problem="given up by an operator",
        after_acceptance=True,
    )
    never_confirmed = message.status is MessageStatus.ACCEPTED and message.provider_sid is None
    if message.status is MessageStatus.LOST:
        return
    if not never_confirmed or not await send_results.settle(conn, message.organization_id, [lost]):
        raise Confirmed(f"Twilio accepted message {message.id}, or has not decided yet")


async def in_its_campaign(conn: AsyncConnection, message: Message, campaign_id: UUID) -> None:
    """Make it pending again; a completed campaign runs again if its organization may send,
    otherwise it is parked.

    The caller notifies the campaign. Raises `NotLost`, also if the campaign was canceled. Locks the
    standing, the campaign, the wallet, the message; the caller commits.
    """
    await standings.lock(conn, message.organization_id)
    campaign = await campaigns.lock(conn, message.organization_id, campaign_id)
    if campaign is None or campaign.status is CampaignStatus.CANCELED:
        raise CampaignCanceled("the campaign was canceled")
    wallet = await wallets.watch(conn, message.organization_id)
    await _again(conn, message, MessageStatus.PENDING, more=0)
    if campaign.status is not CampaignStatus.COMPLETED:
        return
    park = Park.SUSPENDED if wallet is None else kept_by(wallet)
    if park is None:
        await transitions.change(conn, campaign, Act.REOPEN, by=PERSON)
    else:
        await reopen_parked(conn, campaign, park)


async def reopen_parked(conn: AsyncConnection, campaign: Campaign, park: Park) -> None:
    """A message of a completed campaign is pending again, and `park` keeps it from being sent. The
    caller holds the campaign's row.
    """
    facts = ActFacts(may_not_send=True)
    await transitions.change(
        conn, campaign, Act.REOPEN, by=TOLLGATE, facts=facts, reason=park.value
    )


async def by_itself(conn: AsyncConnection, message: Message) -> tuple[Message | None, Outcome]:
    """Debit it again and mark it as being sent; the caller commits, then hands it over. None: the
    wallet did not pay.

    Raises `NotLost`. Locks the wallet, then the message.
    """
    reference = messages.debit_reference(message.id, message.attempt + 1)
    [outcome] = await wallets.post(conn, message.organization_id, [debit(reference, message.price)])
    if not isinstance(outcome, Debited):
        return None, outcome
    await _again(conn, message, MessageStatus.SENDING, more=1)
    return await messages.get(conn, message.organization_id, message.id), outcome


async def _again(
    conn: AsyncConnection, message: Message, status: MessageStatus, *, more: int
) -> None:
    params = {
        "organization_id": message.organization_id,
        "id": message.id,
        "status": status.value,
        "more": more,
    }
    if not (await conn.execute(_AGAIN, params)).rowcount:
        raise NotLost(f"message {message.id} was not given up, or Twilio has sent it after all")
