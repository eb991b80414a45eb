"""The table of CONTRIBUTING.md: which modules of which layer each subject has, read from the
tree.
"""

from pathlib import Path

from tools.lifecycle import fill

ROOT = Path(__file__).parent.parent
LAYERS = ("api", "workflows", "activities", "db", "domain")
SUBJECTS = {
    "wallet": "wallets, ledger, holds, seals: the only code that moves money",
    "lifecycle": "organizations, standings, blocks, receipts, enforcement",
    "billing": "subscriptions, payments, top-ups, reversals, debts",
    "inbox": "webhook deliveries, parking, state updates, listed events",
    "switching": "moving a customer to another billing provider",
    "campaigns": "campaigns, recipients, sending, status callbacks, messages, pace, rates",
    "carrier": "what Twilio charges: usage by day and category, policies, charges, the bill",
    "events": "what happened, told to machines and people",
    "outbound": "webhook endpoints, and the delivery of events to them",
    "recovery": "the fence, and the mark of a database that may have been restored",
    "operations": "what waits for an operator, what is at risk, acts over many organizations",
    "notifications": "who is told of alerts, by mail, chat or pager",
    "audit": "certify and its checks, explanations, figures, alerts, reconciliation",
}


def filled(page: str) -> str:
    return fill(page, "rooms", table())


def table() -> str:
    head = ("subject", *(f"`{layer}/`" for layer in LAYERS))
    rows = [
        (f"**{name}**: {about}", *(_cell(layer, name) for layer in LAYERS))
        for name, about in SUBJECTS.items()
    ]
    rows.append(("**http**: serving HTTP itself", *(_cell(layer, "http") for layer in LAYERS)))
    rows.append(("without a subject", *(_cell(layer, "") for layer in LAYERS)))
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *rows))


def _cell(layer: str, room: str) -> str:
    modules = sorted(
        path.stem for path in (ROOT / layer / room).glob("*.py") if path.stem != "__init__"
    )
    return ", ".join(f"`{module}`" for module in modules) or "-"
