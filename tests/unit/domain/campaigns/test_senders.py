"""The forms of senders that Twilio knows, and invalid ones."""

import pytest

from domain.campaigns.senders import is_sender, is_service

SENDERS = [
    "+15550001000",
    "+447700900123",
    "12345",
    "878",
    "ACME",
    "Acme Ltd",
    "A-1 & Co_+",
    "3M",
    "Booking.com",
    "Yahoo!",
    "MG Motors",
    "MG" + "0a" * 16,
]
NO_SENDERS = [
    "",
    " ",
    "+0155500010",
    "15550001000",
    "12",
    "1234567",
    "Longer than 11",
    " Acme",
    "Acme ",
    "Açme",
    "rcs:acme",
    "A\nB",
    "\uff11\uff12\uff13\uff14\uff15",
    "MG" + "0" * 31 + "x",
    "whatsapp:+15550001000",
]


@pytest.mark.parametrize("text", SENDERS)
def test_every_kind_of_twilio_sender_is_accepted(text: str) -> None:
    assert is_sender(text)
    assert is_service(text) == (len(text) == 34)


@pytest.mark.parametrize("text", NO_SENDERS)
def test_every_other_text_is_no_sender(text: str) -> None:
    assert not is_sender(text)
