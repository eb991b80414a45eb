"""One line per event, as JSON or for people, without secrets and full phone numbers.

Handles all loggers: structlog, the standard library, uvicorn and Temporal.
"""

import json
import logging
import re
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from enum import Enum
from functools import lru_cache
from typing import Any, TextIO

import structlog
from pydantic import SecretBytes, SecretStr
from structlog.types import EventDict, Processor, WrappedLogger

from domain.plain_text import one_line, visible
from domain.redaction import REDACTED, redact_text

_SECRET_KEYS = re.compile(
    r"authorization|cookie|password|passwd|secret|token|signature|transmission[-_]sig|api[-_]?key|credential"
    r"|database[-_]url|dsn",
    re.IGNORECASE,
)


def configure(
    level: str, form: str, build_id: str | None = None, stream: TextIO | None = None
) -> None:
    """Send every logger of this process to `stream` (standard error), in `form`: `json` or
    `console`.

    Call it once, first. It may be called again, as tests do.
    """
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        _Build(build_id),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *before,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    target = stream or sys.stderr
    handler = _Handler(target)
    of_keywords = [each for each in before if not isinstance(each, _OF_RECORDS)]
    handler.processors = [*of_keywords, *_endings(form, target)]
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_endings(form, target),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    logging.captureWarnings(capture=True)
    _quiet()


def direct(name: str) -> Any:
    """A logger whose lines are the same, at a third of the cost: for the line of each request. Its
    level is that of `configure`, until the process ends.
    """
    root = logging.getLogger()
    handler = next((each for each in root.handlers if isinstance(each, _Handler)), None)
    if handler is None:  # another program's logging
        return structlog.get_logger(name)
    return structlog.wrap_logger(
        _Lines(name, handler),
        processors=handler.processors,
        wrapper_class=structlog.make_filtering_bound_logger(root.level),
    ).bind()


def redact(value: object) -> object:
    """`value` with secrets redacted: recognized by the name of their key, their type and their
    form.
    """
    match value:
        case SecretStr() | SecretBytes():
            return REDACTED
        case Enum():  # in a list, the console format would show Python's name
            return redact(value.value)
        case str():
            return redact_text(value)
        case bytes():
            return redact_text(value.decode(errors="replace"))
        case Mapping():
            return {
                _key(key): REDACTED if _is_secret(key) else redact(item)
                for key, item in value.items()
            }
        case list() | tuple() | set() | frozenset():
            return [redact(item) for item in value]
        case None | bool() | int() | float():
            return value
        case _:
            return redact_text(str(value))


def _key(key: object) -> str:
    return redact_text(str(key))


def _is_secret(key: object) -> bool:
    return _names_a_secret(str(key))


@lru_cache(maxsize=1024)
def _names_a_secret(key: str) -> bool:
    return _SECRET_KEYS.search(key) is not None


_OF_RECORDS = (
    structlog.stdlib.PositionalArgumentsFormatter,
    structlog.stdlib.ExtraAdder,
    structlog.processors.StackInfoRenderer,
)
"""What a line of keywords does not need."""


class _Handler(logging.StreamHandler[TextIO]):
    processors: list[Processor]
    """What makes an event a line, without the standard library's record."""


class _Lines:
    """What structlog calls in place of a logger of the standard library."""

    def __init__(self, name: str, handler: _Handler) -> None:
        self.name = name
        self._handler = handler

    def info(self, line: str) -> None:
        with self._handler.lock or nullcontext():
            self._handler.stream.write(f"{line}\n")
            self._handler.flush()

    debug = warning = error = critical = info


_SAFE = frozenset({int, float, bool, type(None)})
_to_json = json.JSONEncoder().encode


class _Build:
    """Stamps each event with the build, so that the builds of a rolling deployment can be told
    apart.
    """

    def __init__(self, build_id: str | None) -> None:
        self._build_id = build_id

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        if self._build_id:
            event.setdefault("build", self._build_id)
        return event


def _redact_event(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    event.pop("color_message", None)  # uvicorn's event again, with escape sequences
    return {key: _redacted(key, value) for key, value in event.items()}


def _redacted(key: str, value: object) -> object:
    if _is_secret(key):
        return REDACTED
    if key == "timestamp" or type(value) in _SAFE:  # ours; most of a line, and never a secret
        return value
    return redact(value)


def _json_line(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    """After the redaction, every value has a type of JSON."""
    return _to_json(event)


def _plain_event(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """For a terminal: text from outside cannot control it, and only a traceback has more than one
    line.

    JSON already escapes such characters.
    """
    return {
        one_line(str(key)): _plain(value, keep_lines=key == "exception")
        for key, value in event.items()
    }


def _plain(value: object, *, keep_lines: bool) -> object:
    if isinstance(value, str):
        return visible(value) if keep_lines else one_line(value)
    return value if value is None or isinstance(value, bool | int | float) else one_line(str(value))


def _endings(form: str, stream: TextIO) -> list[Processor]:
    """The last steps. Tracebacks become text before the redaction, which thereby covers them."""
    traceback = structlog.processors.format_exc_info
    if form == "json":
        return [traceback, _redact_event, _json_line]
    console = structlog.dev.ConsoleRenderer(colors=stream.isatty(), pad_event_to=0)
    return [traceback, _redact_event, _plain_event, console]


def _quiet() -> None:
    """Uvicorn and Temporal log through our loggers; the per-request messages of HTTP clients are
    dropped.
    """
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "temporalio", "temporalio.core"):
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = True
        logger.setLevel(logging.NOTSET)
        logger.filters = []
        logger.disabled = False
    for name in (
        "httpx",
        "httpcore",
        "uvicorn.access",
        "alembic",
        "twilio.http_client",
        "stripe",
        "aiohttp.access",
    ):
        logging.getLogger(name).setLevel(logging.WARNING)
