"""AMQP over TLS, with a real broker: who is believed, and what is said when not."""

from __future__ import annotations

import pytest

from shared.bus import Bus
from shared.bus.errors import BusUnavailable
from shared.runtime.errors import ConfigurationError
from shared.runtime.tls import Trust
from tests.support.tls import Authority, Servers


async def _refusal(url: str, trust: Trust) -> str:
    with pytest.raises(BusUnavailable) as refused:
        await Bus.connect([url], name="scheduler", patience=3, trust=trust)
    return refused.value.detail


async def test_a_broker_is_believed_by_its_ca(tls: Servers) -> None:
    """With a private CA, given by settings."""
    bus = await Bus.connect([tls.amqp_url], name="scheduler", trust=Trust(tls.authority.file))
    assert bus.connected()
    await bus.close()


async def test_a_client_may_show_a_certificate(tls: Servers) -> None:
    """One of the broker's CA is taken."""
    mine = tls.authority.issue("scheduler.example.org", to="client")
    trust = Trust(tls.authority.file, *mine)
    bus = await Bus.connect([tls.amqp_url], name="scheduler", trust=trust)
    assert bus.connected()
    await bus.close()


async def test_a_strangers_certificate_is_refused_by_the_broker(
    tls: Servers, stranger: Authority
) -> None:
    """The handshake fails, and no session comes of it."""
    await _refusal(tls.amqp_url, Trust(tls.authority.file, *stranger.issue("me", to="client")))


async def test_a_broker_that_a_stranger_vouches_for_is_refused(
    tls: Servers, stranger: Authority
) -> None:
    """A wrong CA, or none for a private one: the reason is in the error."""
    for trust in (Trust(stranger.file), Trust()):
        assert "certificate verify failed" in await _refusal(tls.amqp_url, trust)


async def test_a_broker_under_another_name_is_refused(tls: Servers) -> None:
    """Its certificate is for localhost, not for that address."""
    url = tls.amqp_url.replace("@localhost:", "@127.0.0.1:")
    detail = await _refusal(url, Trust(tls.authority.file))
    assert "certificate is not valid for '127.0.0.1'" in detail


async def test_without_tls_there_is_no_connection(tls: Servers) -> None:
    """The broker has no ear for it."""
    await _refusal(tls.amqp_url.replace("amqps://", "amqp://"), Trust())


async def test_settings_that_contradict_each_other_are_refused(tls: Servers) -> None:
    """Certificates with a plain URL, verifying switched off, a file that isn't there."""
    plain = tls.amqp_url.replace("amqps://", "amqp://")
    blind = f"{tls.amqp_url}?no_verify_ssl=1"
    missing = Trust(tls.authority.folder / "nothing.pem")
    for url, trust, why in (
        (plain, Trust(tls.authority.file), "not amqps"),
        (blind, Trust(), "forbids to verify"),
        (tls.amqp_url, missing, "No such file"),
        (tls.amqp_url, Trust(key_file=tls.authority.file), "without its certificate"),
    ):
        with pytest.raises(ConfigurationError, match=why):
            await Bus.connect([url], name="scheduler", patience=3, trust=trust)
