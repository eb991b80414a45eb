"""No failure and no log contains a full phone number, however it is written and however deeply
nested.
"""

import json
from urllib.parse import quote

import httpx
import pytest
from sqlalchemy.exc import IntegrityError
from temporalio.api.failure.v1 import Failure
from temporalio.exceptions import ActivityError, ApplicationError, RetryState

from activities.failures import translated
from domain.redaction import redact_text
from providers.errors import ProviderRefused, ProviderUnavailable
from runtime.client import DATA_CONVERTER

NUMBER = "+14155550142"
SECRET_DIGITS = "5555014"
URL = f"https://api.twilio.com/2010-04-01/Accounts/AC1/Messages.json?To={quote(NUMBER, safe='')}&PageSize=100"
FORMS = [
    NUMBER,
    f"To={NUMBER}&Body=x",
    quote(NUMBER, safe=""),
    quote(NUMBER, safe="").lower(),
    quote(quote(NUMBER, safe=""), safe=""),
    quote(f"To={NUMBER}", safe=""),
    URL,
    quote(URL, safe=""),
    json.dumps({"to": NUMBER}),
    json.dumps({"to": NUMBER}, separators=(",", ":")),
    json.dumps(URL),
    repr(URL.encode()),
    f"tel:{NUMBER}",
    f"whatsapp:{NUMBER}",
    f"Key (organization_id, recipient)=(acme, {NUMBER}) already exists.",
    f"Failing row contains (acme,{NUMBER},null).",
    f"The 'To' number: {NUMBER[1:]} is not valid",
    f"to={NUMBER[1:]}",
    f'{{"to": "{NUMBER[1:]}"}}',
    "\\u002b" + NUMBER[1:],
    "&#43;" + NUMBER[1:],
    f"{NUMBER}, {NUMBER}",
    f"{NUMBER}.",
    f"x{quote(NUMBER, safe='')}x",
]


@pytest.mark.parametrize("form", FORMS)
def test_a_number_is_cut_in_every_form(form: str) -> None:
    assert SECRET_DIGITS in form
    assert SECRET_DIGITS not in redact_text(form)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23T04:04:14+10:00",
        "2026-11-23T04:04:14+1000",
        "a sum of 3+4155512",
        "01a22840-0235-7135-b2a9-0ea81e367dab",
        "epoch 1700000000000",
        "balance: 9990000",
        "%2B1",
        "SM0123456789abcdef0123456789abcdef",
    ],
)
def test_what_is_no_number_stays(text: str) -> None:
    assert redact_text(text) == text


def _nested(form: str) -> BaseException:
    try:
        with translated():
            try:
                raise httpx.ReadError(form)
            except httpx.ReadError as error:
                raise ProviderUnavailable(f"no answer: {form}", code="NO_ANSWER") from error
    except ApplicationError as error:
        return error


def _refused(form: str) -> BaseException:
    try:
        with translated():
            raise ProviderRefused(f"Twilio answered 400 (code 21211): {form}", code="21211")
    except ApplicationError as error:
        return error


def _by_the_database(form: str) -> BaseException:
    problem = IntegrityError("INSERT INTO messages", None, Exception(form), hide_parameters=True)
    problem.add_note(form)
    return problem


def _of_an_activity(form: str) -> BaseException:
    outer = ActivityError(
        form,
        scheduled_event_id=1,
        started_event_id=2,
        identity="w",
        activity_type="send_batch",
        activity_id="1",
        retry_state=RetryState.IN_PROGRESS,
    )
    outer.__cause__ = ApplicationError(form, form, {"to": form}, type="X")
    return outer


@pytest.mark.parametrize(
    "failure_class", [_nested, _refused, _by_the_database, _of_an_activity, ValueError]
)
@pytest.mark.parametrize("form", FORMS)
def test_no_failure_that_temporal_keeps_holds_a_number(form: str, failure_class: type) -> None:
    failure = Failure()

    DATA_CONVERTER.failure_converter.to_failure(
        failure_class(form), DATA_CONVERTER.payload_converter, failure
    )

    assert failure.message
    assert SECRET_DIGITS.encode() not in failure.SerializeToString()
