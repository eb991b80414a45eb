"""Tells whether a database went back in time, from its mark, which is advanced every second. Pure."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What identifies a state of a database. `server` is the identifier of PostgreSQL's cluster,
    `timeline` counts its promotions and point-in-time recoveries. `last_used` is when the mark was
    advanced before, `accepted` its number when an operator last opened the fence.
    """

    installation: UUID | None
    number: int
    server: int
    timeline: int
    last_used: datetime | None = field(default=None, compare=False)
    accepted: int = field(default=0, compare=False)


def went_back(known: Mark, found: Mark, *, watched: bool) -> str:
    """Why `found`, which was read after `known`, is an earlier state or may be one; empty if it is
    not.

    `watched`: `known` is at most a few seconds old. Otherwise what was committed after it may be
    lost although the mark is not lower. What is known from before an operator opened the fence says
    nothing any more: the process may not have been able to look while the fence was shut.
    """
    if found.installation == known.installation and known.number < found.accepted:
        return ""
    if found.installation != known.installation:
        return f"it is the database {found.installation}, not {known.installation}"
    if found.number < known.number:
        return f"its mark is {found.number}, but {known.number} was reached before"
    if found.server != known.server:
        return f"it was copied to another server: {found.server}, before {known.server}"
    if found.timeline < known.timeline:
        return f"it is on timeline {found.timeline}, but {known.timeline} was reached before"
    if found.timeline > known.timeline and not watched:
        return (
            f"it changed from timeline {known.timeline} to {found.timeline} while no process of "
            "Tollgate was running: what was committed last may be lost"
        )
    return ""
