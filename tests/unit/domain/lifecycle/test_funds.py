"""An empty wallet suspends where its organization's policy says so, and not before its grace ends."""

from datetime import timedelta

from domain.lifecycle.funds import FundsPolicy, WhenEmpty
from tests.builders import NOON


def test_an_empty_wallet_suspends_nobody_by_default() -> None:
    assert FundsPolicy().suspends_at(NOON) is None


def test_an_empty_wallet_suspends_when_its_grace_ends() -> None:
    policy = FundsPolicy(when_empty=WhenEmpty.SUSPEND, empty_grace=timedelta(hours=2))

    assert policy.suspends_at(NOON) == NOON + timedelta(hours=2)
