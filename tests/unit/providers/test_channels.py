"""Which URLs people may be told by: none that acts on this machine, reads its files or names an
address inside.
"""

import inspect
import re
from typing import Any

import pytest
from apprise.manager_plugins import NotificationManager

from providers.channels import LOCAL, ChannelRefused, Channels
from providers.outbound.addresses import network

ACTS_HERE = re.compile(
    r"^\s*(?:import|from) (?:subprocess|ctypes|dbus|gi|syslog|win32\w*|hid|Foundation)\b"
    r"|\bsubprocess\.|\bPopen\(|\bos\.system\(|\bAF_UNIX\b|\bpty\.",
    re.MULTILINE,
)
READS_FILES = re.compile(r"keyfile|pem_keyfile")


def check(url: str, *listed: str) -> str:
    channels = Channels([network(each) for each in listed])
    try:
        return channels.check(url)
    finally:
        channels.close()


@pytest.mark.parametrize(
    ("url", "scheme"),
    [
        ("mailtos://jo:secret@gmail.com", "mailtos"),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#ops", "slack"),
        ("workflow://prod-1.logic.azure.com:443/flow/signature", "workflow"),
        ("pagerduty://integrationkey@apikey", "pagerduty"),
        ("opsgenie://a-b-c-d", "opsgenie"),
        ("ntfys://ntfy.example.com/alerts", "ntfys"),
        ("ntfy://topic", "ntfy"),
        ("tgram://123456789:abcdefg_hijklmnop/12315544/", "tgram"),
        ("JSONS://ops.example.com/alerts", "jsons"),
    ],
)
def test_the_channels_of_operators_are_accepted(url: str, scheme: str) -> None:
    assert check(url) == scheme


@pytest.mark.parametrize(
    "url",
    [
        *(f"{scheme}://x" for scheme in sorted(LOCAL)),
        *("file:///etc/passwd", "exec://ls", "", "ops", "://x", "nothing://x", "json://"),
        "json://127.0.0.1/secret-path",
        "json://10.0.0.1/secret-path",
        "jsons://169.254.169.254/latest/secret-path",
        "json://[::1]/secret-path",
        "ntfy://192.168.1.1/secret-path",
        "mailto://jo:secret-path@example.com?smtp=10.0.0.1",
        "mailtos://jo:secret-path@example.com?pgpkey=/etc/passwd",
        "workflow://example.com/secret-path/sig?template=/etc/passwd",
        "workflow://example.com/secret-path/sig?template=passwd",
        "json://example.com/" + "x" * 2000,
    ],
)
def test_what_is_refused_does_not_repeat_its_secrets(url: str) -> None:
    with pytest.raises(ChannelRefused) as refused:
        check(url)

    assert "secret-path" not in str(refused.value)


def test_an_operator_may_list_a_network() -> None:
    assert check("ntfy://10.1.2.3/alerts", "10.1.0.0/16") == "ntfy"


def test_every_plugin_that_acts_on_this_machine_is_refused() -> None:
    """Also one that a later version of Apprise adds."""
    plugins: Any = NotificationManager()  # type: ignore[no-untyped-call]  # it has no annotation
    acting = {
        schema
        for schema in plugins.schemas()
        if ACTS_HERE.search(inspect.getsource(inspect.getmodule(plugins[schema])))  # type: ignore[arg-type]  # it has one
    }

    assert acting <= LOCAL
    assert {"dbus", "macosx", "syslog", "windows", "gnome"} <= acting
