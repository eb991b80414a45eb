"""Faults in the delivery of a webhook or a status callback: lost, duplicated, delayed, reordered."""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulators.control import read_json


class Kind(StrEnum):
    LOST = "lost"
    DUPLICATE = "duplicate"
    DELAYED = "delayed"
    REORDERED = "reordered"


@dataclass(slots=True, kw_only=True)
class DeliveryFault:
    """`match` is a regular expression that is matched at the start of the event type or message
    status.

    A duplicate is sent `copies` times; `seconds` is the wait of a delayed delivery and the longest
    wait of a reordered one.
    """

    id: int
    kind: Kind
    match: re.Pattern[str]
    times: int | None
    probability: float
    copies: int
    seconds: float
    chance: random.Random
    hits: int = 0

    def strikes(self, what: str) -> bool:
        if not self.match.match(what) or (self.times is not None and self.hits >= self.times):
            return False
        if self.probability < 1 and self.chance.random() >= self.probability:
            return False
        self.hits += 1
        return True


@dataclass(slots=True)
class DeliveryFaults:
    """`subject` is the control plane's name for `match`: `event_type` or `status`."""

    subject: str
    standing: list[DeliveryFault] = field(default_factory=list)
    _ids: Iterator[int] = field(default_factory=lambda: count(1))

    def add(
        self,
        kind: str,
        *,
        match: str = "",
        times: int | None = None,
        probability: float = 1.0,
        copies: int = 2,
        seconds: float = 1.0,
        seed: int = 0,
    ) -> DeliveryFault:
        fault = DeliveryFault(
            id=next(self._ids),
            kind=Kind(kind),
            match=re.compile(match),
            times=times,
            probability=probability,
            copies=copies,
            seconds=seconds,
            chance=random.Random(seed),  # noqa: S311 - chance, not a secret
        )
        self.standing.append(fault)
        return fault

    def strike(self, what: str) -> DeliveryFault | None:
        return next((fault for fault in self.standing if fault.strikes(what)), None)

    def clear(self) -> None:
        self.standing.clear()

    def to_json(self) -> list[dict[str, Any]]:
        return [
            {
                "id": each.id,
                "kind": each.kind.value,
                self.subject: each.match.pattern,
                "times": each.times,
                "hits": each.hits,
            }
            for each in self.standing
        ]

    def route(self, path: str) -> Route:
        async def script(request: Request) -> Response:
            if request.method == "POST":
                body = await read_json(request)
                self.add(match=body.pop(self.subject, None) or "", **body)
            elif request.method == "DELETE":
                self.clear()
            return JSONResponse({"faults": self.to_json()})

        return Route(path, script, methods=["GET", "POST", "DELETE"])
