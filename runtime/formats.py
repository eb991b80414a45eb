"""The formats of settings, and the problems of invalid ones, in words that never repeat the value."""

import ipaddress
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, parse_qs, urlsplit

from pydantic import AfterValidator, Field, SecretStr
from pydantic_core import ErrorDetails
from pydantic_settings import NoDecode

from domain.campaigns.telephony import ACCOUNT_SID
from domain.plain_text import is_token
from providers.outbound import addresses

_ACCOUNT_SID = re.compile(ACCOUNT_SID)
_ADDRESS = re.compile(r"([^\s/@:%?#\[\]]+|\[[0-9a-fA-F:.]+\]):[0-9]{1,5}")
_HOST = re.compile(r"([^\s/@:%?#\[\]]+|\[[0-9a-fA-F:.]+\])(?::([0-9]{1,5}))?")
_API_KEY = re.compile(r"(sk|rk)_(live|test)_[A-Za-z0-9_]+")
_ORIGIN = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")
_PGSCHEMES = ("postgres", "postgresql", "postgresql+psycopg")
_WRONG_KEYS = {
    "pk_": "is a publishable key: a secret key (sk_...) or a restricted one (rk_...) is needed",
    "whsec_": "is a webhook's signing secret: a secret key (sk_...) or a restricted one (rk_...) is needed",
}
_QUOTES = "\"'`\u201c\u201d\u2018\u2019"


def is_loopback(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def is_address(text: str) -> bool:
    """Whether it is a host and a port; an IPv6 address is in brackets."""
    if not _ADDRESS.fullmatch(text):
        return False
    try:
        return bool(_split_url(f"//{text}").port)
    except ValueError:
        return False


def plain(text: str) -> str:
    """A value that was copied with a space, a line break or quotes around it would be wrong in
    every request.
    """
    if not text.strip():
        raise ValueError("is empty")
    if text != text.strip():
        raise ValueError("has a space or a line break at its beginning or end")
    if text[0] in _QUOTES or text[-1] in _QUOTES:
        raise ValueError("has quotes around it, which would become part of it")
    if not is_token(text):
        raise ValueError("contains a character that it cannot have, such as a space")
    return text


def plain_secret(secret: SecretStr) -> SecretStr:
    plain(secret.get_secret_value())
    return secret


def base_url(text: str) -> str:
    """A base URL. Secrets and signed requests go there, so http is allowed for this machine only."""
    parts = _split_url(plain(text))
    if parts.scheme not in {"http", "https"}:
        raise ValueError("must start with https:// or http://")
    if not parts.hostname:
        raise ValueError("names no host")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("must be a scheme, a host and at most a path: no user, no ? and no #")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError("must start with https:// (http:// is for this machine alone)")
    return text.rstrip("/")


def origin(text: str) -> str:
    """A scheme and a host in lower case, because requested addresses are compared with it."""
    found = base_url(text).lower()
    if not _ORIGIN.fullmatch(found):
        raise ValueError("must be a scheme and a host, and a port where needed")
    return found


def database_url(secret: SecretStr) -> SecretStr:
    """`postgres://` and `postgresql://` are accepted, too, as hosting services write them."""
    text = secret.get_secret_value()
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in _PGSCHEMES:
        raise ValueError("must be a postgresql:// URL")
    if text != text.strip():
        raise ValueError("has a space or a line break at its beginning or end")
    rest = _hosts_in_query(rest)
    try:
        parts = _split_url(f"postgresql://{rest}")
    except ValueError:
        raise ValueError(
            "cannot be read (in a password, write / as %2F, # as %23, ? as %3F, @ as %40)"
        ) from None
    if not parts.hostname and "host=" not in parts.query:
        raise ValueError("names no host (for a socket: postgresql:///name?host=/directory)")
    if not parts.path.strip("/"):
        raise ValueError("names no database (postgresql://user:password@host/name)")
    for name in parse_qs(parts.query).get("sslrootcert", []):
        if name != "system" and not Path(name).is_file():
            raise ValueError("its sslrootcert must be a file that can be read, or system")
    return SecretStr(f"postgresql+psycopg://{_to_write(rest, parse_qs(parts.query))}")


def _hosts_in_query(rest: str) -> str:
    """Several hosts, as libpq reads them (`host1:5432,host2`), written as SQLAlchemy reads them: in
    the query.

    https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING
    """
    netloc = re.split("[/?#]", rest, maxsplit=1)[0]
    user, at, hosts = netloc.rpartition("@")
    if "," not in hosts:
        return rest
    found = [_HOST.fullmatch(host) for host in hosts.split(",")]
    behind, _, query = rest[len(netloc) :].partition("?")
    if (
        not all(found)
        or any(int(host[2] or 1) not in range(1, 2**16) for host in found if host)
        or "host=" in query
    ):
        raise ValueError(
            "has an invalid list of hosts (postgresql://user:password@host1:5432,host2:5432/name)"
        )
    names = ",".join(host[1].strip("[]") for host in found if host)
    ports = ",".join(host[2] or "5432" for host in found if host)
    return f"{user}{at}{behind or '/'}?host={names}&port={ports}{'&' if query else ''}{query}"


def _to_write(rest: str, query: Mapping[str, Sequence[str]]) -> str:
    """Of several servers, use the writable one. On a standby every debit would fail."""
    session = query.get("target_session_attrs", [])
    if any(wanted not in {"read-write", "primary"} for wanted in session):
        raise ValueError(
            "its target_session_attrs must be read-write or primary: Tollgate writes to the "
            "database"
        )
    several = len(query.get("host", [])) > 1 or any("," in host for host in query.get("host", []))
    return f"{rest}&target_session_attrs=read-write" if several and not session else rest


def stripe_api_key(secret: SecretStr) -> SecretStr:
    """https://docs.stripe.com/keys: secret and restricted keys, of live or of test mode (a
    sandbox's is a test key).
    """
    text = plain_secret(secret).get_secret_value()
    for prefix, wrong in _WRONG_KEYS.items():
        if text.startswith(prefix):
            raise ValueError(wrong)
    if not _API_KEY.fullmatch(text):
        raise ValueError("must start with sk_live_, sk_test_, rk_live_ or rk_test_")
    return secret


def stripe_webhook_secret(secret: SecretStr) -> SecretStr:
    """https://docs.stripe.com/webhooks/signature"""
    if not plain_secret(secret).get_secret_value().startswith("whsec_"):
        raise ValueError("each must start with whsec_")
    return secret


def stripe_account(text: str) -> str:
    if not plain(text).startswith("acct_"):
        raise ValueError("must start with acct_")
    return text


def twilio_account_sid(text: str) -> str:
    """https://www.twilio.com/docs/glossary/what-is-a-sid: two letters and 32 hexadecimal digits."""
    if plain(text).startswith("SK"):
        raise ValueError("is an API key's SID (SK...): the account's own is needed (AC...)")
    if not _ACCOUNT_SID.fullmatch(text):
        raise ValueError("must be AC and 32 hexadecimal digits")
    return text


def twilio_auth_token(secret: SecretStr) -> SecretStr:
    if re.fullmatch(r"(AC|SK)[0-9a-f]{32}", plain_secret(secret).get_secret_value()):
        raise ValueError("is a SID: the account's auth token is needed")
    return secret


def certificate_file(path: Path) -> Path:
    """A PEM file with at least one certificate."""
    from cryptography import x509  # noqa: PLC0415 - few processes have such a file, and it takes a moment

    try:
        found = path.read_bytes()
    except OSError as problem:
        raise ValueError(f"{path} cannot be read: {problem.strerror}") from None
    try:
        # some public roots are older than today's rules
        with warnings.catch_warnings(action="ignore"):
            x509.load_pem_x509_certificates(found)
    except ValueError:
        raise ValueError(f"{path} contains no certificate in PEM format") from None
    return path


def network(text: str) -> str:
    try:
        addresses.network(text)
    except ValueError:
        raise ValueError("each must be a network or an address, such as 10.1.0.0/16") from None
    return text


def lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def split(value: object) -> object:
    return (
        tuple(part.strip() for part in value.split(",") if part.strip())
        if isinstance(value, str)
        else value
    )


def all_in_words(prefix: str, errors: Sequence[ErrorDetails]) -> list[str]:
    """Each problem once. A list whose parts are all wrong does not count as unset."""
    wrong = {error["loc"][:1] for error in errors if error["type"] != "too_short"}
    problems = [
        in_words(prefix, error)
        for error in errors
        if error["type"] != "too_short" or error["loc"] not in wrong
    ]
    return list(dict.fromkeys(problems))


def in_words(prefix: str, error: ErrorDetails) -> str:
    """One problem of one variable; never its value."""
    name = f"{prefix}{error['loc'][0]}".upper() if error["loc"] else prefix
    if error["type"] in {"missing", "too_short", "string_too_short"}:
        return f"{name} is not set"
    ctx = error.get("ctx", {})
    match error["type"]:
        case "int_parsing" | "int_type" | "int_from_float" | "int_parsing_size":
            problem = "must be a whole number"
        case "bool_parsing":
            problem = "must be true or false"
        case "time_delta_parsing" | "time_delta_type":
            problem = "must be a duration with its unit, such as P3D, PT6H or PT90S"
        case "greater_than_equal":
            problem = f"must be at least {ctx['ge']}"
        case "less_than_equal":
            problem = f"must be at most {ctx['le']}"
        case "literal_error":
            problem = f"must be one of {ctx['expected']}"
        case _:
            problem = error["msg"].removeprefix("Value error, ")
    return f"{name}: {problem}"


def _split_url(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises ValueError, too
        # as when connecting: UnicodeError, which is a ValueError
        (parts.hostname or "").encode("idna")
    except ValueError:
        raise ValueError("its host or its port cannot be read") from None
    return parts


BaseUrl = Annotated[str, AfterValidator(base_url)]
Secret = Annotated[SecretStr, AfterValidator(plain_secret)]
Identifier = Annotated[str, AfterValidator(plain)]
Names = Annotated[tuple[Identifier, ...], NoDecode, Field(min_length=1)]
Beginnings = Annotated[tuple[Identifier, ...], NoDecode]
Origins = Annotated[
    tuple[Annotated[str, AfterValidator(origin)], ...], NoDecode, Field(min_length=1)
]
Networks = Annotated[tuple[Annotated[str, AfterValidator(network)], ...], NoDecode]
DatabaseUrl = Annotated[SecretStr, AfterValidator(database_url)]
CertificateFile = Annotated[Path, AfterValidator(certificate_file)]
StripeKey = Annotated[SecretStr, AfterValidator(stripe_api_key)]
StripeAccount = Annotated[str, AfterValidator(stripe_account)]
SigningSecrets = Annotated[
    tuple[Annotated[SecretStr, AfterValidator(stripe_webhook_secret)], ...],
    NoDecode,
    Field(min_length=1),
]
AccountSid = Annotated[str, AfterValidator(twilio_account_sid)]
AuthToken = Annotated[SecretStr, AfterValidator(twilio_auth_token)]
