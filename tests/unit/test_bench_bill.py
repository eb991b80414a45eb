"""The plan of `tollgate bench bill`, and how many requests it foresees among 100,000 subaccounts."""

from datetime import UTC, datetime, timedelta

from bench.bill import demand, plan

BEGAN = datetime(2026, 10, 1, tzinfo=UTC)
A_DAY = timedelta(days=1)


def test_the_plan_is_the_same_each_time_and_corrects_nothing_after_its_last_step() -> None:
    first, again = (list(plan.of_organization(3, 40, 30)) for _ in range(2))
    charges = [charge for doing in first for charge in doing.charges]

    assert first == again
    assert len(first) == 30 * plan.STEPS
    assert all(each.corrected is None or each.corrected < len(first) for each in charges)
    assert all(each.corrected for each in charges if each.price_micros is None)


def test_the_plan_has_every_category_and_both_directions() -> None:
    doings = [doing for number in range(40) for doing in plan.of_organization(number, 40, 30)]

    categories = {charge.category for doing in doings for charge in doing.charges}
    assert categories == plan.CATEGORIES.keys()
    assert any(doing.sent for doing in doings)
    assert any(doing.received for doing in doings)
    assert any((each.price_micros or 0) < 0 for doing in doings for each in doing.charges)


def test_subaccounts_at_rest_take_half_of_the_budget() -> None:
    found = demand.at(100_000, [[] for _ in range(100)], BEGAN, BEGAN + 20 * A_DAY)

    assert 140 < found.per_minute < 165


def test_subaccounts_that_spend_all_the_time_do_not_exceed_the_budget_and_are_read_later() -> None:
    minutes = [BEGAN + timedelta(minutes=5 * n) for n in range(2 * 288)]
    found = demand.at(100_000, [minutes for _ in range(50)], BEGAN, BEGAN + 2 * A_DAY)

    assert 290 < found.per_minute <= 310
    assert found.seen_after_p99 > timedelta(hours=1)
