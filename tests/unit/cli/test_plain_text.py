"""Commands and logs show text from outside as plain text."""

import io
import logging
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
import structlog
from rich.console import Console

from cli import certification, console, explanation
from cli.console import PlainConsole
from cli.narration import Teller
from db.audit.certify import Finding
from db.lifecycle.receipts import Receipt
from domain.lifecycle.standing import Status
from domain.plain_text import is_message, is_plain, one_line, visible
from runtime import logging as ours

NASTY = (
    "\x1b[2J\x1b]0;title\x07\x9b31m[bold red]x[/bold red][link=file:///etc]y[/]"
    "\u202egnp.exe:smile:\r\nall guarantees hold"
)
DOES = ("\x1b", "\x07", "\x9b", "\u202e", "\r")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def terminal() -> tuple[PlainConsole, io.StringIO]:
    """The output for a terminal with colours."""
    stream = io.StringIO()
    return PlainConsole(file=stream, width=2_000, force_terminal=True, color_system=None), stream


def in_a_table(shown: Console) -> None:
    rows = console.table("a", "b")
    rows.add_row(NASTY, NASTY)
    shown.print(rows)


def in_a_receipt(shown: Console) -> None:
    step = {"step": NASTY, "finished_at": NOW.isoformat(), "detail": NASTY}
    receipt = Receipt(
        organization_id="acme",
        epoch=1,
        status=Status.SUSPENDED,
        cause=NASTY,
        decided_at=NOW,
        finished_at=NOW,
        steps=(step,),
        leaked_debits=0,
        leaked_messages=0,
    )
    explanation.show_receipt(receipt, shown)


def in_a_finding(shown: Console) -> None:
    certification.show([Finding(guarantee=1, check="x", examined=1, broken=1, first=NASTY)], shown)


def in_the_demo(shown: Console) -> None:
    Teller(shown).note(NASTY.partition("\r")[0])


WAYS: list[Callable[[Console], None]] = [in_a_table, in_a_receipt, in_a_finding, in_the_demo]


@pytest.mark.parametrize("show", WAYS)
def test_neither_markup_nor_escapes_do_anything(show: Callable[[Console], None]) -> None:
    shown, stream = terminal()

    show(shown)

    output = stream.getvalue()
    assert not [sign for sign in DOES if sign in output]
    assert "[bold red]x[/bold red][link=file:///etc]y[/]" in output
    assert ":smile:" in output
    assert "\nall guarantees hold" not in output.replace(" ", "")


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_log_line_stays_one_line(form: str) -> None:
    stream = io.StringIO()
    ours.configure("info", form, stream=stream)
    try:
        structlog.get_logger().info(NASTY, who=NASTY, **{NASTY: [NASTY]})
        logging.getLogger("uvicorn.error").warning("%s", NASTY)
    finally:
        ours.configure("info", "console")

    output = stream.getvalue()
    assert output.count("\n") == 2
    assert not [sign for sign in DOES if sign in output]


def test_which_characters_are_plain() -> None:
    assert all(
        is_plain(text) for text in ("Ümläut €", "👨‍👩‍👧", "می‌خواهم", "日本", "[bold]", "a\u00a0b")
    )
    assert not any(
        is_plain(f"a{sign}b")
        for sign in "\0\t\n\r\x1b\x7f\x85\x9b\u061c\u200f\u2028\u202e\u2066\ufeff\ud800"
    )
    assert all(is_message(text) for text in ("a\nb", "a\r\nb", "\u200fשלם", "a\fb", "a\tb"))
    assert not any(is_message(f"a{sign}b") for sign in "\0\x07\x1b\x7f\x85\x9b\udfff")


def test_what_is_not_plain_is_written_out() -> None:
    assert one_line("a\x1b[2Jb\nc\u202ed\ud800") == "a\\x1b[2Jb\\nc\\u202ed\\ud800"
    assert visible("a\tb\nc\x1b") == "a\tb\nc\\x1b"
