"""The tables of docs/how-to/runbook.md: every kind of alert, what it means, and what ends it."""

from collections.abc import Iterable

from domain.alert_meanings import Meaning
from domain.alerts import MEANINGS, AlertKind, anchor
from tools.lifecycle import fill


def filled(page: str) -> str:
    by_itself = [
        (kind, meaning) for kind, meaning in MEANINGS.items() if meaning.clears is not None
    ]
    by_a_person = [(kind, meaning) for kind, meaning in MEANINGS.items() if meaning.clears is None]
    page = fill(
        page, "alerts that clear", _table(("kind", "severity", "do", "it clears when"), by_itself)
    )
    return fill(
        page, "alerts that a person closes", _table(("kind", "severity", "do"), by_a_person)
    )


def _table(head: tuple[str, ...], rows: Iterable[tuple[AlertKind, Meaning]]) -> str:
    """Each kind has an anchor, so that an alert can link to its line."""
    alike: dict[Meaning, list[AlertKind]] = {}
    for kind, meaning in rows:
        alike.setdefault(meaning, []).append(kind)
    lines = [head, ("---",) * len(head)]
    for meaning, kinds in alike.items():
        names = ", ".join(f'<a id="{anchor(kind)}"></a>`{kind}`' for kind in kinds)
        ends = [meaning.clears] if meaning.clears else []
        lines.append((names, meaning.severity.value, meaning.about, *ends))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
