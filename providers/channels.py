"""Channels to people: mail, chat, pagers, each named by one URL in the form of the library Apprise.

A URL holds secrets: no error and no log line of this module contains a part of it, except its scheme.
Schemes that act on this machine or read its files are refused, and so is a host that is not public
and that no operator listed.
"""

import asyncio
import logging
import re
import socket
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import apprise

from providers.outbound.addresses import Network, may_be_called, read

LONGEST_URL = 2_000
THREADS = 8
TIMEOUT_SECONDS, SLOWEST_SECONDS = 45.0, 15.0
"""For a message, and for each connection of it and each answer, whatever the URL says."""
LOCAL = frozenset(
    {
        *("blink1", "dbus", "gio", "glib", "gnome", "kde", "macosx", "qt", "syslog", "windows"),
        *("fcm", "vapid"),  # they read a file that the URL names
    }
)
"""Schemes of Apprise that run something on this machine or read its files."""
_SCHEME = re.compile(r"([A-Za-z0-9]{2,32})://")
_STATUS = re.compile(r"error=(\d{3})\b")
_FILES = re.compile(
    r"[?&](?:keyfile|pgpkey|pgp|pem|template|attach|cert\w*|ca\w*)="
    r"(?!(?:yes|no|true|false|on|off|1|0|https://[^&]*)(?:&|$))",
    re.IGNORECASE,
)
"""Parameters whose value may be a file of this machine."""
_ASSET = apprise.AppriseAsset(
    allow_templates=False, storage_mode=apprise.PersistentStoreMode.MEMORY
)


class ChannelRefused(ValueError):
    """The URL is none that may be called; the message says why, without its secrets."""


class NotSent(Exception):
    """The message may not have arrived; the message says why, without secrets of the URL."""


def scheme_of(url: str) -> str:
    """Raises ChannelRefused."""
    found = _SCHEME.match(url)
    if found is None or len(url) > LONGEST_URL:
        raise ChannelRefused("must be a URL of Apprise, such as mailtos://… or slack://…")
    return found[1].lower()


class Channels:
    """`listed` are further networks that may be called, beside public ones."""

    def __init__(self, listed: Sequence[Network] = ()) -> None:
        self._listed = listed
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="channel")

    def check(self, url: str) -> str:
        """The scheme of a URL that may be called, as far as that can be said without looking up a
        name. Raises ChannelRefused.
        """
        scheme = scheme_of(url)
        plugin = _plugin(url, scheme)
        for host in _hosts(plugin):
            address = read(host)
            if address is not None and not may_be_called(address, self._listed):
                raise ChannelRefused("its address is not one that may be called")
        return scheme

    async def send(self, url: str, *, title: str, body: str, resolved: bool) -> None:
        """Raises NotSent."""
        sending = asyncio.get_running_loop().run_in_executor(
            self._threads, self._send, url, title, body, resolved
        )
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await sending
        except TimeoutError:
            raise NotSent("it did not answer in time") from None

    def close(self) -> None:
        """Does not wait for what hangs."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _send(self, url: str, title: str, body: str, resolved: bool) -> None:  # noqa: FBT001 - executors pass no names
        try:
            plugin = _plugin(url, self.check(url))
        except ChannelRefused as refusal:
            raise NotSent(str(refusal)) from None
        for host in _hosts(plugin):
            self._check_name(host)
        severity = apprise.NotifyType.SUCCESS if resolved else apprise.NotifyType.FAILURE
        with _Listening() as heard_by_us:
            try:
                accepted = plugin.notify(
                    body=body,
                    title=title,
                    notify_type=severity,
                    body_format=apprise.NotifyFormat.TEXT,
                )
            except Exception as problem:  # noqa: BLE001 - a plugin's, whose text may contain secrets
                raise NotSent(f"its plugin failed: {type(problem).__name__}") from None
        if not accepted:
            raise NotSent(heard_by_us.reason())

    def _check_name(self, host: str) -> None:
        """A name is looked up again by the request itself: who controls it may change it between."""
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise NotSent("its name could not be resolved") from None
        addresses = [read(str(address[0])) for *_, address in found]
        if not all(each is not None and may_be_called(each, self._listed) for each in addresses):
            raise NotSent("its address is not one that may be called")


class _Listening(logging.Handler):
    """Apprise says only in its log why it failed. From there come a status and whether there was a
    connection, nothing else: the texts may contain secrets.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._thread = threading.get_ident()
        self._texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self._texts.append(record.getMessage())

    def reason(self) -> str:
        for text in self._texts:
            status = _STATUS.search(text)
            if status is not None:
                return f"it answered with status {status[1]}"
        if any("onnection error" in text for text in self._texts):
            return "no connection could be made, or it broke off"
        return "it did not accept the message"

    def __enter__(self) -> Self:
        _LOG.disabled = False  # a library that configures logging disables what it does not know
        _LOG.setLevel(logging.WARNING)
        _LOG.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        _LOG.removeHandler(self)


_LOG = logging.getLogger("apprise")
_LOG.setLevel(logging.WARNING)
_LOG.propagate = False
_LOG.addHandler(logging.NullHandler())


def _plugin(url: str, scheme: str) -> Any:
    if scheme in LOCAL:
        raise ChannelRefused(f"{scheme} acts on this machine or reads its files")
    if _FILES.search(url):
        raise ChannelRefused("it names a file of this machine")
    try:
        plugin = apprise.Apprise.instantiate(url, asset=_ASSET)
    except Exception as problem:  # noqa: BLE001 - a plugin's, whose text may contain secrets
        raise ChannelRefused(f"Apprise cannot read it: {type(problem).__name__}") from None
    if plugin is None:
        raise ChannelRefused(f"Apprise knows no such URL of {scheme}")
    plugin.redirects = False  # to an address that was not checked
    plugin.socket_connect_timeout = min(plugin.socket_connect_timeout, SLOWEST_SECONDS)
    plugin.socket_read_timeout = min(plugin.socket_read_timeout, SLOWEST_SECONDS)
    return plugin


def _hosts(plugin: Any) -> list[str]:
    """The hosts that the URL names. Of a service with one address of its own that part of the URL
    is a token, which is not looked up.
    """
    templates = getattr(plugin, "templates", ())
    named = plugin.host if any("{host}" in template for template in templates) else None
    if getattr(plugin, "mode", None) in ("cloud", "t2bot"):
        named = None
    hosts = {getattr(plugin, "smtp_host", None) or named}
    return [host.strip("[]") for host in hosts if host]
