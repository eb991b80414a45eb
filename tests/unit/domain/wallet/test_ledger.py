"""`settle` against a naive model: a wallet as one would write it on paper."""

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.money import LARGEST_MICROS, Money
from domain.wallet.entries import (
    Entry,
    EntryKind,
    Posting,
    credit,
    debit,
    recovery,
    refund,
    reversal,
)
from domain.wallet.ledger import (
    Conflict,
    Credited,
    Debited,
    Frozen,
    InsufficientFunds,
    NothingToRefund,
    Outcome,
    Posted,
    Refunded,
    Suspended,
    TakenBack,
    TooLarge,
    Wallet,
    WrongCurrency,
    settle,
)
from tests.builders import usd

EMPTY = Wallet(organization_id="acme", currency="USD", balance_micros=0, entries=0)


@dataclass
class Paper:
    """One line for each posting that was booked, in the order in which they came."""

    pays: bool = True
    lines: list[Posting] = field(default_factory=list)

    @property
    def balance(self) -> int:
        return sum(line.signed_micros for line in self.lines)

    def book(self, posting: Posting) -> type[object]:
        if any(line.reference_id == posting.reference_id for line in self.lines):
            same = any(line == posting for line in self.lines)
            return Posted if same else Conflict
        if not self._allows(posting):
            return NothingToRefund if posting.kind is EntryKind.REFUND else InsufficientFunds
        self.lines.append(posting)
        return Posted

    def _allows(self, posting: Posting) -> bool:
        if posting.kind is EntryKind.CREDIT:
            return True
        if posting.kind is EntryKind.DEBIT:
            return self.pays and posting.amount.micros <= self.balance
        if posting.kind in (EntryKind.REVERSAL, EntryKind.RECOVERY):
            # the money is already gone, even if the wallet is frozen
            return posting.amount.micros <= self.balance
        paid = [
            line
            for line in self.lines
            if line.kind is EntryKind.DEBIT and line.reference_id == posting.refunds
        ]
        returned = [line for line in self.lines if line.refunds == posting.refunds]
        return bool(paid) and not returned and posting.amount.micros <= paid[0].amount.micros


references = st.sampled_from(["a", "b", "c", "d", "e"])
amounts = st.integers(1, 5).map(lambda micros: Money(micros, "USD"))
postings = st.one_of(
    st.builds(credit, references, amounts),
    st.builds(debit, references, amounts),
    st.builds(refund, references, references, amounts),
    st.builds(reversal, references, amounts),
    st.builds(recovery, references, amounts),
)


def broadly(outcome: Outcome) -> type[object]:
    if isinstance(outcome, Posted):
        return Posted
    return InsufficientFunds if isinstance(outcome, Frozen | Suspended) else type(outcome)


@given(st.lists(postings, max_size=12), st.booleans())
def test_settle_does_what_paper_does(refunds: list[Posting], pays: bool) -> None:
    paper = Paper(pays=pays)
    outcomes, entries = settle(replace(EMPTY, gate_open=pays), {}, frozenset(), refunds)

    assert [broadly(outcome) for outcome in outcomes] == [
        paper.book(posting) for posting in refunds
    ]
    assert [entry.reference_id for entry in entries] == [line.reference_id for line in paper.lines]
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    assert (entries[-1].balance_after_micros if entries else 0) == paper.balance


@given(st.lists(postings, max_size=12))
def test_one_list_is_the_same_as_one_by_one(refunds: list[Posting]) -> None:
    together = settle(EMPTY, {}, frozenset(), refunds)
    wallet, book, returned, apart = EMPTY, dict[str, Entry](), set[str](), []
    for posting in refunds:
        [outcome], entries = settle(wallet, book, frozenset(returned), [posting])
        apart.append(outcome)
        for entry in entries:
            wallet = replace(wallet, balance_micros=entry.balance_after_micros, entries=entry.seq)
            book[entry.reference_id] = entry
            returned |= {entry.refunds} if entry.refunds else set()

    assert together == (apart, list(book.values()))


@given(st.lists(postings, max_size=12))
def test_the_balance_is_never_below_zero_and_follows_from_the_entry_before(
    refunds: list[Posting],
) -> None:
    _, entries = settle(EMPTY, {}, frozenset(), refunds)

    balance = 0
    for entry in entries:
        balance += entry.amount_micros
        assert entry.balance_after_micros == balance >= 0


def test_a_refused_debit_takes_nothing_from_those_behind_it() -> None:
    wallet = replace(EMPTY, balance_micros=usd("5").micros)

    outcomes, _ = settle(
        wallet, {}, frozenset(), [debit("dear", usd("6")), debit("cheap", usd("5"))]
    )

    assert outcomes[0] == InsufficientFunds(usd("5").micros, usd("6").micros)
    assert isinstance(outcomes[1], Debited)


@pytest.mark.parametrize(
    ("wallet", "expected"),
    [
        (replace(EMPTY, gate_open=False), Suspended()),
        (replace(EMPTY, gate_open=False, frozen_by_operator=True), Suspended()),
        (replace(EMPTY, frozen_by_suspension=True), Frozen("frozen")),
        (replace(EMPTY, frozen_by_operator=True, freeze_reason="fraud"), Frozen("fraud")),
        (EMPTY, InsufficientFunds(0, 1)),
    ],
)
def test_why_a_debit_is_refused(wallet: Wallet, expected: Outcome) -> None:
    [outcome], entries = settle(wallet, {}, frozenset(), [debit("d", Money(1, "USD"))])

    assert outcome == expected
    assert entries == []


def test_a_shut_and_frozen_wallet_still_takes_credits_and_refunds() -> None:
    paid = Entry(
        seq=1,
        kind=EntryKind.DEBIT,
        amount_micros=-3,
        balance_after_micros=0,
        reference_id="d",
        description="",
    )
    wallet = replace(EMPTY, entries=1, gate_open=False, frozen_by_operator=True)

    outcomes, _ = settle(
        wallet,
        {"d": paid},
        frozenset(),
        [refund("r", "d", Money(3, "USD")), credit("c", Money(1, "USD"))],
    )

    assert [type(outcome) for outcome in outcomes] == [Refunded, Credited]


def test_reversals_are_taken_from_a_shut_and_frozen_wallet_but_never_from_holds() -> None:
    wallet = replace(
        EMPTY,
        balance_micros=5,
        held_micros=2,
        gate_open=False,
        frozen_by_suspension=True,
        frozen_by_operator=True,
    )

    outcomes, entries = settle(
        wallet,
        {},
        frozenset(),
        [reversal("r", Money(2, "USD")), recovery("too much", Money(2, "USD"))],
    )

    assert outcomes == [TakenBack(entries[0]), InsufficientFunds(1, 2)]
    assert (entries[0].amount_micros, entries[0].balance_after_micros) == (-2, 3)


def test_a_replay_is_answered_even_where_a_new_debit_would_be_refused() -> None:
    first, entries = settle(
        replace(EMPTY, balance_micros=3), {}, frozenset(), [debit("d", Money(3, "USD"))]
    )
    shut = replace(EMPTY, entries=1, gate_open=False)

    [again], new = settle(shut, {"d": entries[0]}, frozenset(), [debit("d", Money(3, "USD"))])

    assert first == [Debited(entries[0])]
    assert again == Debited(entries[0], replayed=True)
    assert new == []


def test_another_currency_is_refused() -> None:
    outcomes, entries = settle(EMPTY, {}, frozenset(), [credit("c", Money(1, "EUR"))])

    assert outcomes == [WrongCurrency("USD")]
    assert entries == []


def test_more_than_a_wallet_can_hold_is_refused() -> None:
    full = replace(EMPTY, balance_micros=LARGEST_MICROS)

    outcomes, _ = settle(full, {}, frozenset(), [credit("c", Money(1, "USD"))])

    assert outcomes == [TooLarge(LARGEST_MICROS)]


def test_a_refunded_message_is_not_refunded_again() -> None:
    paid = Entry(
        seq=1, kind=EntryKind.DEBIT, amount_micros=-3, balance_after_micros=0, reference_id="d"
    )

    outcomes, _ = settle(EMPTY, {"d": paid}, frozenset({"d"}), [refund("r2", "d", Money(3, "USD"))])

    assert outcomes == [NothingToRefund("d")]


@pytest.mark.parametrize(("micros", "refused"), [(2, False), (3, False), (4, True)])
def test_a_refund_returns_no_more_than_was_paid(micros: int, refused: bool) -> None:
    paid = Entry(
        seq=1, kind=EntryKind.DEBIT, amount_micros=-3, balance_after_micros=0, reference_id="d"
    )

    [outcome], entries = settle(
        EMPTY, {"d": paid}, frozenset(), [refund("r", "d", Money(micros, "USD"))]
    )

    assert isinstance(outcome, NothingToRefund) is refused
    assert len(entries) == (0 if refused else 1)


@pytest.mark.parametrize(
    ("kind", "micros"),
    [(EntryKind.CREDIT, 3), (EntryKind.REVERSAL, -3), (EntryKind.RECOVERY, -3)],
)
def test_only_a_debit_is_refunded(kind: EntryKind, micros: int) -> None:
    before = Entry(
        seq=1, kind=kind, amount_micros=micros, balance_after_micros=3, reference_id="other"
    )
    postings = [refund("r", "other", Money(3, "USD")), refund("r", "none", Money(3, "USD"))]

    outcomes, _ = settle(EMPTY, {"other": before}, frozenset(), postings)

    assert outcomes == [NothingToRefund("other"), NothingToRefund("none")]


def test_two_refunds_of_one_debit_in_one_list_return_it_once() -> None:
    paid = Entry(
        seq=1, kind=EntryKind.DEBIT, amount_micros=-3, balance_after_micros=0, reference_id="d"
    )
    twice = [refund("r1", "d", Money(3, "USD")), refund("r2", "d", Money(3, "USD"))]

    outcomes, entries = settle(replace(EMPTY, entries=1), {"d": paid}, frozenset(), twice)

    assert outcomes == [Refunded(entries[0]), NothingToRefund("d")]


def test_a_credit_that_comes_again_in_one_list_is_booked_once() -> None:
    outcomes, entries = settle(EMPTY, {}, frozenset(), [credit("c", Money(3, "USD"))] * 2)

    assert outcomes == [Credited(entries[0]), Credited(entries[0], replayed=True)]
    assert len(entries) == 1


@pytest.mark.parametrize("micros", [0, -1])
def test_a_posting_has_a_positive_amount(micros: int) -> None:
    with pytest.raises(ValueError, match="positive"):
        credit("c", Money(micros, "USD"))


@pytest.mark.parametrize(("kind", "refunds"), [(EntryKind.REFUND, None), (EntryKind.DEBIT, "d")])
def test_a_refund_and_only_a_refund_names_a_debit(kind: EntryKind, refunds: str | None) -> None:
    with pytest.raises(ValueError, match="names the debit"):
        Posting(kind=kind, reference_id="r", amount=Money(1, "USD"), refunds=refunds)


@pytest.mark.parametrize(
    ("wallet", "pays"),
    [
        (EMPTY, True),
        (replace(EMPTY, gate_open=False), False),
        (replace(EMPTY, frozen_by_suspension=True), False),
        (replace(EMPTY, frozen_by_operator=True), False),
    ],
)
def test_a_wallet_pays_while_its_gate_is_open_and_nobody_froze_it(
    wallet: Wallet, pays: bool
) -> None:
    assert wallet.pays is pays


def test_a_debit_takes_what_is_available_and_never_what_is_held() -> None:
    wallet = Wallet(
        organization_id="acme", currency="USD", balance_micros=10, entries=1, held_micros=4
    )

    outcomes, _ = settle(
        wallet, {}, frozenset(), [debit("too much", Money(7, "USD")), debit("all", Money(6, "USD"))]
    )

    assert outcomes[0] == InsufficientFunds(balance_micros=6, needed_micros=7)
    assert isinstance(outcomes[1], Debited)
