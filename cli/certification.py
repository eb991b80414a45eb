"""`tollgate certify`: checks guarantees 1 to 7 on the live database and prints the figures."""

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from sqlalchemy.ext.asyncio import AsyncConnection

from cli import witness_file
from cli.console import errors, mark, output, write
from cli.failures import Misused
from cli.schema import configured, database_url
from cli.witness_file import Line
from db.audit import certify as proof
from db.audit import checkpoints
from db.audit.certify import GUARANTEES, VERSION, Finding, Progress
from db.audit.checkpoints import Checkpoint
from db.wallet import seals
from db.wallet.seals import Unsealed
from domain.plain_text import one_line
from runtime.database import create_engine

SAY_EVERY = 10.0
NOTHING_VERIFIED = "no checkpoint by this version's checks yet: examining everything"


def certify(
    *, as_json: bool, witness: Path | None = None, only_new: bool = False, connections: int = 1
) -> None:
    if only_new and connections > 1:
        raise Misused("--new uses one connection; --connections is for the whole")
    with database_url(configured()) as url:
        findings, tail = asyncio.run(_examine_all(url, witness, connections, only_new=only_new))
    if as_json:
        since = tail.since.isoformat() if tail.since else None
        write(
            json.dumps(
                as_document(findings) | {"unsealed": {"entries": tail.entries, "since": since}}
            )
        )
    else:
        show(findings, output, tail)
    if not holds(findings):
        raise typer.Exit(1)


async def _examine_all(
    url: str, witness: Path | None, connections: int, *, only_new: bool
) -> tuple[list[Finding], Unsealed]:
    lines = None if witness is None else witness_file.read(witness)
    engine = create_engine(url, pool_size=connections, application_name="tollgate certify")
    try:
        with shown_progress() as progress:
            async with proof.snapshot(engine, read_only=not only_new) as conn:
                if only_new and not await checkpoints.may_add(conn):
                    raise Misused("--new does not work on a replica, or for a role that only reads")
                since = await checkpoints.newest(conn, VERSION) if only_new else None
                if only_new and since is None:
                    errors.print(NOTHING_VERIFIED, highlight=False)
                verified = await checkpoints.here(conn, VERSION)
                async with proof.sharing(engine, conn, connections - 1) as others:
                    findings, tail = await prove(conn, lines, progress, since=since, others=others)
                if witness is not None and holds(findings):
                    await witness_file.note(conn, witness, lines or [])
        await proof.note(engine, verified, findings, everything=since is None)
    finally:
        await engine.dispose()
    return findings, tail


async def prove(
    conn: AsyncConnection,
    witnessed: Sequence[Line] | None,
    progress: Progress,
    *,
    since: Checkpoint | None = None,
    others: tuple[AsyncConnection, ...] = (),
) -> tuple[list[Finding], Unsealed]:
    """Every finding and the unsealed entries of one snapshot, so that entries booked meanwhile do
    not appear in only one of them.
    """
    findings = (
        await proof.certify(conn, progress, others=others)
        if since is None
        else await proof.certify_new(conn, since, progress)
    )
    if witnessed is not None:
        findings.append(await witness_file.compare(conn, witnessed))
    return findings, await seals.unsealed(conn)


async def examine(url: str) -> list[Finding]:
    """Every finding on one snapshot of the database; writes nothing."""
    engine = create_engine(url, pool_size=1, application_name="tollgate certify")
    try:
        with shown_progress() as progress:
            return await proof.examine(engine, progress=progress)
    finally:
        await engine.dispose()


@contextmanager
def shown_progress() -> Iterator[Progress]:
    """On a terminal, one changing line; elsewhere, a line on standard error every ten seconds."""
    with errors.status("", spinner="line") as status:
        printed_at = time.monotonic()

        def show_check(done: int, of: int, claim: str) -> None:
            nonlocal printed_at
            line = f"check {done + 1} of {of}: {claim}"
            status.update(escape(line))
            if not errors.is_terminal and time.monotonic() - printed_at > SAY_EVERY:
                printed_at = time.monotonic()
                errors.print(line, markup=False, highlight=False, soft_wrap=True)

        yield show_check


def holds(findings: Sequence[Finding]) -> bool:
    return all(finding.holds for finding in findings)


def verdict(findings: Sequence[Finding]) -> str:
    failing = sorted({finding.guarantee for finding in findings if not finding.holds})
    if not failing:
        return "all guarantees hold"
    return "FAILED: " + ", ".join(f"{number} ({GUARANTEES[number]})" for number in failing)


def show(findings: Sequence[Finding], console: Console, tail: Unsealed | None = None) -> None:
    """The table, the unsealed entries, and the verdict as the last line."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("", no_wrap=True)
    table.add_column("guarantee and what would break it", overflow="fold")
    table.add_column("broken", justify="right", no_wrap=True)
    table.add_column("of", justify="right", no_wrap=True)
    for number, name in GUARANTEES.items():
        of_guarantee = [finding for finding in findings if finding.guarantee == number]
        good = holds(of_guarantee)
        table.add_row(_sign(console, good=good), Text(f"{number}  {name}", "bold"))
        for finding in of_guarantee:
            style = "dim" if finding.holds else "bold red"
            text = (
                finding.check
                if finding.first is None
                else f"{finding.check}; the first: {finding.first}"
            )
            table.add_row(
                "",
                Padding(Text(one_line(text)), (0, 0, 0, 3)),
                str(finding.broken),
                str(finding.examined),
                style=style,
            )
    console.print(table)
    if tail is not None and tail.entries:
        console.print(
            f"{tail.entries} entries are not sealed yet, the oldest of {tail.since}",
            highlight=False,
        )
    style = "bold green" if holds(findings) else "bold red"
    console.print(verdict(findings), style=style, highlight=False)


def as_document(findings: Sequence[Finding]) -> dict[str, Any]:
    return {
        "holds": holds(findings),
        "guarantees": [
            {
                "guarantee": number,
                "name": name,
                "holds": holds([finding for finding in findings if finding.guarantee == number]),
                "checks": [
                    {
                        "check": finding.check,
                        "examined": finding.examined,
                        "broken": finding.broken,
                        "first": finding.first,
                    }
                    for finding in findings
                    if finding.guarantee == number
                ],
            }
            for number, name in GUARANTEES.items()
        ],
    }


def _sign(console: Console, *, good: bool) -> Text:
    return Text(mark(good=good, console=console), "green" if good else "red")
