"""Answers about standings, blocks and receipts."""

from collections.abc import Sequence

from pydantic import BaseModel, Field

from api.http.cursors import Page
from api.http.errors import ReasonOut
from api.http.fields import Time, options
from db.lifecycle.receipts import Receipt
from db.lifecycle.standings import HeldBlock
from domain.lifecycle.standing import Block, Standing, Status, in_words


class StandingOut(BaseModel):
    """Whether an organization may send, and how far that is applied at every system."""

    status: str = Field(
        examples=["suspended"],
        description="Whether it may send.",
        json_schema_extra=options(Status),
    )
    epoch: int = Field(description="Counts the changes of the decision.")
    applied_epoch: int = Field(description="The last epoch whose steps are all done.")
    applied: bool = Field(description="Whether every step of the current epoch is done.")
    deadline: Time | None = Field(
        description="When it is suspended if nothing changes; null without a deadline."
    )
    blocks: list[ReasonOut] = Field(description="What keeps it from sending.")

    @classmethod
    def of(cls, standing: Standing) -> "StandingOut":
        return cls(
            status=standing.status.value,
            epoch=standing.epoch,
            applied_epoch=standing.applied_epoch,
            applied=not standing.behind,
            deadline=standing.deadline,
            blocks=[
                ReasonOut(code=block.value, message=in_words(block))
                for block in sorted(standing.blocks)
            ],
        )


class BlockOut(BaseModel):
    """Something that keeps an organization from sending."""

    kind: str = Field(
        examples=["admin"], description="The kind of the block.", json_schema_extra=options(Block)
    )
    message: str = Field(description="The kind in words, which may be shown to the customer.")
    held: bool = Field(
        description=(
            "Whether it stands by itself until it is lifted; other blocks follow from the "
            "subscription."
        )
    )
    reference: str | None = Field(
        default=None, description="Which one of several, such as the id of a dispute."
    )
    reason: str | None = Field(default=None, description="Why it was placed.")
    placed_by: str | None = Field(default=None, description="Who placed it.")
    placed_at: Time | None = Field(default=None, description="When it was placed.")

    @classmethod
    def all_of(cls, standing: Standing, held_blocks: Sequence[HeldBlock]) -> "list[BlockOut]":
        kinds = {held_block.kind for held_block in held_blocks}
        following = sorted(block for block in standing.blocks if block not in kinds)
        return [
            *[
                cls(
                    kind=held_block.kind.value,
                    message=in_words(held_block.kind),
                    held=True,
                    reference=held_block.reference or None,
                    reason=held_block.reason or None,
                    placed_by=held_block.placed_by,
                    placed_at=held_block.placed_at,
                )
                for held_block in held_blocks
            ],
            *[cls(kind=block.value, message=in_words(block), held=False) for block in following],
        ]


class BlockPage(Page[BlockOut]):
    pass


class ReceiptOut(BaseModel):
    """The record of one suspension or reactivation."""

    epoch: int = Field(description="The epoch that it applied.")
    status: str = Field(
        description="The status that it applied.", json_schema_extra=options(Status)
    )
    cause: str = Field(description="What caused it.")
    decided_at: Time = Field(description="When it was decided.")
    finished_at: Time | None = Field(description="When its last step was done.")
    steps: list[dict[str, str]] = Field(
        description="Its steps with their times, in order of execution."
    )
    leaked_debits: int | None = Field(
        description=(
            "Debits that passed the closed gate, counted when a suspension has finished; "
            "expected: 0."
        )
    )
    leaked_messages: int | None = Field(
        description="Messages that passed the closed gate, counted likewise; expected: 0."
    )

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
