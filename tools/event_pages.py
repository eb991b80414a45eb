"""docs/reference/events.md: every type of event with its data."""

from domain.events.catalogue import CATALOGUE, Entry
from tools.tables import GENERATED, joined, table

HEAD = """Each event is written in the transaction of the fact that it tells, once. It is thin: `id`, `type`,
`version`, its time (`occurred_at` in the API, `timestamp` in a webhook), `organization_id` (null for an event of the
installation) and the `data` below; read the rest by GET. Amounts are decimal strings. A type or a field may be added at
any time: ignore what you do not know. If a field changes its meaning, `version` grows. Events are kept for 90 days."""
OPT_IN = "Written only while an endpoint names this type."


def events() -> str:
    parts = ["# Events", GENERATED, HEAD]
    for type_, entry in CATALOGUE.items():
        parts += [f"## `{type_}`", f"{entry.about[0].upper()}{entry.about[1:]}."]
        if entry.opt_in:
            parts.append(OPT_IN)
        parts.append(_fields(entry))
    return joined(parts)


def _fields(entry: Entry) -> str:
    rows = [
        (f"`{field.name}`", field.kind.value, f"{field.about}{', or null' * field.optional}")
        for field in entry.fields
    ]
    return table(("field", "type", ""), rows)
