"""What keeps a campaign from sending, and which messages are refunded."""

from dataclasses import replace

import pytest

from domain.campaigns.campaign import Park, kept_by
from domain.campaigns.delivery_failure import refunded
from domain.campaigns.telephony import DeliveryStatus
from domain.wallet.ledger import Wallet
from tests.builders import ORGANIZATION

WALLET = Wallet(organization_id=ORGANIZATION, currency="USD", balance_micros=5, entries=1)


@pytest.mark.parametrize(
    ("wallet", "kept"),
    [
        (WALLET, None),
        (replace(WALLET, gate_open=False), Park.SUSPENDED),
        (replace(WALLET, frozen_by_operator=True), Park.FROZEN),
        (replace(WALLET, frozen_by_suspension=True), Park.FROZEN),
        (replace(WALLET, balance_micros=0), Park.INSUFFICIENT_FUNDS),
        (replace(WALLET, held_micros=5), Park.INSUFFICIENT_FUNDS),
        (replace(WALLET, gate_open=False, frozen_by_operator=True), Park.SUSPENDED),
        (replace(WALLET, frozen_by_operator=True, balance_micros=0), Park.FROZEN),
    ],
)
def test_a_shut_gate_a_freeze_and_an_empty_wallet_keep_a_campaign_in_this_order(
    wallet: Wallet, kept: Park | None
) -> None:
    assert kept_by(wallet) is kept


@pytest.mark.parametrize(
    ("status", "code", "returned"),
    [
        (DeliveryStatus.FAILED, None, True),
        (DeliveryStatus.CANCELED, None, True),
        (DeliveryStatus.UNDELIVERED, None, False),
        (DeliveryStatus.UNDELIVERED, 30003, False),
        (DeliveryStatus.UNDELIVERED, 30002, True),
        (DeliveryStatus.UNDELIVERED, 30001, True),
        (DeliveryStatus.DELIVERED, 30002, False),
        (DeliveryStatus.SENT, 30001, False),
    ],
)
def test_unsent_messages_are_refunded_and_carrier_failures_only_by_their_code(
    status: DeliveryStatus, code: int | None, returned: bool
) -> None:
    assert refunded(status, code) is returned
