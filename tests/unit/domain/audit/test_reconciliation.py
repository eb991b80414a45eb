"""The census of what a provider listed."""

from collections import Counter

from domain.audit.reconciliation import Census, bucket

IDS = [f"AC{n:032x}" for n in range(3_000)]


def test_what_was_not_listed_is_in_a_bucket_that_does_not_fit() -> None:
    expected = Counter(bucket(id_) for id_ in IDS)
    census = Census()
    census.add(id_ for id_ in IDS if id_ != IDS[17])

    assert census.total == len(IDS) - 1
    assert census.differing(expected) == [bucket(IDS[17])]


def test_a_census_continues_with_its_counts() -> None:
    first = Census()
    first.add(IDS[:1_000])
    second = Census(first.counts)
    second.add(IDS[1_000:])

    assert second.differing(Counter(bucket(id_) for id_ in IDS)) == []
