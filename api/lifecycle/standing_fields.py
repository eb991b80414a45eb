"""What standings, blocks and receipts look like on the wire."""

from collections.abc import Sequence

from pydantic import BaseModel, Field

from api.http.cursors import Page
from api.http.errors import ReasonOut
from api.http.fields import Time
from db.lifecycle.receipts import Receipt
from db.lifecycle.standings import HeldBlock
from domain.lifecycle.standing import IN_WORDS, Standing


class StandingOut(BaseModel):
    """`epoch` counts changes of mind; the steps are done once `applied_epoch` has caught up."""

    status: str = Field(examples=["suspended"])
    epoch: int
    applied_epoch: int
    applied: bool
    deadline: Time | None
    blocks: list[ReasonOut]

    @classmethod
    def of(cls, standing: Standing) -> "StandingOut":
        return cls(
            status=standing.status.value,
            epoch=standing.epoch,
            applied_epoch=standing.applied_epoch,
            applied=not standing.behind,
            deadline=standing.deadline,
            blocks=[
                ReasonOut(code=block.value, message=IN_WORDS[block])
                for block in sorted(standing.blocks)
            ],
        )


class BlockOut(BaseModel):
    """`held` ones stand by themselves until they are lifted; the others follow from the
    subscription.
    """

    kind: str = Field(examples=["admin"])
    message: str
    held: bool
    reference: str | None = None
    reason: str | None = None
    placed_by: str | None = None
    placed_at: Time | None = None

    @classmethod
    def all_of(cls, standing: Standing, held_blocks: Sequence[HeldBlock]) -> "list[BlockOut]":
        kinds = {held_block.kind for held_block in held_blocks}
        following = sorted(block for block in standing.blocks if block not in kinds)
        return [
            *[
                cls(
                    kind=held_block.kind.value,
                    message=IN_WORDS[held_block.kind],
                    held=True,
                    reference=held_block.reference or None,
                    reason=held_block.reason or None,
                    placed_by=held_block.placed_by,
                    placed_at=held_block.placed_at,
                )
                for held_block in held_blocks
            ],
            *[cls(kind=block.value, message=IN_WORDS[block], held=False) for block in following],
        ]


class BlockPage(Page[BlockOut]):
    pass


class ReceiptOut(BaseModel):
    """One suspension or reactivation. The leaks are counted when a suspension has finished: both
    are 0.
    """

    epoch: int
    status: str
    cause: str
    decided_at: Time
    finished_at: Time | None
    steps: list[dict[str, str]]
    leaked_debits: int | None
    leaked_messages: int | None

    @classmethod
    def of(cls, receipt: Receipt) -> "ReceiptOut":
        return cls(
            epoch=receipt.epoch,
            status=receipt.status.value,
            cause=receipt.cause,
            decided_at=receipt.decided_at,
            finished_at=receipt.finished_at,
            steps=list(receipt.steps),
            leaked_debits=receipt.leaked_debits,
            leaked_messages=receipt.leaked_messages,
        )


class ReceiptPage(Page[ReceiptOut]):
    pass
