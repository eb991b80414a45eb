"""How long sealing rests: by entries a second, at least as long as a batch took."""

import pytest

from runtime.upkeep import EVERY, SEALED_PER_SECOND, rest_of_sealing


@pytest.mark.parametrize("spent", [0.001, 0.1, 0.19])
def test_what_waits_is_sealed_at_a_rate_whatever_a_batch_takes(spent: float) -> None:
    rest = rest_of_sealing(SEALED_PER_SECOND, more=True, spent=spent)

    assert spent + rest == pytest.approx(1.0)


def test_on_a_busy_server_it_rests_as_long_as_the_batch_took() -> None:
    assert rest_of_sealing(400, more=True, spent=2.0) == 2.0


def test_a_batch_that_found_only_gaps_does_not_spin() -> None:
    assert rest_of_sealing(0, more=True, spent=0.01) == 0.01


@pytest.mark.parametrize("entries", [0, 1, 400])
def test_once_nothing_waits_it_rests_until_there_is_a_batch_again(entries: int) -> None:
    assert rest_of_sealing(entries, more=False, spent=0.01) == EVERY.total_seconds()
