"""A witness file: each `certify` records the newest link of the chain of seals, and the next one
compares it.

Stored where nobody with write access to the database can write, it reveals even a consistent
rewrite of the database.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from cli.failures import Misused
from db.audit.certify import Finding
from db.wallet import seals

CLAIM = "links that the witness file has and the database does not"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    at: str
    link: int
    sha256: str


def read(path: Path) -> list[Line]:
    """Empty if there is no such file yet. Raises `Misused` if a line is not one of a witness file."""
    lines: list[Line] = []
    for number, text in enumerate(
        path.read_text("utf-8").splitlines() if path.exists() else (), start=1
    ):
        try:
            lines.append(Line(**json.loads(text)))
        except (ValueError, TypeError) as problem:
            raise Misused(f"{path}, line {number}: not a line of a witness file") from problem
    return lines


async def compare(conn: AsyncConnection, lines: Sequence[Line]) -> Finding:
    stored_links = await seals.links(conn, [line.link for line in lines])
    wrong = [line for line in lines if stored_links.get(line.link) != line.sha256]
    first = f"link {wrong[0].link}, noted at {wrong[0].at}" if wrong else None
    return Finding(guarantee=1, check=CLAIM, examined=len(lines), broken=len(wrong), first=first)


async def note(conn: AsyncConnection, path: Path, lines: Sequence[Line]) -> None:
    """Append the newest link, unless it is the last line already."""
    newest = await seals.newest_link(conn)
    if newest is None or (lines and lines[-1].link == newest.number):
        return
    line = {"at": newest.made_at.isoformat(), "link": newest.number, "sha256": newest.sha256}
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
