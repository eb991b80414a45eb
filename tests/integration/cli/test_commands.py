"""The commands that need a database, as a shell runs them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import psycopg
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncEngine

from cli.certification import prove
from db.audit import certify
from db.events import log
from db.tables.billing import payments
from db.wallet import seals
from domain.events.catalogue import EventType
from runtime.migrations import known_revisions
from tests import builders

NO_DATABASE = "postgresql://nobody@127.0.0.1:1/none"


def tollgate(
    *arguments: str,
    database_url: str = "",
    environment: dict[str, str] | None = None,
    typed: str = "",
) -> subprocess.CompletedProcess[str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("TOLLGATE_", "TEMPORAL_"))
    }
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments],
        capture_output=True,
        input=typed,
        text=True,
        timeout=60,
        check=False,
        env={**kept, "TOLLGATE_DATABASE_URL": database_url, **(environment or {})},
    )


async def book_a_topup_without_its_credit(engine: AsyncEngine) -> None:
    payment_id = f"CAP-{uuid4()}"
    paid = {
        "provider": "paypal",
        "payment_id": payment_id,
        "reference_id": "never booked",
        "amount_micros": 1_000_000,
        "currency": "USD",
    }
    async with engine.begin() as conn:
        await log.append(conn, EventType.TOPUP_PAID, builders.ORGANIZATION, paid)
        await conn.execute(
            insert(payments).values(
                organization_id=builders.ORGANIZATION,
                provider="paypal",
                object_id=payment_id,
                kind="topup",
                amount_micros=1_000_000,
                currency="USD",
                reference_id="never booked",
                occurred_at=builders.NOON,
            )
        )


async def test_certify_says_that_all_guarantees_hold(
    engine: AsyncEngine, database_url: str
) -> None:
    await builders.onboard(engine)

    done = tollgate("certify", database_url=database_url)

    assert done.returncode == 0, done.stderr
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert lines[-1] == "all guarantees hold"
    for number in range(1, 8):
        assert any(line.startswith(f"✓   {number}  ") for line in lines), done.stdout


async def test_certify_new_examines_everything_only_the_first_time(
    engine: AsyncEngine, database_url: str
) -> None:
    await builders.onboard(engine)
    async with engine.begin() as conn:
        await seals.seal(conn)

    first = tollgate("certify", "--new", "--json", database_url=database_url)
    second = tollgate("certify", "--new", "--json", database_url=database_url)
    shared = tollgate("certify", "--connections", "2", "--json", database_url=database_url)
    both = tollgate("certify", "--connections", "2", "--new", database_url=database_url)

    assert [done.returncode for done in (first, second, shared, both)] == [0, 0, 0, 2]
    assert "examining everything" in first.stderr
    assert "examining everything" not in second.stderr
    everything, new, of_two = (
        [
            check["examined"]
            for of in json.loads(done.stdout)["guarantees"]
            for check in of["checks"]
        ]
        for done in (first, second, shared)
    )
    assert sum(new) < sum(everything) == sum(of_two) - 2  # with two checkpoints


async def test_certify_names_what_fails_and_ends_with_1(
    engine: AsyncEngine, database_url: str
) -> None:
    await builders.onboard(engine)
    await book_a_topup_without_its_credit(engine)

    done = tollgate("certify", database_url=database_url)

    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].strip() == "FAILED: 4 (No duplicate charge)"


async def test_certify_as_json_has_every_figure(engine: AsyncEngine, database_url: str) -> None:
    await builders.onboard(engine)
    await book_a_topup_without_its_credit(engine)

    done = tollgate("certify", "--json", database_url=database_url)

    document = json.loads(done.stdout)
    assert done.returncode == 1
    assert document["holds"] is False
    assert [
        guarantee["guarantee"] for guarantee in document["guarantees"] if not guarantee["holds"]
    ] == [4]
    checks = {
        check["check"]: check
        for guarantee in document["guarantees"]
        for check in guarantee["checks"]
    }
    assert checks["top-ups without exactly one credit of their amount"]["broken"] == 1
    assert checks["wallets with a negative balance"] == {
        "check": "wallets with a negative balance",
        "examined": 1,
        "broken": 0,
        "first": None,
    }
    assert document["unsealed"]["entries"] == 1


async def test_certify_shows_its_progress_and_takes_a_reader_that_leaves(
    engine: AsyncEngine, database_url: str
) -> None:
    await builders.onboard(engine)
    seen = []

    await certify.examine(engine, progress=lambda *at: seen.append(at))
    left = subprocess.run(  # noqa: ASYNC221 - nothing else runs meanwhile
        ["bash", "-c", f"set -o pipefail; {sys.executable} -m cli.main certify | true"],
        env={**os.environ, "TOLLGATE_DATABASE_URL": database_url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert [(done, of) for done, of, _ in seen] == [
        (n, len(certify.CHECKS)) for n in range(len(certify.CHECKS))
    ]
    assert (left.returncode, left.stderr) == (141, "")


async def test_postings_during_certify_are_in_none_of_its_figures(
    engine: AsyncEngine, database_url: str
) -> None:
    await builders.onboard(engine)
    insert_entry = (
        "INSERT INTO ledger_entries (organization_id, seq, kind, amount_micros, "
        "balance_after_micros, reference_id)"
        " SELECT organization_id, entries + 1, 'credit', 1, balance_micros + 1, 'meanwhile' FROM "
        "wallets;"
        " UPDATE wallets SET entries = entries + 1, balance_micros = balance_micros + 1"
    )

    def book(done: int, _of: int, _claim: str) -> None:
        if done == 1:
            with psycopg.connect(database_url.replace("+psycopg", "")) as connection:
                connection.execute(insert_entry)

    async with certify.snapshot(engine) as conn:
        findings, tail = await prove(conn, None, book)

    assert all(finding.holds for finding in findings)
    assert tail.entries == 1
    async with engine.connect() as conn:
        assert (await seals.unsealed(conn)).entries == 2


def test_a_key_needs_a_name_and_a_scope_that_there_is(database_url: str) -> None:
    nameless = tollgate("keys", "create", "--name", " ", database_url=database_url)
    unknown = tollgate(
        "keys", "create", "--name", "x", "--scope", "admin", database_url=database_url
    )

    assert (nameless.returncode, unknown.returncode) == (2, 2)
    assert "Invalid value for '--name': is empty" in nameless.stderr
    assert (
        "Invalid value for '--scope': 'admin' is not one of 'read', 'write', 'operator'."
        in unknown.stderr
    )


async def test_explain_tells_in_sentences_first(engine: AsyncEngine, database_url: str) -> None:
    await builders.onboard(engine, balance="0")
    await builders.subscribe(engine)

    done = tollgate("explain", builders.ORGANIZATION, database_url=database_url)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "acme is active, but cannot send now."
    assert "The wallet holds 0.00 USD" in done.stdout


def test_explain_of_an_unknown_organization_ends_with_1(database_url: str) -> None:
    done = tollgate("explain", "nobody", database_url=database_url)

    assert done.returncode == 1
    assert done.stderr.strip() == "there is no organization nobody"


def test_a_key_is_printed_once_alone_listed_and_revoked(database_url: str) -> None:
    process = tollgate(
        "keys", "create", "--scope", "operator", "--name", "runbook", database_url=database_url
    )
    [plain] = process.stdout.split()
    key_id = next(word for word in process.stderr.split() if word.startswith("key_"))
    listed = tollgate("keys", "list", database_url=database_url)

    assert plain.startswith("tg_")
    assert key_id in listed.stdout
    assert "operator" in listed.stdout
    assert plain not in listed.stdout
    assert tollgate("keys", "revoke", key_id, database_url=database_url).returncode == 0
    assert tollgate("keys", "revoke", key_id, database_url=database_url).returncode == 1


def test_migrating_twice_changes_nothing(database_url: str) -> None:
    for _ in range(2):
        done = tollgate("migrate", database_url=database_url)

        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == f"the schema is at {known_revisions()[-1]}"


def test_a_worker_without_its_settings_names_what_is_missing() -> None:
    done = tollgate("worker")

    assert done.returncode == 2
    assert "TOLLGATE_PAYPAL_CLIENT_ID is not set" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_api_without_its_settings_ends_with_2() -> None:
    done = tollgate("api", "--port", "0")

    assert done.returncode == 2
    assert "TOLLGATE_PAYPAL_CLIENT_ID is not set" in done.stderr


def test_a_queue_that_does_not_exist_is_refused() -> None:
    done = tollgate("worker", "--queues", "lifecycle,campaign")

    assert done.returncode == 2
    assert "'campaign' is not one of lifecycle, campaigns" in done.stderr


def test_an_address_for_metrics_that_is_none_is_refused() -> None:
    done = tollgate("worker", "--metrics", "nonsense")

    assert done.returncode == 2
    assert "invalid socket address" in done.stderr


def test_a_database_that_does_not_answer_is_one_line() -> None:
    done = tollgate("certify", database_url=NO_DATABASE)

    assert done.returncode == 69
    assert len(done.stderr.strip().splitlines()) == 1
    assert "does not answer" in done.stderr


def test_the_worker_script_passes_its_queues_on() -> None:
    script = Path(__file__).parents[3] / "worker.py"
    done = subprocess.run(
        [sys.executable, str(script), "nonsense"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 2
    assert "'nonsense' is not one of" in done.stderr


async def test_a_cohort_is_paused_resumed_and_shown_without_a_provider(
    engine: AsyncEngine, database_url: str
) -> None:
    await builders.onboard(engine)

    paused = tollgate("switch-customers", "--to", "stripe", "--pause", database_url=database_url)
    shown = tollgate("switch-customers", "--to", "stripe", "--status", database_url=database_url)
    resumed = tollgate("switch-customers", "--to", "stripe", "--resume", database_url=database_url)

    assert paused.returncode == shown.returncode == resumed.returncode == 0, paused.stderr
    assert "0 of 0 finished switches failed (0.0%); PAUSED: paused by an operator" in shown.stdout
    assert "not paused" in resumed.stdout


def test_a_cohort_says_what_it_lacks() -> None:
    nothing = tollgate("switch-customers", "--to", "stripe", database_url=NO_DATABASE)
    no_plan = tollgate(
        "switch-customers", "--to", "stripe", "--cohort", "5%", database_url=NO_DATABASE
    )
    too_much = tollgate(
        *("switch-customers", "--to", "stripe", "--cohort", "500%", "--plan", "p"),
        *("--return-url", "https://a.test", "--cancel-url", "https://a.test"),
        database_url=NO_DATABASE,
    )
    no_address = tollgate(
        *("switch-customers", "--to", "stripe", "--cohort", "5%", "--plan", "p"),
        *("--return-url", "a.test/moved", "--cancel-url", "https://a.test"),
        database_url=NO_DATABASE,
    )

    assert (nothing.returncode, no_plan.returncode, too_much.returncode, no_address.returncode) == (
        2,
        2,
        2,
        2,
    )
    assert no_address.stderr.startswith("--return-url: ")
    assert nothing.stderr.strip() == "pass --cohort, --status, --pause or --resume"
    assert "--plan" in no_plan.stderr
    assert "500%" in too_much.stderr


def test_reconcile_says_what_is_missing() -> None:
    done = tollgate("reconcile", database_url=NO_DATABASE)

    assert done.returncode == 2
    assert "TOLLGATE_PAYPAL_CLIENT_ID is not set" in done.stderr


async def test_a_witness_file_knows_what_the_database_was_made_to_forget(
    engine: AsyncEngine, database_url: str, tmp_path: Path
) -> None:
    witness = tmp_path / "witness.jsonl"
    await builders.onboard(engine)
    async with engine.begin() as conn:
        await seals.seal(conn)
    first = tollgate("certify", "--witness", str(witness), database_url=database_url)
    again = tollgate("certify", "--witness", str(witness), database_url=database_url)
    lines = witness.read_text("utf-8").splitlines()
    async with engine.begin() as conn:  # every seal, made again
        await conn.execute(text("SET LOCAL session_replication_role = replica"))
        for statement in (
            "UPDATE ledger_entries SET description = 'rewritten'",
            "DELETE FROM ledger_seals",
            "DELETE FROM ledger_heads",
            "DELETE FROM checkpoints",
        ):
            await conn.execute(text(statement))
        await seals.seal(conn)

    blind = tollgate("certify", database_url=database_url)
    seen = tollgate("certify", "--json", "--witness", str(witness), database_url=database_url)

    assert (first.returncode, again.returncode, len(lines)) == (0, 0, 1), first.stderr
    assert blind.returncode == 0
    assert seen.returncode == 1
    [broken] = [
        check
        for of in json.loads(seen.stdout)["guarantees"]
        for check in of["checks"]
        if check["broken"]
    ]
    assert broken["check"] == "links that the witness file has and the database does not"
    assert broken["first"].startswith("link 1, noted at ")
    assert witness.read_text("utf-8").splitlines() == lines


async def test_a_file_that_is_no_witness_file_is_not_added_to(
    database_url: str, tmp_path: Path
) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("remember the milk\n", "utf-8")

    done = tollgate("certify", "--witness", str(other), database_url=database_url)

    assert done.returncode == 2
    assert done.stderr.strip() == f"{other}, line 1: not a line of a witness file"
    assert other.read_text("utf-8") == "remember the milk\n"
