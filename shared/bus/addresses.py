"""Brokers' URLs."""

from __future__ import annotations

from yarl import URL

from shared.runtime.errors import ConfigurationError

#: Seconds between heartbeats that are asked of the broker when a URL says nothing else.
HEARTBEAT = 20


def checked(url: str) -> URL:
    """The URL with a heartbeat; raises `ConfigurationError`, which doesn't show the password."""
    try:
        parsed = URL(url)
    except ValueError as error:
        raise ConfigurationError("a broker URL can't be read") from error
    if parsed.scheme not in ("amqp", "amqps") or not parsed.host:
        raise ConfigurationError(
            "a broker URL is not of the form amqp[s]://user:password@host/vhost"
        )
    if parsed.query.get("no_verify_ssl", "0") != "0":
        raise ConfigurationError("a broker URL forbids to verify its certificate")
    return parsed if "heartbeat" in parsed.query else parsed.update_query(heartbeat=HEARTBEAT)
