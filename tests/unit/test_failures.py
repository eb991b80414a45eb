"""A failure is shown to operators as a sentence: no class name, no SQL statement, no Python."""

import ast
import re
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from temporalio.exceptions import ActivityError, ApplicationError, RetryState
from temporalio.service import RPCError, RPCStatusCode

from activities.failures import cause_of, in_words
from providers.errors import ProviderUnavailable

ROOT = Path(__file__).parent.parent.parent
LAYERS = ("activities", "api", "db", "domain", "workflows")
MODULES = [
    path
    for layer in LAYERS
    for path in sorted((ROOT / layer).rglob("*.py"))
    if "migrations" not in path.parts
]
STATEMENT = "INSERT INTO payments (id) VALUES (%(id)s)"
PYTHON = re.compile(r"[A-Z][a-z]+[A-Z]\w*|psycopg|sqlalchemy|INSERT|Traceback|\(\)|\('", re.ASCII)


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (ProviderUnavailable("PayPal answered 503"), "PayPal answered 503"),
        (ProviderUnavailable(""), "unexpected failure; see the log"),
        (
            IntegrityError(
                STATEMENT,
                {"id": 1},
                psycopg.errors.UniqueViolation("duplicate key\nDETAIL: Key (id)=(1)"),
            ),
            "database error: duplicate key",
        ),
        (
            DBAPIError(STATEMENT, None, psycopg.OperationalError("it is away")),
            "database error: it is away",
        ),
        (
            NoConnectionFree("QueuePool limit"),
            "database unavailable: no free connection",
        ),
        (TimeoutError(), "timed out"),
        (
            ConnectionRefusedError(111, "Connection refused"),
            "the connection failed: Connection refused",
        ),
        (OSError("odd"), "the connection failed"),
        (RPCError("not there", RPCStatusCode.NOT_FOUND, b""), "Temporal request failed: not there"),
        (KeyError("amount"), "unexpected failure; see the log"),
    ],
)
def test_a_failure_is_described_in_words(problem: Exception, words: str) -> None:
    assert in_words(problem) == words
    assert not PYTHON.search(in_words(problem).replace("PayPal", ""))


def test_the_reason_of_a_failed_activity_is_shown_without_its_exception_name() -> None:
    problem = ActivityError(
        "failed",
        scheduled_event_id=1,
        started_event_id=2,
        identity="",
        activity_type="",
        activity_id="",
        retry_state=RetryState.NON_RETRYABLE_FAILURE,
    )
    problem.__cause__ = ApplicationError("Twilio refused it (20404)", type="ProviderRefused")

    assert cause_of(problem) == "Twilio refused it (20404)"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_of_errors_are_for_the_log_alone(path: Path) -> None:
    """A module uses `type(problem).__name__` or `{problem!r}` only for the log."""
    tree = ast.parse(path.read_text())
    logged = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("log.")
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        named = (
            isinstance(node, ast.Attribute)
            and node.attr == "__name__"
            and ast.unparse(node).startswith("type(")
        )
        shown = isinstance(node, ast.FormattedValue) and node.conversion == ord("r")
        shown = shown and ast.unparse(node.value) in ("problem", "error", "failure")  # type: ignore[attr-defined]
        if named or shown:
            assert id(node) in logged, ast.unparse(node)
