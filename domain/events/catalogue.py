"""The types of events: what each one tells, and the fields of its data. docs/reference/events.md and
the webhooks of the OpenAPI document are generated from here.

An event is thin: ids, and the few figures that make a decision possible. The rest is read by GET.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from domain.money import to_decimal_string


class EventType(StrEnum):
    ORGANIZATION_SUSPENDED = "organization.suspended"
    ORGANIZATION_REACTIVATED = "organization.reactivated"
    STANDING_APPLIED = "standing.applied"


class Kind(StrEnum):
    """MONEY is kept in whole micros, and shown as a decimal string."""

    TEXT = "text"
    TEXTS = "list of texts"
    NUMBER = "integer"
    TIME = "time"
    MONEY = "amount"


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    kind: Kind
    about: str
    optional: bool = False

    @property
    def stored(self) -> str:
        """Its key in the row's data."""
        return f"{self.name}_micros" if self.kind is Kind.MONEY else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """`opt_in`: told only to an endpoint that names the type. `version` grows when a field changes
    its meaning; fields are only added otherwise.
    """

    about: str
    fields: tuple[Field, ...]
    opt_in: bool = False
    version: int = 1


EPOCH = Field("epoch", Kind.NUMBER, "counts the changes of the organization's standing")
STATUS = Field("status", Kind.TEXT, "`active` or `suspended`")
BLOCKS = Field("blocks", Kind.TEXTS, "why it may not send")

CATALOGUE: Mapping[EventType, Entry] = {
    EventType.ORGANIZATION_SUSPENDED: Entry(
        about="the organization may not send: its gate is shut, and the steps at Twilio follow",
        fields=(EPOCH, BLOCKS),
    ),
    EventType.ORGANIZATION_REACTIVATED: Entry(
        about="the organization may send again: its subaccount is active, its gate open and its "
        "campaigns continue",
        fields=(EPOCH,),
    ),
    EventType.STANDING_APPLIED: Entry(
        about="every step of a suspension or a reactivation is done: its receipt is closed",
        fields=(
            EPOCH,
            STATUS,
            Field("decided_at", Kind.TIME, "when it was decided"),
            Field("finished_at", Kind.TIME, "when its last step was done"),
            Field(
                "leaked_debits", Kind.NUMBER, "debits that passed the shut gate: 0", optional=True
            ),
            Field(
                "leaked_messages",
                Kind.NUMBER,
                "messages that passed the shut gate: 0",
                optional=True,
            ),
        ),
    ),
}


def refuse_unknown_keys(type_: EventType, keys: set[str]) -> None:
    """The data of an event has the fields that its type promises, and no others."""
    promised = {field.stored for field in CATALOGUE[type_].fields}
    if keys != promised:
        raise ValueError(f"{type_} has {sorted(keys)}, and should have {sorted(promised)}")


def shown(type_: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """The data as the host application reads it. A type of another version is shown as it is
    stored.
    """
    if type_ not in CATALOGUE:
        return dict(data)
    found = {}
    for field in CATALOGUE[EventType(type_)].fields:
        value = data.get(field.stored)
        found[field.name] = None if value is None else _SHOWN.get(field.kind, _as_it_is)(value)
    return found


def _as_it_is(value: Any) -> Any:
    return value


def _in_utc(value: str) -> str:
    return datetime.fromisoformat(value).astimezone(UTC).isoformat().replace("+00:00", "Z")


_SHOWN: Mapping[Kind, Callable[[Any], Any]] = {Kind.MONEY: to_decimal_string, Kind.TIME: _in_utc}
