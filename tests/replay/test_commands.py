"""The commands of workflow code, and their order, change only on purpose."""

import json
from pathlib import Path

from runtime.worker import WORKFLOWS
from tests.replay.fingerprint import ACCEPTED, commands

ADVICE = """
{name} gives other commands, or in another order, than the accepted ones:

{difference}

A run that is under way replays its history with the new code, and fails where that would have done something else. So
* if runs may be open (they are, where anything is deployed): put the change behind `workflow.patched("what-changed")`
  and leave the old way in its else, as docs/how-to/rolling-deployment.md shows;
* then accept it: python -m tests.replay.fingerprint --accept, and record new histories: python -m tests.replay.record
"""


def test_workflows_give_the_accepted_commands_in_the_accepted_order() -> None:
    accepted, found = json.loads(ACCEPTED.read_text()), commands()

    assert found.keys() == accepted.keys()
    for name, lines in found.items():
        assert lines == accepted[name], ADVICE.format(
            name=name, difference=_difference(accepted[name], lines)
        )


def test_every_workflow_has_commands() -> None:
    found = commands()

    assert found.keys() == {workflow.__name__ for workflow in WORKFLOWS}
    assert all(found.values())


def test_a_moved_command_is_seen(tmp_path: Path) -> None:
    template = """
@workflow.defn
class Greeting:
    async def run(self):
        await workflow.execute_activity_method({0}, x)
        await workflow.execute_activity_method({1}, x)
"""
    for folder, order in (("before", ("A.a", "B.b")), ("after", ("B.b", "A.a"))):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "greeting.py").write_text(template.format(*order))

    assert commands(tmp_path / "before") != commands(tmp_path / "after")


def _difference(accepted: list[str], found: list[str]) -> str:
    at = next(
        (n for n, pair in enumerate(zip(accepted, found, strict=False)) if pair[0] != pair[1]), None
    )
    at = min(len(accepted), len(found)) if at is None else at
    return f"  accepted: {accepted[at : at + 1]}\n  found:    {found[at : at + 1]}"
