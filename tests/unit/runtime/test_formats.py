"""Each wrong setting is named in one line, with its problem but never with its value."""

import os
from base64 import b64encode
from pathlib import Path

import httpx
import pytest
from sqlalchemy.engine import make_url

from providers.paypal.certificates import Certificates
from providers.paypal.chains import Trust
from runtime import environment
from runtime.settings import BadSettings, PayPal, Settings, load

SECRET = "hunter2"
RIGHT = {
    "TOLLGATE_DATABASE_URL": f"postgresql://app:{SECRET}@db:5432/tollgate",
    "TOLLGATE_PUBLIC_URL": "https://tollgate.example.com",
    "TOLLGATE_PAYPAL_CLIENT_ID": "client",
    "TOLLGATE_PAYPAL_CLIENT_SECRET": SECRET,
    "TOLLGATE_PAYPAL_WEBHOOK_IDS": "WH-1",
    "TOLLGATE_STRIPE_API_KEY": f"sk_test_{SECRET}",
    "TOLLGATE_STRIPE_WEBHOOK_SECRETS": f"whsec_{SECRET}",
    "TOLLGATE_TWILIO_ACCOUNT_SID": "AC0123456789abcdef0123456789abcdef",
    "TOLLGATE_TWILIO_AUTH_TOKEN": SECRET,
    "TEMPORAL_ADDRESS": "temporal:7233",
}
HTTP = "must start with https:// (http:// is for this machine alone)"
SEVERAL_HOSTS = (
    "has an invalid list of hosts (postgresql://user:password@host1:5432,host2:5432/name)"
)
TO_WRITE = "its target_session_attrs must be read-write or primary: Tollgate writes to the database"
LINES = [
    (
        "DATABASE_URL",
        "postgresql://app@db/x?sslmode=verify-full&sslrootcert=/nowhere/ca.pem",
        "its sslrootcert must be a file that can be read, or system",
    ),
    ("DATABASE_URL", "mysql://app@db/x", "must be a postgresql:// URL"),
    (
        "DATABASE_PASSWORD_COMMAND",
        "/nowhere/token --for db",
        "must begin with a program that can be run",
    ),
    ("DATABASE_PASSWORD_COMMAND", "cat 'x", "must begin with a program that can be run"),
    (
        "DATABASE_URL",
        "postgresql:///tollgate",
        "names no host (for a socket: postgresql:///name?host=/directory)",
    ),
    (
        "DATABASE_URL",
        "postgresql://app@db",
        "names no database (postgresql://user:password@host/name)",
    ),
    (
        "DATABASE_URL",
        "postgresql://app:p/w@db/x",
        "cannot be read (in a password, write / as %2F, # as %23, ? as %3F, @ as %40)",
    ),
    (
        "DATABASE_URL",
        "postgresql://app@db/x\n",
        "has a space or a line break at its beginning or end",
    ),
    ("DATABASE_URL", "postgresql://app@db1,/x", SEVERAL_HOSTS),
    ("DATABASE_URL", "postgresql://app@db1:5432,db2:port/x", SEVERAL_HOSTS),
    ("DATABASE_URL", "postgresql://app@db1,db2:99999/x", SEVERAL_HOSTS),
    ("DATABASE_URL", "postgresql://app@db1:5432,[::1/x", SEVERAL_HOSTS),
    ("DATABASE_URL", "postgresql://app@db1,db2/x?host=db3", SEVERAL_HOSTS),
    (
        "DATABASE_URL",
        "postgresql://app@db1,db2/",
        "names no database (postgresql://user:password@host/name)",
    ),
    ("DATABASE_URL", "postgresql://app@db1,db2/x?target_session_attrs=any", TO_WRITE),
    ("DATABASE_URL", "postgresql://app@/x?host=db1,db2&target_session_attrs=standby", TO_WRITE),
    ("DATABASE_URL", "postgresql://app@db/x?target_session_attrs=read-only", TO_WRITE),
    ("PUBLIC_URL", "tollgate.example.com", "must start with https:// or http://"),
    ("PUBLIC_URL", "ftp://tollgate.example.com", "must start with https:// or http://"),
    ("PUBLIC_URL", "https://", "names no host"),
    ("PUBLIC_URL", "https:///webhooks", "names no host"),
    (
        "PUBLIC_URL",
        "https://t.example.com?x=1",
        "must be a scheme, a host and at most a path: no user, no ? and no #",
    ),
    (
        "PUBLIC_URL",
        "https://u:p@t.example.com",
        "must be a scheme, a host and at most a path: no user, no ? and no #",
    ),
    ("PUBLIC_URL", "https://t.example.com:port", "its host or its port cannot be read"),
    ("PUBLIC_URL", "https://[::1", "its host or its port cannot be read"),
    ("PUBLIC_URL", "http://tollgate.example.com", HTTP),
    ("PUBLIC_URL", "http://192.168.1.5:8000", HTTP),
    ("PUBLIC_URL", "http://localhost.example.com", HTTP),
    ("PAYPAL_BASE_URL", "http://api-m.paypal.com", HTTP),
    ("STRIPE_BASE_URL", "http://api.stripe.com", HTTP),
    ("TWILIO_BASE_URL", "http://api.twilio.com", HTTP),
    ("PUBLIC_URL", f"https://{'a' * 64}.example.com", "its host or its port cannot be read"),
    ("PAYPAL_CERT_ORIGINS", "https://api.paypal.com,http://api.paypal.com", HTTP),
    (
        "PAYPAL_CERT_ORIGINS",
        "https://api.paypal.com/v1",
        "must be a scheme and a host, and a port where needed",
    ),
    (
        "PAYPAL_CERT_ORIGINS",
        "https://api_m.paypal.com",
        "must be a scheme and a host, and a port where needed",
    ),
    ("DB_POOL_SIZE", "-3", "must be at least 1"),
    ("DB_POOL_SIZE", "many", "must be a whole number"),
    ("MAX_BODY_BYTES", "1.5", "must be a whole number"),
    ("GRACE_PERIOD", "-P1D", "must be at least 0 seconds"),
    ("GRACE_PERIOD", "3", "must be a duration with its unit, such as P3D, PT6H or PT90S"),
    ("GRACE_PERIOD", "P9999D", "must be at most 365 days"),
    ("LOG_LEVEL", "loud", "must be one of 'debug', 'info', 'warning' or 'error'"),
    ("PAYPAL_VERIFY_ONLINE_FALLBACK", "maybe", "must be true or false"),
    ("PAYPAL_CLIENT_SECRET", " \t", "is empty"),
    ("PAYPAL_CLIENT_SECRET", f"{SECRET}\n", "has a space or a line break at its beginning or end"),
    (
        "PAYPAL_CLIENT_SECRET",
        f'"{SECRET}"',
        "has quotes around it, which would become part of it",
    ),
    (
        "PAYPAL_CLIENT_SECRET",
        f"{SECRET} {SECRET}",
        "contains a character that it cannot have, such as a space",
    ),
    (
        "PAYPAL_CLIENT_SECRET",
        f"{SECRET}\u2026x",
        "contains a character that it cannot have, such as a space",
    ),
    (
        "STRIPE_API_KEY",
        "pk_test_1",
        "is a publishable key: a secret key (sk_...) or a restricted one (rk_...) is needed",
    ),
    (
        "STRIPE_API_KEY",
        "whsec_1",
        (
            "is a webhook's signing secret: a secret key (sk_...) or a restricted one (rk_...) is "
            "needed"
        ),
    ),
    ("STRIPE_API_KEY", "sk_1", "must start with sk_live_, sk_test_, rk_live_ or rk_test_"),
    ("STRIPE_WEBHOOK_SECRETS", "whsec_1,sk_test_2", "each must start with whsec_"),
    ("STRIPE_WEBHOOK_SECRETS", "sk_test_2,sk_test_3", "each must start with whsec_"),
    ("STRIPE_ACCOUNT", "1234", "must start with acct_"),
    (
        "TWILIO_ACCOUNT_SID",
        "SK0123456789abcdef0123456789abcdef",
        "is an API key's SID (SK...): the account's own is needed (AC...)",
    ),
    ("TWILIO_ACCOUNT_SID", "AC123", "must be AC and 32 hexadecimal digits"),
    (
        "TWILIO_AUTH_TOKEN",
        "AC0123456789abcdef0123456789abcdef",
        "is a SID: the account's auth token is needed",
    ),
    ("PAYLOAD_KEYS", "@/nowhere/keys", "/nowhere/keys cannot be read"),
    ("PAYLOAD_KEYS", "@/dev/null", "/dev/null has no key"),
    (
        "SECRET_KEYS",
        "clear",
        "a stored secret is always encrypted: the word clear is no key",
    ),
    (
        "OUTBOUND_NETWORKS",
        "10.1.0.0/16,10.1.0.1/16",
        "each must be a network or an address, such as 10.1.0.0/16",
    ),
    (
        "TWILIO_FURTHER_ACCOUNTS",
        f"AC{'1' * 32}",
        "must be an account's SID, a colon and its auth token",
    ),
    ("TWILIO_FURTHER_ACCOUNTS", "AC1:token", "must be AC and 32 hexadecimal digits"),
    (
        "TWILIO_FURTHER_ACCOUNTS",
        f"AC{'1' * 32}:",
        "must be an account's SID, a colon and its auth token",
    ),
    (
        "TWILIO_FURTHER_ACCOUNTS",
        f"AC{'1' * 32}:one,AC{'1' * 32}:two",
        "names an account twice",
    ),
    ("PAYPAL_CA_FILE", "/nowhere.pem", "/nowhere.pem cannot be read: No such file or directory"),
    ("PAYPAL_CA_FILE", "/", "/ cannot be read: Is a directory"),
    ("PAYPAL_CA_FILE", __file__, f"{__file__} contains no certificate in PEM format"),
]


@pytest.fixture(autouse=True)
def _right(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("TOLLGATE_", "TEMPORAL_")):
            monkeypatch.delenv(name)
    for name, value in RIGHT.items():
        monkeypatch.setenv(name, value)


def line() -> str:
    with pytest.raises(BadSettings) as refusal:
        environment.read()
    return str(refusal.value)


def test_payload_keys_may_be_in_a_file_one_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [
        f"{name}:{b64encode(bytes([number] * 32)).decode()}" for number, name in enumerate("ab")
    ]
    file = tmp_path / "keys"
    file.write_text("\n".join(keys) + "\n")
    monkeypatch.setenv("TOLLGATE_PAYLOAD_KEYS", f"@{file}")

    read = load(Settings).payload_keys

    assert [key.get_secret_value() for key in read] == keys


def test_the_first_parent_account_is_not_named_again(monkeypatch: pytest.MonkeyPatch) -> None:
    again = f"{RIGHT['TOLLGATE_TWILIO_ACCOUNT_SID']}:other"
    monkeypatch.setenv("TOLLGATE_TWILIO_FURTHER_ACCOUNTS", again)

    assert line() == "TOLLGATE_TWILIO_FURTHER_ACCOUNTS names TOLLGATE_TWILIO_ACCOUNT_SID again"


def test_what_is_right_is_taken() -> None:
    assert environment.read().twilio.account_sid == RIGHT["TOLLGATE_TWILIO_ACCOUNT_SID"]


@pytest.mark.parametrize(("name", "value", "problem"), LINES)
def test_an_invalid_setting_is_one_line(
    name: str, value: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"TOLLGATE_{name}", value)

    assert line() == f"TOLLGATE_{name}: {problem}"


@pytest.mark.parametrize(
    ("url", "hosts", "ports", "session"),
    [
        ("postgresql://u:p%40s@db1:5433,db2:5434/x", "db1,db2", "5433,5434", "read-write"),
        ("postgresql://u:p%40s@db1,db2:5434/x", "db1,db2", "5432,5434", "read-write"),
        ("postgres://u:p%40s@[::1]:5433,[::2]/x", "::1,::2", "5433,5432", "read-write"),
        (
            "postgresql://u:p%40s@db1,db2/x?target_session_attrs=primary",
            "db1,db2",
            "5432,5432",
            "primary",
        ),
        (
            "postgresql://u:p%40s@/x?host=db1:5433&host=db2:5434",
            "db1,db2",
            "5433,5434",
            "read-write",
        ),
        (
            "postgresql://u:p%40s@/x?host=db1,db2&port=5433,5434",
            "db1,db2",
            "5433,5434",
            "read-write",
        ),
    ],
)
def test_several_database_servers_are_tried_for_one_that_can_be_written_to(
    url: str, hosts: str, ports: str, session: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOLLGATE_DATABASE_URL", url)

    database_url = make_url(environment.read().database_url)
    _, connects = database_url.get_dialect()().create_connect_args(database_url)

    assert (connects["host"], connects["port"]) == (hosts, ports)
    assert connects["target_session_attrs"] == session
    assert (connects["user"], connects["password"], connects["dbname"]) == ("u", "p@s", "x")


@pytest.mark.parametrize("level", ["INFO", "Warning", "debug"])
def test_a_level_of_the_log_is_taken_in_any_case(
    level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOLLGATE_LOG_LEVEL", level)
    monkeypatch.setenv("TOLLGATE_LOG_FORMAT", "JSON")

    read = load(Settings)

    assert (read.log_level, read.log_format) == (level.lower(), "json")


@pytest.mark.parametrize(
    "value", ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1", "http://127.9.9.9"]
)
def test_this_machine_is_reached_by_http(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "PAYPAL_BASE_URL",
        "STRIPE_BASE_URL",
        "TWILIO_BASE_URL",
        "PUBLIC_URL",
        "PAYPAL_CERT_ORIGINS",
    ):
        monkeypatch.setenv(f"TOLLGATE_{name}", value)

    assert environment.read().settings.public_url == value


@pytest.mark.parametrize(
    "value", ["https://API.PayPal.com", "http://127.0.0.1", "http://[::1]:1", "http://127.9.9.9:1"]
)
def test_certificates_are_fetched_from_each_origin_that_is_taken(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOLLGATE_PAYPAL_CERT_ORIGINS", value)

    (origin,) = load(PayPal).cert_origins

    Certificates(httpx.AsyncClient(), Trust.load(None), [origin])
    assert origin == value.lower()


@pytest.mark.parametrize(
    "address",
    [
        "http://temporal:7233",
        "temporal",
        "temporal:port",
        "a b:7233",
        "temporal:99999",
        "[::1:7233",
        ":7233",
        "::1:7233",
    ],
)
def test_temporal_is_reached_by_a_host_and_a_port(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", address)

    assert line() == "TEMPORAL_ADDRESS: must be a host and a port, such as temporal:7233"


def test_temporal_speaks_tls_or_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_TLS", "maybe")

    assert line() == "TEMPORAL_TLS: must be true or false"


def test_everything_that_is_wrong_is_in_the_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOLLGATE_DB_POOL_SIZE", "0")
    monkeypatch.setenv("TOLLGATE_STRIPE_API_KEY", "sk_1")
    monkeypatch.delenv("TOLLGATE_PAYPAL_WEBHOOK_IDS")
    monkeypatch.delenv("TOLLGATE_TWILIO_AUTH_TOKEN")
    monkeypatch.delenv("TEMPORAL_ADDRESS")

    assert line().split("; ") == [
        "TOLLGATE_DB_POOL_SIZE: must be at least 1",
        "TOLLGATE_PAYPAL_WEBHOOK_IDS is not set",
        "TOLLGATE_STRIPE_API_KEY: must start with sk_live_, sk_test_, rk_live_ or rk_test_",
        "TOLLGATE_TWILIO_AUTH_TOKEN is not set",
        "TEMPORAL_ADDRESS is not set (`tollgate dev` starts its own servers)",
    ]


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        (
            {"STRIPE_API_KEY": "sk_live_1"},
            "TOLLGATE_STRIPE_API_KEY is a live key, and TOLLGATE_PAYPAL_BASE_URL is the sandbox",
        ),
        (
            {"STRIPE_API_KEY": "rk_test_1", "PAYPAL_BASE_URL": "https://api-m.paypal.com"},
            "TOLLGATE_STRIPE_API_KEY is a test key, and TOLLGATE_PAYPAL_BASE_URL is live",
        ),
        (
            {"PUBLIC_URL": "http://127.0.0.1:8000"},
            "TOLLGATE_PUBLIC_URL is an address of this machine alone, which Twilio cannot reach",
        ),
        (
            {"LIFECYCLE_TASK_QUEUE": "campaigns"},
            "TOLLGATE_LIFECYCLE_TASK_QUEUE and TOLLGATE_CAMPAIGN_TASK_QUEUE must differ",
        ),
    ],
)
def test_contradicting_settings_are_refused(
    changed: dict[str, str], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in changed.items():
        monkeypatch.setenv(f"TOLLGATE_{name}", value)

    assert line() == problem


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        (
            "TOLLGATE_GRACE_PERIODE",
            "TOLLGATE_GRACE_PERIODE is not a setting: did you mean TOLLGATE_GRACE_PERIOD?",
        ),
        (
            "TOLLGATE_STRIPE_KEY",
            "TOLLGATE_STRIPE_KEY is not a setting: did you mean TOLLGATE_STRIPE_API_KEY?",
        ),
        ("TOLLGATE_PORT", "TOLLGATE_PORT is not a setting"),
        ("TOLLGATE_QUOKKA_ZEBRA", "TOLLGATE_QUOKKA_ZEBRA is not a setting"),
        (
            "tollgate_grace_periode",
            "TOLLGATE_GRACE_PERIODE is not a setting: did you mean TOLLGATE_GRACE_PERIOD?",
        ),
        (
            "TOLGATE_PUBLIC_URL",
            "TOLGATE_PUBLIC_URL is not a setting: did you mean TOLLGATE_PUBLIC_URL?",
        ),
        ("TEMPORAL_ADRESS", "TEMPORAL_ADRESS is not a setting: did you mean TEMPORAL_ADDRESS?"),
    ],
)
def test_a_variable_that_nothing_reads_is_refused(
    name: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "x")

    with pytest.raises(BadSettings) as refusal:
        load(Settings)

    assert str(refusal.value).startswith(problem)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOLLGATE_API_PORT", "8000"),
        ("TOLLGATE_DB_PASSWORD", "x"),
        ("TOLLGATE_SELF_CHECK_INTERVAL", "PT6H"),
        ("TOLLGATE_GRACE_PERIODE", ""),
        ("TOLLGATE_PORT", "tcp://10.0.0.1:8000"),
        ("TOLLGATE_SERVICE_HOST", "10.0.0.1"),
        ("TOLLGATE_API_SERVICE_PORT", "8000"),
        ("TOLLGATE_API_SERVICE_PORT_HTTP", "8000"),
        ("TOLLGATE_API_PORT_8000_TCP", "tcp://10.0.0.1:8000"),
        ("TOLLGATE_API_PORT_8000_TCP_ADDR", "10.0.0.1"),
        ("TEMPORAL_FRONTEND_SERVICE_HOST", "10.0.0.1"),
        ("TEMPORAL_UI_PORT", "8080"),
        ("TERM", "xterm"),
    ],
)
def test_what_compose_kubernetes_and_others_set_is_left_alone(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)

    load(Settings)


def test_no_secret_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in RIGHT.items():
        monkeypatch.setenv(name, f" {value}")

    assert SECRET not in line()
