"""The statements that place and lift a block. That of a dispute is told: it stands exactly while the
dispute stops the organization.
"""

from sqlalchemy import FromClause, Insert, Text, bindparam, delete
from sqlalchemy.dialects.postgresql import insert as upsert

from db.events import log
from db.tables.lifecycle import blocks
from domain.billing.subscription import Provider
from domain.events.catalogue import EventType
from domain.lifecycle.standing import Block

_TOLD = (blocks.c.organization_id, blocks.c.kind, blocks.c.reference, blocks.c.placed_by)


def _telling(type_: EventType, changed: FromClause) -> Insert:
    """A provider's dispute; Tollgate's own block of that kind is for a debt."""
    told = log.telling(
        type_,
        changed,
        changed.c.organization_id,
        {"provider": changed.c.placed_by, "dispute_id": changed.c.reference},
    )
    providers = [provider.value for provider in Provider]
    return log.appending(
        told.where(changed.c.kind == Block.DISPUTE.value, changed.c.placed_by.in_(providers))
    )


PLACE = _telling(
    EventType.PAYMENT_DISPUTED,
    upsert(blocks)
    .values(
        organization_id=bindparam("of", type_=Text),
        kind=bindparam("kind", type_=Text),
        reference=bindparam("reference", type_=Text),
        reason=bindparam("reason", type_=Text),
        placed_by=bindparam("placed_by", type_=Text),
    )
    .on_conflict_do_nothing()
    .returning(*_TOLD)
    .cte("placed"),
)
LIFT = _telling(
    EventType.PAYMENT_DISPUTE_CLOSED,
    delete(blocks)
    .where(
        blocks.c.organization_id == bindparam("of", type_=Text),
        blocks.c.kind == bindparam("kind", type_=Text),
        blocks.c.reference == bindparam("reference", type_=Text),
    )
    .returning(*_TOLD)
    .cte("lifted"),
)
