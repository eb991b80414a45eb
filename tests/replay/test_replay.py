"""Histories recorded by earlier builds, replayed against today's workflows: the commands must be
the same.
"""

import json
import re
from pathlib import Path

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from domain.lifecycle.standing import Status
from runtime.worker import WORKFLOWS, workflow_runner
from tests.replay.record import HISTORIES, IDENTITY
from tests.replay.scenarios import SCENARIOS
from workflows.lifecycle import organization_lifecycle

RECORDED = sorted(HISTORIES.glob("*.json"))


def replayer() -> Replayer:
    """As the worker runs them."""
    return Replayer(
        workflows=WORKFLOWS,
        data_converter=pydantic_data_converter,
        workflow_runner=workflow_runner(),
    )


def history(path: Path) -> WorkflowHistory:
    return WorkflowHistory.from_json(path.stem, path.read_text())


@pytest.mark.parametrize("path", RECORDED, ids=[path.stem for path in RECORDED])
async def test_a_recorded_history_replays(path: Path) -> None:
    await replayer().replay_workflow(history(path))


async def test_a_changed_order_of_steps_does_not_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = organization_lifecycle.STEPS
    twilio, wallet, campaigns = steps[Status.SUSPENDED]
    monkeypatch.setitem(steps, Status.SUSPENDED, (wallet, twilio, campaigns))
    [path] = HISTORIES.glob("*.suspended_and_reactivated.json")

    with pytest.raises(NondeterminismError):
        await replayer().replay_workflow(history(path))


def test_every_workflow_and_every_scenario_is_recorded() -> None:
    recorded = {tuple(path.stem.split(".")) for path in RECORDED}

    names = {workflow._Definition.must_from_class(defined).name for defined in WORKFLOWS}

    assert {kind for kind, _ in recorded} == names
    assert {scenario.__name__ for scenario in SCENARIOS} <= {name for _, name in recorded}


@pytest.mark.parametrize("path", RECORDED, ids=[path.stem for path in RECORDED])
def test_a_recorded_history_is_small_real_and_tells_nothing_of_its_machine(path: Path) -> None:
    text = path.read_text()
    events = json.loads(text)["events"]
    identities = {
        attributes["identity"]
        for event in events
        for name, attributes in event.items()
        if name.endswith("Attributes") and "identity" in attributes
    }

    assert len(text) < 300_000
    assert identities <= {IDENTITY, "history-service"}
    assert any(
        "sdkMetadata" in event.get("workflowTaskCompletedEventAttributes", {}) for event in events
    )
    assert not re.search(r"/work/|/home/|/root/|/tmp/|stackTrace|\d+@[a-z]", text)
