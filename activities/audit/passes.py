"""Passes of the reconciliation: each is a sequence of small steps, and its progress survives the
attempt that made it.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity
from temporalio.converter import value_to_type

from db.audit import reconciliations
from domain.audit.reconciliation import Subject

log = structlog.get_logger()
LONGEST = timedelta(minutes=2)
"""An activity begins no further step after this; its timeout leaves time for the longest one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """How far a pass is. `phase` and `at` are where its subject continues: a page's address, an
    organization's id. `listed` counts the listed ids by bucket; `expected` is how many are to be
    found. `began_at` is None until it begins.
    """

    subject: Subject
    began_at: datetime | None = None
    phase: str = ""
    at: str | None = None
    expected: int = 0
    listed: tuple[int, ...] = ()
    compared: int = 0
    differing: int = 0
    done: bool = False

    @property
    def since(self) -> datetime:
        assert self.began_at is not None
        return self.began_at

    def beyond(self, at: str | None, *, compared: int = 0, differing: int = 0) -> "Pass":
        """The same phase, further on."""
        return replace(
            self,
            at=at,
            compared=self.compared + compared,
            differing=self.differing + differing,
        )

    def enter(self, phase: str) -> "Pass":
        return replace(self, phase=phase, at=None)

    def end(self) -> "Pass":
        return replace(self, done=True, at=None, listed=())


Step = Callable[[Pass], Awaitable[Pass]]


class Passes:
    """`steps` has for each subject what does its next step, which takes well below a minute."""

    def __init__(self, engine: AsyncEngine, steps: Mapping[Subject, Step]) -> None:
        self._engine = engine
        self._steps = steps

    @activity.defn(name="reconcile")
    async def reconcile(self, start: Pass) -> Pass:
        """Do steps until the pass is done or time is over; returns where to continue. A further
        attempt continues behind the last step that the earlier one has done.
        """
        at, began = _continued(start), time.monotonic()
        if at.began_at is None:
            at = replace(at, began_at=datetime.now(UTC))
        step = self._steps[at.subject]
        while not at.done:
            activity.heartbeat(at)
            at = await step(at)
            if time.monotonic() - began > LONGEST.total_seconds():
                break
        if at.done:
            await self._note(at)
        return at

    async def _note(self, done: Pass) -> None:
        async with self._engine.begin() as conn:
            await reconciliations.complete(
                conn,
                done.subject,
                began_at=done.since,
                compared=done.compared,
                differing=done.differing,
            )
        log.info(
            "reconciled",
            subject=done.subject.value,
            compared=done.compared,
            differing=done.differing,
        )


def _continued(start: Pass) -> Pass:
    details = activity.info().heartbeat_details
    return value_to_type(Pass, details[0]) if details and details[0] else start
