"""Matching of unconfirmed messages with Twilio's: a message that could be ours never counts as
absent.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.campaigns.matching import Handed, match
from domain.campaigns.telephony import DeliveryStatus, SentMessage

AT = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
TO, SENDER, BODY = "+14155550100", "+15005550006", "Hello “you”… it\u2019s \u2013 5 €"
HANDED = Handed(recipient=TO, body=BODY, sender=SENDER, since=AT)
DELIVERED, FAILED = DeliveryStatus.DELIVERED, DeliveryStatus.FAILED


def sent(sid: str = "SM1", **change: Any) -> SentMessage:
    fields: dict[str, Any] = {
        "account_sid": "AC1",
        "to": TO,
        "body": BODY,
        "status": DELIVERED,
        "created_at": AT,
        "senders": (SENDER,),
    }
    return SentMessage(sid=sid, **(fields | change))


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"body": ""},
        {"body": 'Hello "you" - it\'s 5 €...'},
        {"body": "", "to": "+1415555XXXX", "senders": ()},
        {"body": f"{BODY} "},
        {"senders": ("+15005550007", "MG1")},
    ],
    ids=[
        "as handed over",
        "redacted",
        "smart encoding",
        "masked",
        "trimmed",
        "another sender of the service",
    ],
)
def test_a_message_is_found_whatever_was_erased_or_rewritten(change: dict[str, Any]) -> None:
    found = match(HANDED, [sent(**change)])

    assert found.sent is not None


@pytest.mark.parametrize(
    "change",
    [
        {"to": "+14155550101"},
        {"to": "+1415556XXXX"},
        {"created_at": AT - timedelta(seconds=1)},
        {"outbound": False},
    ],
)
def test_what_cannot_be_the_message_does_not_keep_it_from_being_given_up(
    change: dict[str, Any],
) -> None:
    found = match(HANDED, [sent(**change)])

    assert (found.sent, found.possible) == (None, ())


@pytest.mark.parametrize(
    "change", [{"body": "another text"}, {"body": "another text", "status": FAILED}]
)
def test_another_text_to_the_recipient_could_still_be_it(change: dict[str, Any]) -> None:
    found = match(HANDED, [sent(**change)])

    assert (found.sent, [message.sid for message in found.possible]) == (None, ["SM1"])


@pytest.mark.parametrize(
    "other", [{"senders": ("+15005550007",)}, {"to": "+1415555XXXX"}, {"body": ""}]
)
def test_an_exact_match_goes_before_matches_that_may_be_rewritten(
    other: dict[str, Any],
) -> None:
    """Although it was created later."""
    exact = sent("SM2", created_at=AT + timedelta(seconds=1))

    found = match(HANDED, [sent("SM1", **other), exact], waiting=2)

    assert found.sent == exact


@pytest.mark.parametrize("change", [{"status": None}, {"created_at": None}])
def test_a_message_of_unknown_status_or_time_may_be_the_match(change: dict[str, Any]) -> None:
    assert match(HANDED, [sent(**change)]).sent is not None


def test_two_redacted_messages_cannot_be_told_apart() -> None:
    found = match(HANDED, [sent("SM1", body=""), sent("SM2", body="")])

    assert (found.sent, len(found.possible)) == (None, 2)


def test_two_redacted_ones_are_those_that_two_look_for() -> None:
    found = match(
        HANDED,
        [sent("SM2", body="", created_at=AT + timedelta(seconds=1)), sent("SM1", body="")],
        waiting=2,
    )

    assert found.sent is not None
    assert found.sent.sid == "SM1"


def test_a_failed_message_is_no_match_if_another_could_be() -> None:
    failed, other = sent("SM1", status=FAILED), sent("SM2", body="another text")

    assert match(HANDED, [failed, other]).sent is None
    assert match(HANDED, [failed]).sent == failed
    assert match(HANDED, [failed, sent("SM3")]).sent == sent("SM3")
