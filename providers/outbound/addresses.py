"""Which addresses a request may go to: public ones, and those that an operator lists.

Everything else is inside somebody's network: this machine, its neighbours, or the metadata service
of a cloud, which gives credentials to whoever can send it a request.
"""

from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NOT_PUBLIC: tuple[IPv4Network, ...] = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # carriers' NAT, and Alibaba's metadata service
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's own services, at a public address
        "169.254.0.0/16",  # link-local, and most clouds' metadata services
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
"""https://www.iana.org/assignments/iana-ipv4-special-registry/"""
_PUBLIC_V6 = IPv6Network("2000::/3")
_NOT_PUBLIC_V6: tuple[IPv6Network, ...] = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # Teredo, ORCHID, benchmarks: tunnels and protocols, no hosts
        "2001:db8::/32",
        "2002::/16",  # 6to4: names an IPv4 address
        "3fff::/20",
    )
)
"""https://www.iana.org/assignments/iana-ipv6-special-registry/

Outside of 2000::/3 are loopback, link-local, unique local, multicast, mapped IPv4 addresses and
those of NAT64.
"""


def may_be_called(address: Address, listed: Iterable[Network] = ()) -> bool:
    """`listed` are networks that an operator allows."""
    if any(address in network for network in listed):
        return True
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC)
    if address.scope_id is not None or address not in _PUBLIC_V6:
        return False
    return not any(address in network for network in _NOT_PUBLIC_V6)


def read(text: str) -> Address | None:
    """An address as it is written in full; None for anything else, such as a name."""
    try:
        return ip_address(text)
    except ValueError:
        return None


def network(text: str) -> Network:
    """A network (`10.1.0.0/16`) or one address. Raises ValueError."""
    return ip_network(text)
