"""The DSN of a database as it is used: with a verified server over TLS, or plainly without TLS.

What lies between is refused, for it looks safe and isn't: PostgreSQL's ``prefer`` (its default),
``allow`` and ``require`` encrypt to whoever answers, ``verify-ca`` to anybody with a certificate
(PostgreSQL's documentation, 34.19.1 "Client Verification of Server Certificates").
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from shared.runtime.errors import ConfigurationError

PLAIN, VERIFIED = "disable", "verify-full"
_MODE = "sslmode"
#: Parameters of a DSN that name files (PostgreSQL's documentation, 34.1.2).
_FILES = frozenset({"sslrootcert", "sslcert", "sslkey", "sslcrl"})


def checked(dsn: str, setting: str) -> str:
    """Return the DSN with its sslmode written out: ``disable`` where it names none.

    So neither a library's default nor PGSSLMODE decides. Raises `ConfigurationError`, naming
    ``setting``, for any other mode than ``disable`` and ``verify-full``.
    """
    plain = str.__str__(dsn)
    parameters = parse_qsl(urlsplit(plain).query, keep_blank_values=True)
    modes = {value for name, value in parameters if name == _MODE}
    if wrong := sorted(modes - {PLAIN, VERIFIED}) or (sorted(modes) if len(modes) > 1 else []):
        raise ConfigurationError(
            f"{setting}: {_MODE}={' and '.join(wrong)} verifies nobody; it must be {VERIFIED}"
            f" (with sslrootcert), or {PLAIN} for a connection without TLS"
        )
    if modes:
        return plain
    plain = plain.rstrip("?&")
    return f"{plain}{'&' if '?' in plain else '?'}{_MODE}={PLAIN}"


def check_files(dsn: str, setting: str) -> None:
    """Raise `ConfigurationError` for a file that isn't there; it would look like an outage."""
    for name, value in parse_qsl(urlsplit(dsn).query):
        if name in _FILES and not Path(value).is_file():
            raise ConfigurationError(f"{setting}: {name}: no file {value}")
