"""URLs of broker and database with another login than they came with."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from shared.runtime.settings import Secret


def has_login(url: Secret) -> bool:
    """Tell whether the URL leaves no password to be filled in: it has one, or names no user."""
    parts = urlsplit(url)
    return parts.password is not None or parts.username is None


def with_login(url: Secret, *, password: str, user: str | None = None) -> Secret:
    """Return the URL with this password, and this user if one is given."""
    parts = urlsplit(url)
    address = parts.netloc.rpartition("@")[2]
    name = quote(user, safe="") if user is not None else parts.netloc.partition("@")[0]
    name = name.partition(":")[0]
    return Secret(parts._replace(netloc=f"{name}:{quote(password, safe='')}@{address}").geturl())
