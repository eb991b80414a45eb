"""The ledger against its pure model, on a real database: any sequence of postings and gate
changes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db.wallet import gates, ledger, statements, wallets
from domain.money import LARGEST_MICROS, Money
from domain.wallet.entries import Entry, Posting, credit, debit, refund, reversal
from domain.wallet.ledger import (
    Conflict,
    Credited,
    Debited,
    Frozen,
    NothingToRefund,
    Outcome,
    Refunded,
    Suspended,
    TooLarge,
    Wallet,
    WalletNotFound,
    WrongCurrency,
    settle,
)
from tests.builders import (
    NO_RECEIPT,
    ORGANIZATION,
    balance,
    broken_claims,
    freeze,
    number,
    onboard,
    post,
    post_one,
    rows,
    shut_gate,
    unfreeze,
    usd,
    wallet,
)
from tests.soak import Examples, also_soaking

UNEXPLAINED = (
    "wallets with reversal or recovery entries that no reversal or carrier charge explains"
)


class Gate(StrEnum):
    SHUT = "shut"
    OPEN = "open"
    FREEZE = "freeze"
    FREEZE_BY_OPERATOR = "freeze by operator"
    UNFREEZE_BY_OPERATOR = "unfreeze by operator"


EFFECTS: dict[Gate, Callable[[Wallet], Wallet]] = {
    Gate.SHUT: lambda of: replace(of, gate_open=False),
    Gate.OPEN: lambda of: replace(of, gate_open=True, frozen_by_suspension=False),
    Gate.FREEZE: lambda of: (
        of if of.frozen_by_suspension else replace(of, frozen_by_suspension=True)
    ),
    Gate.FREEZE_BY_OPERATOR: lambda of: (
        of if of.frozen_by_operator else replace(of, frozen_by_operator=True)
    ),
    Gate.UNFREEZE_BY_OPERATOR: lambda of: replace(of, frozen_by_operator=False),
}


@dataclass
class Model:
    """The ledger in memory, computed by the pure rules alone."""

    wallet: Wallet
    entries: list[Entry] = field(default_factory=list)

    def post(self, postings: list[Posting]) -> list[Outcome]:
        book = {entry.reference_id: entry for entry in self.entries}
        returned = frozenset(entry.refunds for entry in self.entries if entry.refunds is not None)
        outcomes, new = settle(self.wallet, book, returned, postings)
        self.entries += new
        balance = self.entries[-1].balance_after_micros if self.entries else 0
        self.wallet = replace(self.wallet, balance_micros=balance, entries=len(self.entries))
        return outcomes


async def change(conn: AsyncConnection, organization_id: str, gate: Gate) -> None:
    match gate:
        case Gate.SHUT:
            await gates.shut_gate(conn, organization_id, epoch=1, cause="why")
        case Gate.OPEN:
            await gates.open_gate(conn, organization_id, epoch=1, cause="why")
        case Gate.FREEZE | Gate.FREEZE_BY_OPERATOR:
            by_operator = gate is Gate.FREEZE_BY_OPERATOR
            await gates.freeze(conn, organization_id, epoch=1, cause="why", by_operator=by_operator)
        case Gate.UNFREEZE_BY_OPERATOR:
            await gates.unfreeze_by_operator(conn, organization_id, epoch=1, cause="why")


references = st.sampled_from(["a", "b", "c", "d", "e", "f"])
amounts = st.integers(1, 6).map(lambda micros: Money(micros, "USD"))
postings = st.one_of(
    st.builds(credit, references, amounts),
    st.builds(debit, references, amounts),
    st.builds(refund, references, references, amounts),
    st.builds(reversal, references, amounts),
    st.builds(credit, references, st.just(Money(1, "EUR"))),
)
steps = st.one_of(st.lists(postings, min_size=1, max_size=4), st.sampled_from(Gate))


@also_soaking
@settings(
    max_examples=Examples.of(20, soaking=1000),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(steps, max_size=12))
async def test_any_sequence_comes_out_as_the_pure_model_says(
    engine: AsyncEngine, soaking: bool, lists: list[list[Posting] | Gate]
) -> None:
    name = f"o{next(_numbers)}"
    await onboard(engine, name, balance="0")
    model = Model(await wallet(engine, name))
    for step in lists:
        async with engine.begin() as conn:
            if isinstance(step, Gate):
                await change(conn, name, step)
                model.wallet = EFFECTS[step](model.wallet)
            else:
                alone = await wallets.post_alone(conn, name, step[0]) if len(step) == 1 else None
                outcomes = await wallets.post(conn, name, step) if alone is None else [alone]

                assert [_outcome_or_word(outcome) for outcome in outcomes] == [
                    _outcome_or_word(outcome) for outcome in model.post(step)
                ]

    stored = await wallet(engine, name)
    assert replace(stored, freeze_reason=None) == replace(model.wallet, freeze_reason=None)
    assert await _entries(engine, name) == model.entries
    assert stored.balance_micros == sum(entry.amount_micros for entry in model.entries) >= 0
    assert all(entry.balance_after_micros >= 0 for entry in model.entries)
    assert len({entry.reference_id for entry in model.entries}) == len(model.entries)
    assert await broken_claims(engine) <= {UNEXPLAINED} | NO_RECEIPT


together = st.dictionaries(
    st.sampled_from(["x", "y", "z"]), st.lists(postings, min_size=1, max_size=5), min_size=1
)


@also_soaking
@settings(
    max_examples=Examples.of(15, soaking=500),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(together, max_size=8))
async def test_lists_of_many_wallets_at_once_come_out_as_each_alone(
    engine: AsyncEngine, soaking: bool, rounds: list[dict[str, list[Posting]]]
) -> None:
    number = next(_numbers)
    models = {}
    for name in ("x", "y", "z"):
        await onboard(engine, f"{name}{number}", balance="0")
        models[name] = Model(await wallet(engine, f"{name}{number}"))
    for step in rounds:
        async with engine.begin() as conn:
            outcomes = await wallets.post_all(
                conn, {f"{name}{number}": lists for name, lists in step.items()}
            )

        assert outcomes == {
            f"{name}{number}": models[name].post(lists) for name, lists in step.items()
        }
    for name, model in models.items():
        assert await wallet(engine, f"{name}{number}") == model.wallet
        assert await _entries(engine, f"{name}{number}") == model.entries


async def test_an_uncontested_posting_is_booked_at_once_and_no_other(
    engine: AsyncEngine,
) -> None:
    await onboard(engine, balance="1.00")
    async with engine.begin() as conn:
        booked = await wallets.post_alone(conn, ORGANIZATION, debit("d", usd("0.40")))
        others = [
            await wallets.post_alone(conn, ORGANIZATION, posting)
            for posting in (
                debit("d", usd("0.40")),
                debit("e", usd("0.61")),
                refund("r", "d", usd("0.40")),
            )
        ]
        others.append(await wallets.post_alone(conn, "nobody", credit("c", usd("1"))))
        others.append(await wallets.post_alone(conn, ORGANIZATION, credit("c", Money(1, "EUR"))))
        others.append(
            await wallets.post_alone(conn, ORGANIZATION, credit("c", Money(LARGEST_MICROS, "USD")))
        )
    async with engine.begin() as conn:
        locked = await wallets.lock(conn, ORGANIZATION)
        assert locked is not None
        await wallets.set_aside(conn, locked, usd("0.50").micros)
    async with engine.begin() as conn:
        others.append(await wallets.post_alone(conn, ORGANIZATION, debit("set aside", usd("0.11"))))
    async with engine.connect() as holder, engine.begin() as conn:
        await wallets.lock(holder, ORGANIZATION)
        others.append(await wallets.post_alone(conn, ORGANIZATION, debit("held", usd("0.01"))))

    assert isinstance(booked, Debited)
    assert others == [None] * 8
    assert await balance(engine) == usd("0.60")


@pytest.mark.parametrize("gate", [Gate.SHUT, Gate.FREEZE, Gate.FREEZE_BY_OPERATOR])
async def test_a_gate_that_is_shut_or_a_freeze_speaks_against_a_debit_and_not_a_credit(
    engine: AsyncEngine, gate: Gate
) -> None:
    await onboard(engine)
    async with engine.begin() as conn:
        await change(conn, ORGANIZATION, gate)

        paid = await wallets.post_alone(conn, ORGANIZATION, debit("d", usd("0.01")))
        received = await wallets.post_alone(conn, ORGANIZATION, credit("c", usd("0.01")))

    assert paid is None
    assert isinstance(received, Credited)


async def test_free_wallets_are_answered_while_others_are_locked(
    engine: AsyncEngine,
) -> None:
    for name in ("held", "free"):
        await onboard(engine, name)
    async with engine.connect() as holder, engine.begin() as conn:
        await wallets.lock(holder, "held")

        postings = {name: [debit("d", usd("1"))] for name in ("held", "free", "nobody")}
        outcomes = await wallets.post_all(conn, postings, wait=False)

    assert list(outcomes) == ["free"]
    assert await balance(engine, "held") == usd("10")
    assert await balance(engine, "free") == usd("9")


async def test_looking_up_references_never_reads_the_whole_ledger(engine: AsyncEngine) -> None:
    """A query plan made while the ledger is small is kept for the connection's lifetime."""
    await onboard(engine)
    async with engine.begin() as conn:
        await conn.exec_driver_sql("ANALYZE ledger_entries")
        await conn.exec_driver_sql(statements.BY_INDEX)
        generic = statements.KNOWN
        for number in range(1, 5):
            generic = generic.replace("%s", f"${number}", 1)
        plan = "\n".join(
            (await conn.exec_driver_sql(f"EXPLAIN (GENERIC_PLAN) {generic}")).scalars()
        )

    assert plan.count("Index Cond") == 2
    assert "Seq Scan" not in plan


_numbers = count()


def _outcome_or_word(outcome: Outcome) -> Outcome | str:
    return "frozen" if isinstance(outcome, Frozen) else outcome


async def _entries(engine: AsyncEngine, organization_id: str) -> list[Entry]:
    async with engine.connect() as conn:
        page = await ledger.page(conn, organization_id, before_seq=None, limit=1000)
    return [booked.entry for booked in reversed(page)]


async def test_the_same_reference_with_other_content_is_a_conflict_and_books_nothing(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    first = await post_one(engine, debit("d", usd("1")))
    assert isinstance(first, Debited)

    again = await post(engine, debit("d", usd("2")), credit("d", usd("1")), debit("d", usd("1")))

    assert again == [
        Conflict(first.entry),
        Conflict(first.entry),
        Debited(first.entry, replayed=True),
    ]
    assert await balance(engine) == usd("9")


async def test_the_same_reference_counts_in_every_organization_by_itself(
    engine: AsyncEngine,
) -> None:
    await onboard(engine, "one")
    await onboard(engine, "two")

    outcomes = [
        await post_one(engine, debit("d", usd("1")), organization_id=name)
        for name in ("one", "two")
    ]

    assert [type(outcome) for outcome in outcomes] == [Debited, Debited]
    assert not any(isinstance(outcome, Debited) and outcome.replayed for outcome in outcomes)


async def test_a_debit_is_refunded_once_and_for_no_more_than_it_took(engine: AsyncEngine) -> None:
    await onboard(engine)
    await post(engine, debit("d", usd("2")))

    outcomes = await post(
        engine,
        refund("too much", "d", usd("2.01")),
        refund("r", "d", usd("2")),
        refund("r", "d", usd("2")),
        refund("again", "d", usd("1")),
        refund("of a credit", "opening", usd("1")),
        refund("of nothing", "nowhere", usd("1")),
    )

    assert [type(outcome) for outcome in outcomes] == [
        NothingToRefund, Refunded, Refunded, NothingToRefund, NothingToRefund, NothingToRefund,
    ]  # fmt: skip
    assert await balance(engine) == usd("10")
    assert [type(outcome) for outcome in await post(engine, refund("later", "d", usd("1")))] == [
        NothingToRefund
    ]


async def test_a_debit_and_its_refund_may_stand_in_one_list(engine: AsyncEngine) -> None:
    await onboard(engine)

    outcomes = await post(
        engine, debit("d", usd("10")), refund("r", "d", usd("10")), debit("e", usd("10"))
    )

    assert [type(outcome) for outcome in outcomes] == [Debited, Refunded, Debited]
    assert await balance(engine) == usd("0")


async def test_a_wallet_that_is_not_there_is_an_answer(engine: AsyncEngine) -> None:
    assert await post(engine, credit("c", usd("1")), organization_id="nobody") == [
        WalletNotFound("nobody")
    ]


async def test_another_currency_books_nothing(engine: AsyncEngine) -> None:
    await onboard(engine)

    outcome = await post_one(engine, credit("c", Money(1_000_000, "EUR")))

    assert outcome == WrongCurrency("USD")
    assert await number(engine, "SELECT count(*) FROM ledger_entries") == 1


async def test_a_wallet_holds_up_to_its_limit_and_not_a_micro_more(engine: AsyncEngine) -> None:
    await onboard(engine, balance="0")

    outcomes = await post(
        engine, credit("all", Money(LARGEST_MICROS, "USD")), credit("one", Money(1, "USD"))
    )

    assert [type(outcome) for outcome in outcomes] == [Credited, TooLarge]


async def test_every_gate_change_is_written_once_with_the_entries_before_it(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    await post(engine, debit("d", usd("1")))
    for _ in range(3):
        await freeze(engine, by_operator=True)
        await shut_gate(engine)
    await unfreeze(engine)

    changes = await rows(engine, "SELECT change, after_seq FROM gate_changes ORDER BY id")

    assert [tuple(row) for row in changes] == [
        ("frozen_by_operator", 2),
        ("shut", 2),
        ("unfrozen_by_operator", 2),
    ]
    assert await post_one(engine, debit("e", usd("1"))) == Suspended()


async def test_the_reason_shown_is_that_of_the_remaining_freeze(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    await freeze(engine, by_operator=True)
    async with engine.begin() as conn:
        await gates.freeze(conn, ORGANIZATION, epoch=1, cause="the organization is suspended")
        await gates.open_gate(conn, ORGANIZATION, epoch=2, cause="the organization is active")

    assert await post_one(engine, debit("d", usd("1"))) == Frozen("fraud suspected")


async def test_pages_of_entries_go_back_without_a_gap(engine: AsyncEngine) -> None:
    await onboard(engine)
    await post(engine, *(debit(f"d{n}", usd("1")) for n in range(7)))

    seen: list[int] = []
    before: int | None = None
    async with engine.connect() as conn:
        while page := await ledger.page(conn, ORGANIZATION, before_seq=before, limit=3):
            seen += [booked.entry.seq for booked in page]
            before = seen[-1]

    assert seen == list(range(8, 0, -1))
