"""Fields that many requests and answers share: amounts as decimal strings, text that the database
can store.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    WithJsonSchema,
)

from domain import money
from domain.campaigns import placeholders
from domain.campaigns.campaign import LONGEST_BODY
from domain.campaigns.rate_card import LARGEST_PRICE_MICROS
from domain.plain_text import is_message, is_plain, is_printable


class Body(BaseModel):
    """The body of a request. Unknown fields are refused, since a misspelt field would be ignored
    otherwise.
    """

    model_config = ConfigDict(extra="forbid")


def _positive(value: object) -> int:
    micros = money.parse_micros(value)  # type: ignore[arg-type]  # it refuses all but strings, with a reason
    if micros <= 0:
        raise ValueError("an amount is more than zero")
    return micros


def _not_negative(value: object) -> int:
    micros = money.parse_micros(value)  # type: ignore[arg-type]  # it refuses all but strings, with a reason
    if micros < 0:
        raise ValueError("a price is not below zero")
    return micros


def _price(micros: int) -> int:
    if micros > LARGEST_PRICE_MICROS:
        raise ValueError(f"a segment costs at most {money.to_decimal_string(LARGEST_PRICE_MICROS)}")
    return micros


def _printable(text: str) -> str:
    if not is_printable(text):
        raise ValueError("only printable characters")
    return text


def _plain(text: str) -> str:
    if not is_plain(text):
        raise ValueError("no control characters, and no line ends")
    return text


def _message(text: str) -> str:
    if not is_message(text):
        raise ValueError("it contains a character that is not text")
    return text


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("it is blank")
    return text


def _without_placeholders(text: str) -> str:
    placeholder = placeholders.find(text)
    if placeholder is not None:
        raise ValueError(
            f"{placeholder[:40]!r} looks like a placeholder: all recipients get the same text"
        )
    return text


def options(values: type[StrEnum]) -> dict[str, JsonValue]:
    """Describes a text of an answer as one of these, without checking it: a newer version of
    Tollgate may have stored another.
    """
    return {"enum": [value.value for value in values]}


_DECIMAL = {
    "type": "string",
    "pattern": r"^(0|[1-9][0-9]{0,18})(\.[0-9]{1,6}0*)?$",
    "description": "A decimal string with at most six decimals.",
    "examples": ["12.50"],
}
Amount = Annotated[int, BeforeValidator(_positive), WithJsonSchema(_DECIMAL, mode="validation")]
"""More than zero; the value is in micros."""
PricePerMessage = Annotated[
    int,
    BeforeValidator(_not_negative),
    AfterValidator(_price),
    WithJsonSchema(_DECIMAL, mode="validation"),
]
"""Zero or more; the value is in micros."""
PricePerSegment = Annotated[Amount, AfterValidator(_price)]
"""More than zero and at most LARGEST_PRICE_MICROS; the value is in micros."""
Decimal = Annotated[
    int,
    PlainSerializer(money.to_decimal_string, return_type=str),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^-?(0|[1-9][0-9]*)\.[0-9]{2,6}$",
            "examples": ["12.50"],
        },
        mode="serialization",
    ),
]
"""Micros that are written as a decimal string."""
CurrencyOut = Annotated[str, Field(examples=["USD"], json_schema_extra={"pattern": "^[A-Z]{3}$"})]
CountryOut = Annotated[str, Field(json_schema_extra={"pattern": "^[A-Z]{2}$"})]
Uuid = Annotated[str, Field(json_schema_extra={"format": "uuid"})]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$", examples=["USD"])]
Reference = Annotated[
    str, Field(min_length=1, max_length=255, examples=["order-991"]), AfterValidator(_printable)
]
Name = Annotated[
    str, Field(min_length=1, max_length=200), AfterValidator(_printable), AfterValidator(_not_blank)
]
Note = Annotated[str, Field(max_length=500), AfterValidator(_plain)]
SmsBody = Annotated[
    str,
    Field(min_length=1, max_length=LONGEST_BODY, examples=["Your order is on its way."]),
    AfterValidator(_message),
    AfterValidator(_not_blank),
    AfterValidator(_without_placeholders),
]


def _text(value: object) -> object:
    # a number, or a text of one, would be taken for seconds since 1970
    if not isinstance(value, str) or "-" not in value[1:]:
        raise ValueError("a time such as 2026-12-24T08:00:00Z")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_text)]
"""A time of a request, with its zone."""
Time = Annotated[datetime, Field(examples=["2026-05-04T09:30:00Z"])]


class ReasonRequest(Body):
    """Why it is done. A provider shows the reason of a subscription's change to the customer."""

    reason: Annotated[
        Note,
        Field(
            min_length=1,
            max_length=120,
            description="In one line, for whoever looks at it later.",
            examples=["abuse report 4711"],
        ),
    ]
