"""The rank of delivery statuses, and the values that must not be printed."""

from itertools import pairwise

from domain.campaigns.telephony import Account, AccountStatus, DeliveryStatus, rank

ON_THE_WAY = [
    DeliveryStatus.SCHEDULED,
    DeliveryStatus.ACCEPTED,
    DeliveryStatus.QUEUED,
    DeliveryStatus.SENDING,
    DeliveryStatus.SENT,
]
ENDS = [
    DeliveryStatus.DELIVERED,
    DeliveryStatus.UNDELIVERED,
    DeliveryStatus.FAILED,
    DeliveryStatus.CANCELED,
]


def test_every_status_has_a_rank() -> None:
    assert len([rank(status) for status in DeliveryStatus]) == len(DeliveryStatus)


def test_a_message_only_goes_forward() -> None:
    assert all(
        rank(earlier) < rank(later)
        for earlier, later in pairwise([*ON_THE_WAY, ENDS[0], DeliveryStatus.READ])
    )


def test_an_end_outranks_everything_on_the_way_and_no_other_end() -> None:
    assert {rank(end) for end in ENDS} == {rank(DeliveryStatus.DELIVERED)}
    assert all(rank(status) < rank(end) for status in ON_THE_WAY for end in ENDS)


def test_an_account_is_printed_without_its_token() -> None:
    account = Account(sid="AC1", status=AccountStatus.ACTIVE, auth_token="hush")

    assert "hush" not in repr(account)
