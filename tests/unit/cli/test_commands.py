"""The arguments that the commands accept, without running them."""

import pytest
import typer
from temporalio.service import RPCError, RPCStatusCode

from cli.certification import verdict
from cli.commands import app
from cli.failures import Status
from cli.problems import in_words
from cli.worker_process import task_queues
from db.audit.certify import Finding
from runtime.settings import Settings


def finding(guarantee: int, broken: int) -> Finding:
    return Finding(guarantee=guarantee, check="anything", examined=5, broken=broken)


def test_every_command_has_a_help_text() -> None:
    for each in app.registered_commands:
        assert each.callback is not None
        assert each.callback.__doc__, each.callback.__name__


def test_queues_are_named_by_kind_or_by_their_own_names() -> None:
    settings = Settings(lifecycle_task_queue="lifecycle-eu")

    assert task_queues(settings, "lifecycle, campaigns") == ["campaigns", "lifecycle-eu"]
    assert task_queues(settings, "lifecycle-eu,lifecycle") == ["lifecycle-eu"]


@pytest.mark.parametrize("queues", ["", ",", "lifecycle,nonsense"])
def test_other_queues_are_refused(queues: str) -> None:
    with pytest.raises(typer.BadParameter):
        task_queues(Settings(), queues)


def test_the_verdict_names_each_guarantee_that_fails_once() -> None:
    assert verdict([finding(1, 0), finding(2, 0)]) == "all guarantees hold"
    assert (
        verdict([finding(4, 1), finding(4, 2), finding(1, 3), finding(2, 0)])
        == "FAILED: 1 (No negative balance), 4 (No duplicate charge)"
    )


def test_a_temporal_that_does_not_answer_is_one_line() -> None:
    line = in_words(
        RPCError("tcp connect error\n  caused by: nothing", RPCStatusCode.UNAVAILABLE, b"")
    )

    assert line == ("Temporal request failed: tcp connect error", Status.UNAVAILABLE)
