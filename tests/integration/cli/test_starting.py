"""A process refuses to start, or waits, with one line on standard error, a status, and no
traceback.
"""

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from devservers.postgres import Postgres
from runtime.migrations import known_revisions, oldest_usable
from tests.builders import number, run
from tests.integration.cli.test_commands import NO_DATABASE, tollgate

SET = {
    "TOLLGATE_STRIPE_API_KEY": "sk_test_x",
    "TOLLGATE_STRIPE_WEBHOOK_SECRETS": "whsec_x",
    "TOLLGATE_STRIPE_BASE_URL": "http://127.0.0.1:1",
    "TOLLGATE_TWILIO_ACCOUNT_SID": f"AC{0:032}",
    "TOLLGATE_TWILIO_AUTH_TOKEN": "x",
    "TOLLGATE_TWILIO_BASE_URL": "http://127.0.0.1:1",
    "TEMPORAL_ADDRESS": "127.0.0.1:1",
}
COMMANDS = [
    ("api", "--port", "0"),
    ("worker",),
    ("certify",),
    ("explain", "acme"),
    ("keys", "list"),
    ("switch-customers", "--to", "stripe", "--status"),
    ("reconcile",),
]
FIRST, *_, LAST = known_revisions()


@pytest.fixture
def taken() -> Iterator[int]:
    """A port in use."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        yield listener.getsockname()[1]


def one_line(
    *arguments: str, database_url: str = "", status: int = 2, changed: dict[str, str] | None = None
) -> str:
    """The command's standard error; it must end with this status."""
    done = tollgate(*arguments, database_url=database_url, environment=SET | (changed or {}))

    assert done.returncode == status, (done.returncode, done.stderr)
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    [line] = done.stderr.strip().splitlines()
    return line


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_database_without_tables_is_refused(postgres: Postgres, command: tuple[str, ...]) -> None:
    assert one_line(*command, database_url=postgres.url("postgres")) == (
        "the database has no tables yet: run `tollgate migrate` first"
    )


SERVING = [("api", "--port", "0"), ("worker",), ("certify",)]


@pytest.mark.parametrize("command", SERVING, ids=" ".join)
async def test_a_schema_that_lacks_what_the_build_needs_is_refused(
    engine: AsyncEngine, database_url: str, command: tuple[str, ...]
) -> None:
    await run(engine, "UPDATE alembic_version SET version_num = :found", found=FIRST)

    assert one_line(*command, database_url=database_url) == (
        f"the database's schema is at {FIRST}, and this build needs {oldest_usable()}: run "
        "`tollgate migrate` first"
    )


@pytest.mark.parametrize("command", [*SERVING, ("migrate",)], ids=" ".join)
async def test_a_schema_that_no_longer_supports_the_build_is_refused(
    engine: AsyncEngine, database_url: str, command: tuple[str, ...]
) -> None:
    await run(engine, "UPDATE alembic_version SET version_num = '9999'")
    await run(engine, "UPDATE schema_support SET oldest_build = '9998'")

    assert one_line(*command, database_url=database_url) == (
        "the database's schema is at 9999, which supports builds from 9998 on, and this build is "
        f"of {LAST}: a newer build is needed"
    )


@pytest.mark.parametrize("command", [("certify",), ("keys", "list"), ("migrate",)], ids=" ".join)
async def test_the_schema_of_a_newer_build_that_supports_this_one_is_used(
    engine: AsyncEngine, database_url: str, command: tuple[str, ...]
) -> None:
    await run(engine, "UPDATE alembic_version SET version_num = '9999'")

    done = tollgate(*command, database_url=database_url, environment=SET)

    assert done.returncode == 0, done.stderr
    assert await number(engine, "SELECT count(*) FROM alembic_version WHERE version_num = '9999'")


def test_migrate_refuses_a_revision_that_it_does_not_know(database_url: str) -> None:
    line = one_line("migrate", "--revision", "zzz", database_url=database_url)

    assert line == f"--revision: there is no zzz; this build knows {FIRST} to {LAST}"


def test_migrate_says_at_which_revision_the_schema_is(database_url: str) -> None:
    done = tollgate("migrate", "--revision", FIRST, database_url=database_url)

    assert (done.returncode, done.stdout) == (0, f"the schema is at {LAST}\n")


@pytest.mark.parametrize("command", [("certify",), ("keys", "list"), ("reconcile",)], ids=" ".join)
def test_a_database_that_does_not_answer_is_tried_once(command: tuple[str, ...]) -> None:
    assert one_line(*command, database_url=NO_DATABASE, status=69) == (
        "PostgreSQL at 127.0.0.1:1 does not answer: Connection refused"
    )


def test_a_refusal_by_the_server_is_a_wrong_setting(postgres: Postgres) -> None:
    assert one_line("certify", database_url=postgres.url("nothing_like_it")) == (
        'TOLLGATE_DATABASE_URL: database "nothing_like_it" does not exist'
    )


@pytest.mark.parametrize("option", ["sslmod=require", "sslmode=nonsense"])
def test_a_wrong_option_of_the_url_is_a_wrong_setting(option: str) -> None:
    assert one_line("certify", database_url=f"{NO_DATABASE}?{option}").startswith(
        "TOLLGATE_DATABASE_URL: invalid "
    )


def test_a_port_in_use_is_refused(database_url: str, taken: int) -> None:
    line = one_line("api", "--port", str(taken), database_url=database_url)

    assert line == f"--host 127.0.0.1 --port {taken}: Address already in use"


def test_a_host_that_is_none_is_refused(database_url: str) -> None:
    assert one_line("api", "--host", "nowhere.invalid", database_url=database_url).startswith(
        "--host nowhere.invalid"
    )
    assert (
        one_line("api", "--host", "a" * 64, database_url=database_url) == "--host: not a host name"
    )


def test_a_port_for_metrics_that_is_in_use_is_refused(database_url: str, taken: int) -> None:
    done = tollgate(
        "worker", "--metrics", f"127.0.0.1:{taken}", database_url=database_url, environment=SET
    )

    assert done.returncode == 2
    assert "Address already in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_namespace_that_temporal_does_not_have_is_refused(
    database_url: str, temporal_client: Client
) -> None:
    address = temporal_client.service_client.config.target_host
    changed = {"TEMPORAL_ADDRESS": address, "TEMPORAL_NAMESPACE": "nothing-like-it"}
    line = one_line("worker", database_url=database_url, changed=changed)

    assert line == f"TEMPORAL_NAMESPACE: Temporal at {address} has no nothing-like-it"


def test_a_file_that_is_missing_is_refused(database_url: str) -> None:
    changed = {name: "" for name in SET if "STRIPE" in name} | {
        "TOLLGATE_PAYPAL_CLIENT_ID": "x",
        "TOLLGATE_PAYPAL_CLIENT_SECRET": "x",
        "TOLLGATE_PAYPAL_WEBHOOK_IDS": "x",
        "TOLLGATE_PAYPAL_CA_FILE": "/nowhere.pem",
    }

    assert one_line("api", database_url=database_url, changed=changed) == (
        "TOLLGATE_PAYPAL_CA_FILE: /nowhere.pem cannot be read: No such file or directory"
    )


def test_a_tls_file_of_temporal_that_is_missing_is_refused(database_url: str) -> None:
    line = one_line(
        "worker",
        database_url=database_url,
        changed={"TEMPORAL_TLS_CLIENT_CERT_PATH": "/nowhere.pem"},
    )

    assert line.startswith("TEMPORAL_TLS_*: ")


@pytest.mark.parametrize("name", ["TOLLGATE_CACHE_DIR", "TOLLGATE_DATA_DIR"])
def test_a_directory_that_cannot_be_written_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    line = one_line("dev", changed={"TEMPORAL_ADDRESS": "", name: str(tmp_path / "file" / "below")})

    assert line == f"{name}: {tmp_path / 'file' / 'below'} cannot be written: Not a directory"


@pytest.mark.parametrize(
    "command", [("api",), ("worker",), ("certify",), ("migrate",), ("dev",)], ids=" ".join
)
def test_every_command_refuses_a_variable_that_nothing_reads(command: tuple[str, ...]) -> None:
    line = one_line(*command, database_url=NO_DATABASE, changed={"TOLLGATE_GRACE_PERIODE": "P1D"})

    assert line == "TOLLGATE_GRACE_PERIODE is not a setting: did you mean TOLLGATE_GRACE_PERIOD?"
