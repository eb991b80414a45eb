"""Recipients of a campaign: uploaded as a file of any length, and priced by their country."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import structlog
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import ClientDisconnect

from api.auth import WRITE
from api.context import Context, Here, OrganizationId, parsed_uuid
from api.errors import Kind, Problem, ProblemOut, not_found
from api.uploads import CSV, MOST_LINES, NDJSON, BadFile, File, Part, TooManyLines
from db import campaigns, organizations, rates, recipients
from db.recipients import Recipient
from domain.campaign import CampaignStatus
from domain.rates import RateCard, missing
from domain.segments import count_segments

log = structlog.get_logger()
router = APIRouter(prefix="/v1/organizations/{organization_id}/campaigns", tags=["campaigns"])
MOST_NAMED = 100
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            NDJSON: {"schema": {"type": "string"}, "example": '{"to": "+14155550100"}\n{"to": "+14155550101"}\n'},
            CSV: {"schema": {"type": "string"}, "example": "to,name\n+14155550100,Ann\n"},
        },
    }
}


@dataclass(frozen=True, slots=True)
class Priced:
    """`bad` are the numbers whose country is not sent to, and why."""

    recipients: list[Recipient]
    bad: dict[str, str]


class BadLineOut(BaseModel):
    model_config = ConfigDict(title="BadLine")

    line: int
    problem: str = Field(examples=["no number of that country has this length"])


class Uploaded(BaseModel):
    """`lines` were read; of `bad` ones the first hundred are named. `total` recipients has the campaign now."""

    total: int
    lines: int
    added: int
    duplicates: int
    bad: int
    bad_lines: list[BadLineOut]


@dataclass(slots=True)
class _Tally:
    """What came of a file so far."""

    lines: int = 0
    added: int = 0
    duplicates: int = 0
    bad: int = 0
    named: list[tuple[int, str]] = field(default_factory=list)

    def note(self, part: Part, unsent: Mapping[str, str], added: int) -> None:
        bad = [*part.bad, *((part.lines[number], problem) for number, problem in unsent.items())]
        self.lines += part.read
        self.added += added
        self.duplicates += part.duplicates + len(part.countries) - len(unsent) - added
        self.bad += len(bad)
        self.named += sorted(bad)[: MOST_NAMED - len(self.named)]


@router.post(
    "/{campaign_id}/recipients",
    dependencies=[WRITE],
    openapi_extra=_BODY,
    responses={415: {"model": ProblemOut, "description": "Neither NDJSON nor CSV"}},
    summary="Upload recipients to a draft",
)
async def upload(organization_id: OrganizationId, campaign_id: str, request: Request, here: Here) -> Uploaded:
    """A file of up to 1,000,000 lines and 64 MiB: NDJSON, or CSV whose first line names a column `to`.

    It is stored as it arrives, at today's rates. Bad lines are kept out and named by their numbers; a number that the
    campaign has is dropped. So after a connection that broke, upload the same file again. 409: it is no draft.
    """
    body = request.stream()
    try:
        file = File(_media_type(request))
        return await _upload(here, organization_id, parsed_uuid(campaign_id, "campaign"), file, body)
    except Problem:
        with suppress(ClientDisconnect):  # who is still sending hears a reset, not the answer
            async for _ in body:
                pass
        raise


async def _upload(here: Context, organization_id: str, id_: UUID, file: File, body: AsyncIterator[bytes]) -> Uploaded:
    await _check_draft(here, organization_id, id_)
    tally = _Tally()
    try:
        async for some in body:
            file.feed(some)
            while file.full:
                await _load(here, organization_id, id_, await asyncio.to_thread(file.part), tally)
        file.end()
        total = await _load(here, organization_id, id_, await asyncio.to_thread(file.part), tally)
        file.check_header()
    except BadFile as problem:
        raise Problem(Kind.INVALID, str(problem), errors=[("line 1", str(problem))]) from problem
    except TooManyLines as problem:
        told = f"a file has at most {MOST_LINES:,} lines; upload the rest as another one"
        raise Problem(Kind.BODY_TOO_LARGE, told, added=tally.added) from problem
    except ClientDisconnect as problem:
        log.info("upload_cut", organization_id=organization_id, campaign_id=str(id_), added=tally.added)
        raise Problem(Kind.MALFORMED, "the connection was cut") from problem
    return Uploaded(
        total=total,
        lines=tally.lines,
        added=tally.added,
        duplicates=tally.duplicates,
        bad=tally.bad,
        bad_lines=[BadLineOut(line=line, problem=problem) for line, problem in tally.named],
    )


def price(countries: Mapping[str, str | None], segments: int, card: RateCard) -> Priced:
    """Price numbers, whose countries are given, in their order."""
    prices = {country: card.per_segment(country) for country in set(countries.values())}
    priced, bad = [], {}
    for number, country in countries.items():
        per_segment = prices[country]
        if per_segment is None:
            bad[number] = missing(country)
        else:
            micros = segments * per_segment.micros
            priced.append(Recipient(number=number, country=country, segments=segments, price_micros=micros))
    return Priced(priced, bad)


async def _load(here: Context, organization_id: str, campaign_id: UUID, part: Part, tally: _Tally) -> int:
    """Store a part in a short transaction of its own; returns how many recipients the campaign has then."""
    async with here.services.engine.begin() as conn:
        campaign = await campaigns.lock(conn, organization_id, campaign_id)
        organization = await organizations.get(conn, organization_id)
        if campaign is None or organization is None:
            raise not_found("campaign")
        if campaign.status is not CampaignStatus.DRAFT:
            raise _no_draft(campaign.status, tally)
        priced = price(part.countries, count_segments(campaign.body).count, await rates.card(conn, organization))
        added = await recipients.add(conn, organization_id, campaign_id, priced.recipients)
    tally.note(part, priced.bad, added)
    return campaign.total + added


async def _check_draft(here: Context, organization_id: str, campaign_id: UUID) -> None:
    """Before a long file is read for nothing."""
    async with here.services.engine.connect() as conn:
        campaign = await campaigns.get(conn, organization_id, campaign_id)
    if campaign is None:
        raise not_found("campaign")
    if campaign.status is not CampaignStatus.DRAFT:
        raise _no_draft(campaign.status, _Tally())


def _no_draft(status: CampaignStatus, tally: _Tally) -> Problem:
    return Problem(
        Kind.WRONG_STATE, f"the campaign is {status.value}: only a draft takes recipients", added=tally.added
    )


def _media_type(request: Request) -> str:
    told = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if told not in (NDJSON, CSV):
        raise Problem(Kind.UNSUPPORTED, f"send {NDJSON} or {CSV}", headers={"Accept": f"{NDJSON}, {CSV}"})
    return told
