"""Recipients of a campaign: uploaded as a file of any length, and priced by country."""

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import islice
from tempfile import SpooledTemporaryFile
from typing import IO, Any
from uuid import UUID

import structlog
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.requests import ClientDisconnect

from api.campaigns import uploads
from api.campaigns.pricing import price
from api.campaigns.spreadsheets import csv_rows
from api.campaigns.upload_formats import Format, Unused, format_of
from api.campaigns.uploads import AT_ONCE, CSV, MOST_LINES, NDJSON, BadFile, Part, Row, TooManyLines
from api.context import CampaignId, Context, Here, OrganizationId, parsed_uuid
from api.http.auth import WRITE
from api.http.errors import FieldError, Kind, Problem, ProblemOut, not_found
from api.http.idempotency import Once
from db.campaigns import campaigns, rates, recipients
from db.campaigns.campaigns import Campaign
from db.lifecycle import organizations
from domain.campaigns.campaign import CampaignStatus
from domain.campaigns.segments import count_segments

log = structlog.get_logger()
router = APIRouter(prefix="/v1/organizations/{organization_id}/campaigns", tags=["campaigns"])
MOST_NAMED = 100
IN_MEMORY = 1024 * 1024
"""The bytes of an upload in memory before it moves to a temporary file."""
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            NDJSON: {
                "schema": {"type": "string", "format": "binary"},
                "example": '{"to": "+14155550100"}\n{"to": "+14155550101"}\n',
            },
            CSV: {
                "schema": {"type": "string", "format": "binary"},
                "example": "to\n+14155550100\n+14155550101\n",
            },
        },
    }
}


class BadLineOut(BaseModel):
    """A line whose number cannot be sent to."""

    line: int = Field(description="The line, counted from 1.")
    message: str = Field(
        examples=["no number of that country has this length"],
        description="Why the number cannot be sent to.",
    )


class Uploaded(BaseModel):
    """The result of an upload."""

    total: int = Field(description="Recipients that the campaign has now.")
    rows: int = Field(description="Recipients in the file, without its header and blank lines.")
    added: int = Field(description="Recipients that the upload added.")
    duplicates: int = Field(description="Numbers that the file or the campaign already had.")
    bad: int = Field(description="Numbers that cannot be sent to; they are left out.")
    bad_lines: list[BadLineOut] = Field(
        description="The first hundred of them, by the line on which they begin."
    )


class _Received(BaseModel):
    """The identity of an upload."""

    sha256: str
    media_type: str
    charset: str | None
    ignore_unused: bool


@dataclass(slots=True)
class _Tally:
    """The result of a file so far."""

    rows: int = 0
    added: int = 0
    duplicates: int = 0
    bad: int = 0
    named: list[tuple[int, str]] = field(default_factory=list)

    def note(self, part: Part, unsent: Mapping[str, str], added: int) -> None:
        bad = [*part.bad, *((part.lines[number], problem) for number, problem in unsent.items())]
        self.rows += part.rows
        self.added += added
        self.duplicates += part.duplicates + len(part.countries) - len(unsent) - added
        self.bad += len(bad)
        self.named += sorted(bad)[: MOST_NAMED - len(self.named)]


@router.post(
    "/{campaign_id}/recipients",
    dependencies=[WRITE],
    openapi_extra=_BODY,
    responses={
        415: {
            "model": ProblemOut,
            "description": "Neither NDJSON nor CSV, or in an unknown charset",
        }
    },
    operation_id="upload_recipients",
    summary="Upload recipients to a draft",
)
async def upload(
    organization_id: OrganizationId,
    campaign_id: CampaignId,
    request: Request,
    here: Here,
    once: Once,
    unused_columns: Unused = "refuse",
) -> Uploaded:
    """Takes a file of up to 1,000,000 lines and 64 MiB: NDJSON, or CSV whose header names a column
    `to`. Recipients are priced at the current rates. Numbers that cannot be sent to are left out
    and named by their lines. Numbers that the campaign already has are dropped, so an upload can be
    repeated.

    Returns 422 if the structure of the file is in doubt, or if it has no number that can be sent
    to; nothing of it is stored, and the error says what to do. Returns 409 if the campaign is not
    a draft.
    """
    body = request.stream()
    try:
        format_ = format_of(request, ignore_unused=unused_columns == "ignore")
        id_ = parsed_uuid(campaign_id, "campaign")
        if not once.keyed:  # a replay is answered even after the campaign was started
            await _check_draft(here, organization_id, id_)
        with SpooledTemporaryFile(max_size=IN_MEMORY) as file:
            received = _Received(sha256=await _receive(body, file), **asdict(format_))
            if (earlier := await once.begin(here, received)) and earlier.answer:
                return Uploaded.model_validate_json(earlier.answer)
            await _check_draft(here, organization_id, id_)
            uploaded = await _upload(here, organization_id, id_, file, format_)
            await once.finish(here, received, uploaded)
            return uploaded
    except ClientDisconnect as problem:
        log.info("upload_aborted", organization_id=organization_id, campaign_id=campaign_id)
        raise Problem(Kind.BODY_INCOMPLETE, "nothing was stored") from problem
    except Problem:
        with suppress(
            ClientDisconnect
        ):  # a client that is still sending gets a reset, not the response
            async for _ in body:
                pass
        raise


async def _receive(body: AsyncIterator[bytes], file: IO[bytes]) -> str:
    """Returns the SHA-256 of the received bytes, in hexadecimal."""
    received = hashlib.sha256()
    async for some in body:
        received.update(some)
        await asyncio.to_thread(file.write, some)
    return received.hexdigest()


async def _upload(
    here: Context, organization_id: str, id_: UUID, file: IO[bytes], format_: Format
) -> Uploaded:
    """Read the file to its end before the first row is stored: after an error at the end, nothing
    is stored.
    """
    tally = _Tally()
    try:
        text = await asyncio.to_thread(
            uploads.text, file, format_.charset, guess=format_.media_type == CSV
        )
        unread = _rows(text, format_)
        while await asyncio.to_thread(deque, islice(unread, AT_ONCE), 1):
            pass
    except BadFile as problem:
        detail = f"nothing was stored: line {problem.line}: {problem}"
        raise Problem(
            Kind.INVALID_FILE, detail, errors=[FieldError(f"line {problem.line}", str(problem))]
        ) from problem
    except TooManyLines as problem:
        detail = f"nothing was stored: a file has at most {MOST_LINES:,} lines; split it"
        raise Problem(Kind.TOO_MANY_LINES, detail) from problem
    total = 0
    parts = uploads.parts(_rows(text, format_))
    while (part := await asyncio.to_thread(next, parts, None)) is not None:
        total = await _load(here, organization_id, id_, part, tally)
    if tally.bad == tally.rows:
        raise _nothing_read(tally)
    return Uploaded(
        total=total,
        rows=tally.rows,
        added=tally.added,
        duplicates=tally.duplicates,
        bad=tally.bad,
        bad_lines=[BadLineOut(line=line, message=problem) for line, problem in tally.named],
    )


def _nothing_read(tally: _Tally) -> Problem:
    """The client would interpret a 200 as a loaded list."""
    if not tally.rows:
        return Problem(Kind.NO_RECIPIENTS, "nothing was stored: it has no recipients")
    line, problem = tally.named[0]
    detail = (
        f"nothing was stored: none of the {tally.rows:,} numbers can be sent to; line {line}: "
        f"{problem}"
    )
    return Problem(
        Kind.NO_VALID_RECIPIENTS,
        detail,
        errors=[FieldError(f"line {line}", problem) for line, problem in tally.named],
    )


def _rows(text: uploads.Text, format_: Format) -> Iterator[Row]:
    read = csv_rows if format_.media_type == CSV else uploads.json_rows
    return read(text, ignore_unused=format_.ignore_unused)


async def _load(
    here: Context, organization_id: str, campaign_id: UUID, part: Part, tally: _Tally
) -> int:
    """Store a part in a short separate transaction; returns the campaign's number of recipients."""
    async with here.services.engine.begin() as conn:
        campaign = await campaigns.lock(conn, organization_id, campaign_id)
        organization = await organizations.get(conn, organization_id)
        if campaign is None or organization is None:
            raise not_found("campaign")
        if campaign.status is not CampaignStatus.DRAFT:
            raise _no_draft(campaign.status, tally)
        segments, card = count_segments(campaign.body).count, await rates.card(conn, organization)
        priced = price(part.countries, segments, card, campaign.quiet_hours)
        added = await recipients.add(conn, organization_id, campaign_id, priced.recipients)
    tally.note(part, priced.bad, added)
    return campaign.total + added


async def _check_draft(here: Context, organization_id: str, campaign_id: UUID) -> None:
    """Checked before a long file is read in vain."""
    campaign = await _campaign(here, organization_id, campaign_id)
    if campaign.status is not CampaignStatus.DRAFT:
        raise _no_draft(campaign.status, _Tally())


async def _campaign(here: Context, organization_id: str, campaign_id: UUID) -> Campaign:
    async with here.snapshot() as conn:
        campaign = await campaigns.get(conn, organization_id, campaign_id)
    if campaign is None:
        raise not_found("campaign")
    return campaign


def _no_draft(status: CampaignStatus, tally: _Tally) -> Problem:
    return Problem(
        Kind.CAMPAIGN_NOT_DRAFT,
        f"the campaign is {status.value}: only drafts accept recipients",
        added=tally.added,
    )
