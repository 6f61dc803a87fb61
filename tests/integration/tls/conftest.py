"""A broker and a database that speak TLS only, and a stranger who vouches for neither."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.tls import Authority, Servers, servers


@pytest.fixture(scope="session")
def tls(basics: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Both servers; ``basics`` has seen to what they are made of."""
    assert basics
    with servers(Authority.make(tmp_path_factory.mktemp("authority"))) as started:
        yield started


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that has issued nothing here."""
    return Authority.make(tmp_path_factory.mktemp("stranger"))
