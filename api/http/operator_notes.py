"""Operators' notes: why they suspended or froze, and who did it. Only a key with the scope
`operator` shows them.

Keys of other scopes belong to the host application, which may show everything that it reads to its
customer.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from db.alerts import Alert
from db.api_keys import ApiKey, Scope
from db.audit.explanations import Explanation
from db.lifecycle.receipts import Receipt
from db.lifecycle.standings import HeldBlock
from domain.lifecycle.standing import Block
from domain.wallet.ledger import Wallet

_BY_AN_OPERATOR = re.compile(
    r"(admin block by|\w+ block lifted by) .*\((?:key_|command line).*", re.DOTALL
)


def actor(caller: ApiKey) -> str:
    """How records name whoever called."""
    return f"{caller.name} ({caller.id})"


def of_wallet(wallet: Wallet, caller: ApiKey) -> Wallet:
    if _may_read(caller) or not wallet.frozen_by_operator:
        return wallet
    return replace(wallet, freeze_reason=None)


def of_blocks(blocks: Sequence[HeldBlock], caller: ApiKey) -> tuple[HeldBlock, ...]:
    if _may_read(caller):
        return tuple(blocks)
    return tuple(
        replace(block, reason="", placed_by="an operator") if block.kind is Block.ADMIN else block
        for block in blocks
    )


def of_receipts(receipts: Sequence[Receipt], caller: ApiKey) -> tuple[Receipt, ...]:
    if _may_read(caller):
        return tuple(receipts)
    return tuple(
        replace(receipt, cause=_BY_AN_OPERATOR.sub(r"\1 an operator", receipt.cause))
        for receipt in receipts
    )


def of_alerts(alerts: Sequence[Alert], caller: ApiKey) -> tuple[Alert, ...]:
    if _may_read(caller):
        return tuple(alerts)
    return tuple(replace(alert, owner="an operator" if alert.owner else None) for alert in alerts)


def of_explanation(explanation: Explanation, caller: ApiKey) -> Explanation:
    return replace(
        explanation,
        wallet=of_wallet(explanation.wallet, caller),
        blocks=of_blocks(explanation.blocks, caller),
        receipts=of_receipts(explanation.receipts, caller),
        alerts=of_alerts(explanation.alerts, caller),
    )


def _may_read(caller: ApiKey) -> bool:
    return caller.scope >= Scope.OPERATOR
