"""Where a webhook may go: the policy of `shared.runtime.url_policy`."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.runtime.url_policy import address_allowed, check_callback_url, parse_networks

PUBLIC = ["1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.0", "172.32.0.1", "192.167.255.255"]
PUBLIC += [
    "2606:4700::1111",
    "2a00:1450::1",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2002:808:808::1",
]

REFUSED = {
    "unspecified": ["0.0.0.0", "0.1.2.3", "::"],
    "loopback": ["127.0.0.1", "127.255.255.254", "::1"],
    "private": ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1", "fd12::1"],
    "link-local": ["169.254.0.1", "fe80::1", "fe80::1%eth0", "fec0::1"],
    "metadata": ["169.254.169.254", "fd00:ec2::254", "168.63.129.16", "100.100.100.200"],
    "carrier-grade NAT": ["100.64.0.1", "100.127.255.255"],
    "multicast": ["224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"],
    "reserved": ["240.0.0.1", "255.255.255.255", "198.18.0.1", "192.0.0.192", "4000::1"],
    "documentation": ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"],
    "IPv4 inside IPv6": [
        "::ffff:127.0.0.1",
        "::ffff:10.1.2.3",
        "::127.0.0.1",
        "::ffff:0:127.0.0.1",
    ],
    "NAT64": ["64:ff9b::127.0.0.1", "64:ff9b::169.254.169.254", "64:ff9b:1::8.8.8.8"],
    "6to4": ["2002:7f00:1::", "2002:a9fe:a9fe::1", "2002:c0a8:101::1"],
    "Teredo": ["2001:0:4136:e378:8000:63bf:3fff:fdd2"],
}


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_allowed(address: str) -> None:
    """What is on the Internet may be a subscriber."""
    assert address_allowed(address)


@pytest.mark.parametrize(
    ("kind", "address"), [(kind, address) for kind, all in REFUSED.items() for address in all]
)
def test_an_address_that_is_not_public_is_refused(kind: str, address: str) -> None:
    """Nothing inside is reached by a webhook, in whatever disguise the address comes."""
    assert not address_allowed(address), kind


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("127.0.0.1", "127.0.0.0/8"),
        ("10.1.2.3", "10.1.2.0/24"),
        ("::ffff:10.1.2.3", "10.1.2.0/24"),
        ("64:ff9b::10.1.2.3", "10.1.2.0/24"),
        ("fd12::1", "fd12::/16"),
    ],
)
def test_the_operator_can_allow_a_network(address: str, network: str) -> None:
    """What is inside an allowed network is allowed; everything else private stays refused."""
    assert address_allowed(address, [network])
    assert address_allowed(address, parse_networks([network]))
    assert not address_allowed("192.168.0.1", [network])


@given(st.ip_addresses(v=4))
@example(IPv4Address("127.0.0.1"))
@example(IPv4Address("8.8.8.8"))
def test_every_form_of_an_ipv4_address_is_judged_alike(address: IPv4Address) -> None:
    """Mapped, behind NAT64 or behind 6to4: the verdict is that of the address itself."""
    number = int(address)
    forms = (
        IPv6Address(0xFFFF_0000_0000 | number),
        IPv6Address(int(ip_address("64:ff9b::")) | number),
        IPv6Address((0x2002 << 112) | (number << 80) | 1),
    )
    verdict = address_allowed(address)
    assert [address_allowed(form) for form in forms] == [verdict] * 3


@given(st.ip_addresses())
def test_nothing_is_allowed_that_python_knows_to_be_special(
    address: IPv4Address | IPv6Address,
) -> None:
    """The standard library's own tables, independent of ours, never contradict an approval."""
    if address_allowed(address):
        plain = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None)
        judged = plain or address
        special = (judged.is_loopback, judged.is_link_local, judged.is_multicast)
        assert not any((*special, judged.is_unspecified))
        assert judged in parse_networks(["64:ff9b::/96"])[0] or not judged.is_private


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com",
        "https://example.com:8443/hooks/colobus?token=a%20b",
        "HTTPS://Example.COM/",
        "http://ci_1.example.com./",
        "http://xn--bcher-kva.example/",
        "http://8.8.8.8:8080/",
        "http://[2606:4700::1111]/",
        "https://example.com/a@b:c//d",
    ],
)
def test_an_ordinary_url_passes(url: str) -> None:
    """Names, public addresses, ports, paths and queries are the subscriber's own business."""
    check_callback_url(url)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "printable"),
        ("ftp://example.com/", "http://"),
        ("file:///etc/passwd", "http://"),
        ("http:/example.com", "http://"),
        ("http:example.com", "http://"),
        ("//example.com/", "http://"),
        ("http://", "host"),
        ("http:///path", "host"),
        ("http://user@example.com/", "user"),
        ("http://user:password@example.com/", "user"),
        ("http://@example.com/", "user"),
        ("http://example.com#@127.0.0.1/", "fragment"),
        ("http://example.com/#top", "fragment"),
        ("http://example.com\\@127.0.0.1/", "printable"),
        ("http://example.com/a b", "printable"),
        ("http://example.com/\n", "printable"),
        ("http://exam\tple.com/", "printable"),
        ("http://bücher.example/", "printable"),
        ("http://１２７.0.0.1/", "printable"),
        ("http://example.com:22/", "port 22"),
        ("http://example.com:25/", "port 25"),
        ("http://example.com:0/", "port 0"),
        ("http://example.com:65536/", "URL"),
        ("http://example.com:http/", "URL"),
        ("http://example..com/", "host name"),
        ("http://-example.com/", "host name"),
        ("http://ex%61mple.com/", "host name"),
        ("http://" + "a" * 64 + ".com/", "host name"),
        ("http://[v1.a]/", "IPv6"),
        ("http://[::1/", "URL"),
        ("http://example.com/" + "a" * 2048, "2048"),
    ],
)
def test_a_url_of_bad_form_is_refused_in_clear_words(url: str, words: str) -> None:
    """The text names what is wrong, so that it can be shown to the user."""
    with pytest.raises(ValueError, match=words):
        check_callback_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.0.0.1:8080/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[fe80::1%25eth0]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/",
        "http://localhost/",
        "http://LOCALHOST./",
        "http://db.localhost:5432/",
        # what resolvers, but not the policy's tables, would take for 127.0.0.1
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.0.0.1/",
        "http://0177.0.0.1/",
        "http://127.0.0.1./",
        "http://0/",
    ],
)
def test_a_literal_address_that_is_not_public_is_refused_in_any_spelling(url: str) -> None:
    """What can be seen without asking a name service is refused at once."""
    with pytest.raises(ValueError, match=r"not public|usual form"):
        check_callback_url(url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/", "http://localhost:1/"])
def test_an_allowed_network_does_not_allow_everything(url: str) -> None:
    """Ports stay refused where addresses are allowed."""
    with pytest.raises(ValueError, match="port"):
        check_callback_url(url, ["127.0.0.0/8"])


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080/x", "http://localhost:8080/x"])
def test_the_operator_can_allow_loopback(url: str) -> None:
    """A laptop's demo sends webhooks to itself."""
    check_callback_url(url, ["127.0.0.0/8"])


@given(st.text())
@example("http://[")
@example("http://\ud800/")
def test_any_text_is_judged_without_other_errors(text: str) -> None:
    """Whatever a user sends, the outcome is a pass or a ValueError."""
    for url in (text, f"http://{text}", f"https://example.com{text}"):
        try:
            check_callback_url(url)
        except ValueError:
            continue


def test_a_bad_network_is_named() -> None:
    """The operator learns which of the networks is wrong."""
    with pytest.raises(ValueError, match=r"10\.0\.0\.1/8"):
        parse_networks(["127.0.0.0/8", "10.0.0.1/8"])
