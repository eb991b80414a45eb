"""The reference by which a posting or a hold counts once: its own, or the request's
`Idempotency-Key`.
"""

from collections.abc import Sequence

from pydantic import BaseModel

from api.context import Context
from api.http.errors import invalid
from api.http.idempotency import digest
from db import idempotency_keys
from db.idempotency_keys import KeyedRequest
from domain.wallet import references


def chosen(reference_id: str | None, key: str | None, field: str = "reference_id") -> str:
    """Raises `Problem` if there is neither, or if it looks like the reference of one of Tollgate's
    own entries.
    """
    reference = reference_id or key
    if reference is None:
        raise invalid(field, "a reference is needed, here or as the header Idempotency-Key")
    if references.is_ours(reference):
        raise invalid(field, references.RESERVED)
    return reference


async def refuse_reuse(
    here: Context,
    organization_id: str,
    operation: str,
    key: str | None,
    bodies: Sequence[BaseModel],
    named: Sequence[str | None],
) -> None:
    """A key in addition to the postings' own references also identifies one request. `named` are
    the references that the request names. Raises `KeyReused`.
    """
    if key is None or None in named or key in named:
        return
    request = KeyedRequest(
        organization_id=organization_id,
        operation=operation,
        key=key,
        request_sha256=digest(operation, *bodies),
    )
    async with here.services.engine.begin() as conn:
        await idempotency_keys.begin(conn, request)
