"""The figures of `tollgate bench wallet`, as a table."""

from rich.table import Table

from bench.wallet import Report


def _rows(report: Report) -> list[tuple[str, float, float | None, str]]:
    """Label, debits a second, p99 in ms, and what to reach."""
    rows: list[tuple[str, float, float | None, str]] = [
        (f"pgbench, one wallet, {n} clients", measured.per_second, None, "")
        for n, measured in report.pgbench.items()
    ]
    rows += [
        (
            "SQLAlchemy, SERIALIZABLE, 100 callers",
            report.serializable.per_second,
            report.serializable.p99_ms,
            "",
        ),
        (
            "SQLAlchemy, row lock, 100 callers",
            report.row_lock.per_second,
            report.row_lock.p99_ms,
            "",
        ),
        *(
            (f"ours, one wallet, {n} callers", measured.per_second, measured.p99_ms, "")
            for n, measured in report.one_wallet.items()
        ),
        ("pgbench, 2,000 wallets, 100 clients", report.pgbench_many.per_second, None, ""),
        (
            "ours, 2,000 wallets, 100 callers",
            report.many_evenly.per_second,
            report.many_evenly.p99_ms,
            "",
        ),
        ("ours, the same by Zipf", report.many_by_zipf.per_second, report.many_by_zipf.p99_ms, ""),
        ("ours, lists of 1,000", report.list_per_second, None, ""),
        (
            "ours, HTTP, 100 connections",
            report.http.per_second,
            report.http.p99_ms,
            "",
        ),
        (
            "an empty route, 100 connections",
            report.empty_route.per_second,
            report.empty_route.p99_ms,
            "",
        ),
    ]
    return rows


def table(report: Report) -> Table:
    best, ours = report.best_of_pgbench, report.one_wallet[100]
    alone = report.one_wallet[1].p50_ms / report.pgbench[1].average_ms
    many = report.many_evenly.per_second / report.pgbench_many.per_second
    table = Table(
        "debits a second",
        "figure",
        "p99",
        "to reach",
        title="tollgate bench wallet",
        title_justify="left",
    )
    for label, per_second, p99_ms, reach in _rows(report):
        table.add_row(
            label, f"{per_second:,.0f}", "" if p99_ms is None else f"{p99_ms:.1f} ms", reach
        )
    for what, ratio, reach in (
        ("one wallet, 100 callers, to pgbench's best", ours.per_second / best, "6 x"),
        ("2,000 wallets to pgbench", many, "2 x"),
        ("lists of 1,000 to pgbench's best", report.list_per_second / best, "12 x"),
        ("HTTP to pgbench's best", report.http.per_second / best, "1 x"),
        (
            "HTTP to an empty route",
            report.http.per_second / report.empty_route.per_second,
            "0.7 x",
        ),
        ("one alone to pgbench's, in time", alone, "at most 2 x"),
    ):
        table.add_row(what, f"{ratio:.2f} x", "", reach)
    table.add_row("certify", "holds" if report.certified else "broken", "", "holds")
    return table
