"""Which URLs a request may go to. Everything that parsers understand in different ways is refused."""

import re
from dataclasses import dataclass

from providers.outbound.addresses import Address, read

LONGEST = 2_000
_DEFAULT_PORTS = {"https": 443, "http": 80}
_FIRST_FREE_PORT = 1024
_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#\\]*)"
    r"(?P<path>/[^?#\\]*)?(?P<query>\?[^#\\]*)?",
    re.ASCII,
)
_AUTHORITY = re.compile(r"(?P<host>[^:\[\]]*|\[[^\]]*\])(?P<port>:[0-9]*)?", re.ASCII)
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*", re.ASCII)
_ESCAPES = re.compile(r"%(?![0-9A-Fa-f]{2})", re.ASCII)


class Refused(ValueError):
    """The message says why, for whoever gave the URL, and nothing about what is at that address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Url:
    """`host` is a name in lower case, or an address; `target` is path and query as they are sent."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def address(self) -> Address | None:
        """If the host is an address."""
        return read(self.host)


def parse(text: str, *, http: bool = False) -> Url:
    """Read a URL that is to be called; `http` allows it without TLS. Raises Refused."""
    _check_characters(text)
    parts = _URL.fullmatch(text)
    if parts is None:
        raise Refused("must be an absolute URL: https://, a host, and perhaps a path")
    scheme = parts["scheme"].lower()
    if scheme != "https" and not (http and scheme == "http"):
        raise Refused("must start with https://")
    if "@" in parts["authority"]:
        raise Refused("must not contain a user or a password")
    authority = _AUTHORITY.fullmatch(parts["authority"])
    if authority is None or not authority["host"]:
        raise Refused("names no host")
    return Url(
        scheme=scheme,
        host=_host(authority["host"]),
        port=_port(authority["port"], scheme),
        target=(parts["path"] or "/") + (parts["query"] or ""),
    )


def _check_characters(text: str) -> None:
    if len(text) > LONGEST:
        raise Refused(f"has more than {LONGEST} characters")
    if "#" in text:
        raise Refused("must not contain a fragment (#)")
    if "\\" in text:
        raise Refused("must not contain a backslash")
    if not text.isascii():
        raise Refused("must be ASCII: write an international name as xn--, other characters as %XX")
    if not all("\x21" <= character <= "\x7e" for character in text):
        raise Refused("must not contain a space or a control character")
    if _ESCAPES.search(text):
        raise Refused("contains a % that is not followed by two hexadecimal digits")


def _host(text: str) -> str:
    if text.startswith("["):
        return _ipv6(text[1:-1])
    labels = text.removesuffix(".").split(".")
    if _NUMBER.fullmatch(labels[-1]):  # "ends in a number": WHATWG's URL standard, 3.5
        if read(text) is None:
            raise Refused("its host is a number that is not a whole IPv4 address")
        return text
    if len(text) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise Refused("its host is not a name that DNS could have")
    return text.lower()


def _ipv6(text: str) -> str:
    address = None if "%" in text else read(text)
    if address is None or address.version != 6:
        raise Refused("its host is not a whole IPv6 address without a zone")
    return str(address)


def _port(text: str | None, scheme: str) -> int:
    default = _DEFAULT_PORTS[scheme]
    if text is None:
        return default
    digits = text[1:]
    port = int(digits) if 0 < len(digits) <= 5 else 0
    if port != default and not _FIRST_FREE_PORT <= port < 65_536:
        raise Refused(f"its port must be {default}, or one from {_FIRST_FREE_PORT} to 65535")
    return port
