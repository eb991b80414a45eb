"""Pages of lists, and the cursors that lead from one page to the next.

A cursor is opaque to callers. It holds its list's name and the position of the last item of a page,
so that no list accepts another list's cursor, and a malformed cursor is refused.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from api.http.errors import invalid

Item = TypeVar("Item")
Row = TypeVar("Row")
Position = TypeVar("Position")

Cursor = Annotated[
    str | None,
    Query(
        max_length=2_000,
        description="`next_cursor` of the previous page; the first page without it.",
    ),
]
Limit = Annotated[int, Query(ge=1, le=500, description="Page size.")]
Number = Annotated[int, Field(strict=True, ge=0, le=2**63 - 1)]
"""A position in a column of type bigint."""


class Page(BaseModel, Generic[Item]):
    """What every list returns; each list has a subclass, which names the schema in the OpenAPI
    document.
    """

    data: list[Item] = Field(description="The items of this page.")
    next_cursor: str | None = Field(
        description="Pass it as `cursor` to get the next page; null on the last page."
    )


class Cursors(Generic[Position]):
    """The cursors of one list; `position` is the type of its sort key."""

    def __init__(self, name: str, position: Any) -> None:
        self._name = name
        self._position: TypeAdapter[Position] = TypeAdapter(position)

    def read(self, cursor: str | None) -> Position | None:
        """The position after which the page begins. Raises `Problem` if it is not a cursor of this
        list.
        """
        if cursor is None:
            return None
        try:
            name, written = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
            position = self._position.validate_json(json.dumps(written))
        except (ValueError, TypeError, RecursionError, ValidationError):
            raise _refused() from None
        if name != self._name or self._write(position) != cursor:
            raise _refused()
        return position

    def cut(
        self, rows: Sequence[Row], limit: int, position: Callable[[Row], Position]
    ) -> tuple[Sequence[Row], str | None]:
        """The rows of a page and its `next_cursor`, from rows that were read with `limit + 1`."""
        shown = rows[:limit]
        return shown, self._write(position(shown[-1])) if len(rows) > limit else None

    def _write(self, position: Position) -> str:
        content = [self._name, self._position.dump_python(position, mode="json")]
        written = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
        return urlsafe_b64encode(written.encode()).decode().rstrip("=")


def _refused() -> Exception:
    return invalid("cursor", "not a cursor of this list; pass `next_cursor` of the previous page")
