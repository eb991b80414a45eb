"""A wallet's whole ledger as a file: CSV or JSON Lines, oldest first, streamed a page at a time.

No connection is held while the client reads, and what is booked after the export began is not in it.
"""

import csv
import io
import json
from collections.abc import AsyncIterator, Sequence
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from sqlalchemy.ext.asyncio import AsyncEngine

from api.auth import READ
from api.context import Here, OrganizationId
from api.errors import not_found
from db import ledger, wallets
from db.ledger import Sealed
from domain.money import to_decimal_string
from domain.wallet import Wallet

router = APIRouter(prefix="/v1/organizations/{organization_id}/wallet", tags=["wallet"])
PAGE = 1_000
COLUMNS = (
    "seq", "created_at", "kind", "amount", "currency", "balance_after",
    "reference_id", "refunds", "description", "seal",
)  # fmt: skip
TEXTS = ("reference_id", "refunds", "description")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "'")


class Format(StrEnum):
    CSV = "csv"
    JSONL = "jsonl"


MEDIA = {Format.CSV: "text/csv; charset=utf-8", Format.JSONL: "application/jsonl"}


@router.get(
    "/entries/export",
    dependencies=[READ],
    response_class=StreamingResponse,
    responses={200: {"content": {"text/csv": {}, "application/jsonl": {}}, "description": "The file"}},
    summary="The whole ledger as a file",
)
async def export(
    organization_id: OrganizationId, here: Here, form: Annotated[Format, Query(alias="format")] = Format.CSV
) -> StreamingResponse:
    """Oldest first, with each entry's seal in hexadecimal. In CSV, a text that a spreadsheet would take for a formula
    has an apostrophe in front, and so has one that begins with an apostrophe.
    """
    async with here.services.engine.connect() as conn:
        wallet = await wallets.get(conn, organization_id)
    if wallet is None:
        raise not_found("organization")
    name = f"{organization_id}-ledger.{form.value}"
    return StreamingResponse(
        _file(here.services.engine, wallet, form),
        media_type=MEDIA[form],
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


async def _file(engine: AsyncEngine, wallet: Wallet, form: Format) -> AsyncIterator[str]:
    written = _csv if form is Format.CSV else _jsonl
    if form is Format.CSV:
        yield ",".join(COLUMNS) + "\r\n"
    after = 0
    while after < wallet.entries:
        async with engine.connect() as conn:
            page = await ledger.page(conn, wallet.organization_id, after=after, to=wallet.entries, limit=PAGE)
        if not page:
            return
        yield written([_row(one, wallet.currency) for one in page])
        after = page[-1].entry.seq


def _row(one: Sealed, currency: str) -> dict[str, Any]:
    entry = one.entry
    values = (
        entry.seq,
        one.created_at.isoformat(),
        entry.kind.value,
        to_decimal_string(entry.amount_micros),
        currency,
        to_decimal_string(entry.balance_after_micros),
        entry.reference_id,
        entry.refunds,
        entry.description,
        one.seal.hex() if one.seal is not None else None,
    )
    return dict(zip(COLUMNS, values, strict=True))


def _jsonl(rows: Sequence[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS)
    for row in rows:
        writer.writerow(row | {name: _harmless(row[name]) for name in TEXTS})
    return text.getvalue()


def _harmless(value: str | None) -> str:
    value = value or ""
    return f"'{value}" if value.startswith(_FORMULA) else value
