"""The ids of attempts that callbacks name: `message.number`. Anybody may name anything."""

from uuid import UUID


def message_of(attempt_id: str | None) -> UUID | None:
    try:
        return UUID((attempt_id or "").partition(".")[0])
    except ValueError:
        return None


def number_of(attempt_id: str | None) -> int | None:
    number = (attempt_id or "").partition(".")[2]
    return int(number) if number.isascii() and number.isdigit() and len(number) < 7 else None
