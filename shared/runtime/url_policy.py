"""Where a webhook may be sent: one policy for the front door (at POST) and the sender (at connect).

Pure: nothing is resolved here. The front door refuses what can be refused by looking; the
webhook worker asks `address_allowed` again for every address that it is about to connect to.
Sources: IANA's IPv4 and IPv6 special-purpose address registries (RFC 6890), RFC 6052 (NAT64),
RFC 3056 (6to4), the bad ports of the Fetch standard §2.9.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from yarl import URL

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

#: The longest URL that is taken, in characters.
MAX_URL = 2048

_REFUSED_V4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # a cloud's metadata service on a public address
        "169.254.0.0/16",  # link-local, with the metadata services
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # IETF protocol assignments
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarking
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
#: Only this part of IPv6 is given out for global unicast (RFC 4291 §2.4) …
_GLOBAL_V6 = IPv6Network("2000::/3")
#: … and these parts of it are not for everybody.
_REFUSED_V6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # IETF protocol assignments, with Teredo and ORCHID
        "2001:db8::/32",  # documentation
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")
_SIX_TO_FOUR = IPv6Network("2002::/16")

# fmt: off
#: Ports on which other protocols could be confused by a request.
_REFUSED_PORTS = frozenset({
    1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101,
    102, 103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389,
    427, 465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636,
    989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665,
    6666, 6667, 6668, 6669, 6679, 6697, 10080,
})
# fmt: on

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
#: What some resolvers read as a number, and so as an address (WHATWG URL §3.5, "ends in a number").
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


def parse_networks(networks: Iterable[str | Network]) -> tuple[Network, ...]:
    """Return the networks of these CIDRs, ``10.1.0.0/16``; raise ValueError naming a bad one."""
    return tuple(_network(network) for network in networks)


@lru_cache(maxsize=256)
def _network(text: str | Network) -> Network:
    return ip_network(text)


def address_allowed(ip: str | Address, allowed_networks: Iterable[str | Network] = ()) -> bool:
    """Tell whether a webhook may be sent to this address.

    Public unicast addresses may; others only inside ``allowed_networks``. An address that carries
    an IPv4 address (mapped, NAT64, 6to4) is judged by that one. Raises ValueError for what is no
    address.
    """
    address = ip_address(ip)
    inner = _embedded(address)
    if inner is not None:
        return address_allowed(inner, allowed_networks)
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        return False
    if any(address in network for network in parse_networks(allowed_networks)):
        return True
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _REFUSED_V4)
    return address in _GLOBAL_V6 and not any(address in network for network in _REFUSED_V6)


def _embedded(address: Address) -> IPv4Address | None:
    if isinstance(address, IPv4Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _SIX_TO_FOUR:
        return address.sixtofour
    return IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None


def check_callback_url(url: str, allowed_networks: Iterable[str | Network] = ()) -> None:
    """Refuse a URL that no webhook will ever be sent to.

    Raises ValueError, whose text may be shown to the user, for a wrong form, scheme or port and for
    a literal address (or ``localhost``) that isn't allowed. A name may still turn out to lead to
    such an address: that is seen at connect time.
    """
    if len(url) > MAX_URL:
        raise ValueError(f"must be at most {MAX_URL} characters long")
    if not re.fullmatch(r"[\x21-\x7e]+", url) or "\\" in url:
        raise ValueError("must be printable ASCII without spaces or backslashes")
    parsed = _parse(url)
    authority = re.split(r"[/?#]", url.split("://", 1)[1], maxsplit=1)[0]
    if "@" in authority:
        raise ValueError("must not carry a user or password")
    if "#" in url:
        raise ValueError("must not carry a fragment")
    if parsed.port == 0 or parsed.port in _REFUSED_PORTS:
        raise ValueError(f"port {parsed.port} is not allowed")
    host = parsed.raw_host or ""
    if authority.startswith("[") and ":" not in host:
        raise ValueError(f"[{host[:100]}] is not an IPv6 address")
    _check_host(host, tuple(allowed_networks))


def _parse(url: str) -> URL:
    if not re.match(r"https?://", url, re.IGNORECASE):
        raise ValueError("must start with http:// or https://")
    try:
        parsed = URL(url)
        host, port = parsed.raw_host, parsed.port
    except ValueError as error:
        raise ValueError(f"is not a URL: {error}") from error
    if not host or port is None:
        raise ValueError("must name a host")
    return parsed


def _check_host(host: str, allowed_networks: tuple[str | Network, ...]) -> None:
    try:
        allowed = address_allowed(host, allowed_networks)
    except ValueError:
        _check_name(host.lower().removesuffix("."), allowed_networks)
        return
    if not allowed:
        raise ValueError(f"the address {host} is not public and not allowed by the operator")


def _check_name(name: str, allowed_networks: tuple[str | Network, ...]) -> None:
    labels = name.split(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(f"{name[:100]!r} is not a host name")
    if _NUMBER.fullmatch(labels[-1]):
        raise ValueError(f"{name!r} is neither a host name nor an address in its usual form")
    if labels[-1] == "localhost":  # RFC 6761 §6.3: always the loopback interface
        loopback = ("127.0.0.1", "::1")
        if not any(address_allowed(address, allowed_networks) for address in loopback):
            raise ValueError(f"{name!r} is not public and not allowed by the operator")
