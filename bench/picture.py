"""The wallet benchmark as a chart, with the machine, PostgreSQL's settings and the date."""

import os
import platform
from datetime import date
from pathlib import Path

from bench.wallet import Report

OURS, OTHERS = "#1f6f8b", "#b0b7bd"


def draw(report: Report, directory: Path, today: date) -> list[Path]:
    """Write `bench-wallet.svg` and `.png`. Raises `ImportError` where matplotlib is not
    installed.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - only who draws needs it

    figures = report.as_json()
    bars = [
        ("SQLAlchemy, SERIALIZABLE with retries", figures["serializable_100"], OTHERS),
        ("SQLAlchemy, row lock", figures["row_lock_100"], OTHERS),
        ("pgbench, our statements one by one", figures["pgbench"]["100"], OTHERS),
        (
            "pgbench, 8 clients (its best)"
            if figures["pgbench"]["8"] == max(figures["pgbench"].values())
            else "pgbench, 8 clients",
            figures["pgbench"]["8"],
            OTHERS,
        ),
        ("pgbench, 2,000 wallets", figures["pgbench_many_wallets_100"], OTHERS),
        ("Tollgate, over HTTP", figures["http_100"], OURS),
        ("Tollgate, 2,000 wallets", figures["many_wallets_100"], OURS),
        ("Tollgate, one wallet", figures["one_wallet"]["100"], OURS),
        ("Tollgate, lists of 1,000", figures["list_1000"], OURS),
    ]
    figure = Figure(figsize=(9, 4.8), layout="constrained")
    axes = figure.subplots()
    axes.barh(
        [name for name, _, _ in bars],
        [height for _, height, _ in bars],
        color=[color for _, _, color in bars],
    )
    for place, (_, height, _) in enumerate(bars):
        axes.text(height, place, f" {height:,}", va="center", fontsize=9)
    axes.set_xlabel("debits a second, 100 callers, every one committed")
    axes.margins(x=0.12)
    axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle("One wallet, a hundred callers", fontsize=12)
    figure.text(0.01, -0.05, _conditions(report, today), fontsize=7, color="#555555")
    written = [directory / f"bench-wallet.{form}" for form in ("svg", "png")]
    for path in written:
        figure.savefig(
            path,
            dpi=144,
            bbox_inches="tight",
            metadata={"Date": None} if path.suffix == ".svg" else None,
        )
    return written


def _conditions(report: Report, today: date) -> str:
    settings = ", ".join(f"{name} {value}" for name, value in report.settings.items())
    cores = os.cpu_count()
    return (
        f"{today}, {cores} cores, {platform.system()} {platform.machine()}, "
        f"everything on them. PostgreSQL: {settings}"
    )
