"""PostgreSQL over TLS: the pool, LISTEN and the migrations, and what is refused."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import structlog

from shared.runtime.errors import BackendUnavailable, ConfigurationError
from shared.storage import Database
from shared.storage.migrate import migrate
from tests.support.tls import Authority, Servers

_VERIFIED = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"


async def _refusal(dsn: str) -> str:
    """What is said in the error and to the operator's log."""
    with structlog.testing.capture_logs() as logs, pytest.raises(BackendUnavailable) as refused:
        await Database.connect(dsn, schema="public")
    return f"{refused.value.detail} {logs}"


async def test_pool_and_listener_are_encrypted(tls: Servers) -> None:
    """Both kinds of connection take the DSN's sslmode and CA."""
    database = await Database.connect(tls.database_dsn, schema="public")
    heard: asyncio.Queue[str] = asyncio.Queue()
    async with database.listen("news", heard.put_nowait):
        async with database.connection() as connection:
            assert await connection.fetchval(_VERIFIED)
            encrypted = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)"
            assert await connection.fetchval(f"{encrypted} WHERE client_addr IS NOT NULL")
            await connection.execute("NOTIFY news, 'hello'")
        assert await asyncio.wait_for(heard.get(), 30) == "hello"
    await database.close()


async def test_migrations_are_encrypted(tls: Servers, tmp_path: Path) -> None:
    """Those of yoyo and of ours; the second can't be made without TLS."""
    (tmp_path / "0001-proof.sql").write_text(f"CREATE TABLE proof AS {_VERIFIED};")
    await asyncio.to_thread(migrate, tls.database_dsn, "secured", tmp_path)
    with psycopg.connect(tls.database_dsn) as connection:
        assert connection.execute("SELECT ssl FROM secured.proof").fetchone() == (True,)


async def test_a_server_that_a_stranger_vouches_for_is_refused(
    tls: Servers, stranger: Authority
) -> None:
    """By pool and migrations alike."""
    dsn = tls.database_dsn.replace(str(tls.authority.file), str(stranger.file))
    assert "certificate is refused: self-signed certificate" in await _refusal(dsn)
    with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        migrate(dsn, "refused", Path())


async def test_a_server_under_another_name_is_refused(tls: Servers) -> None:
    """verify-full means the name, too."""
    dsn = tls.database_dsn.replace("@localhost:", "@127.0.0.1:")
    assert "not valid for '127.0.0.1'" in await _refusal(dsn)
    with pytest.raises(psycopg.OperationalError, match="does not match host name"):
        migrate(dsn, "refused", Path())


async def test_without_tls_there_is_no_connection(tls: Servers) -> None:
    """The server's own words are told to the operator."""
    plain = urlsplit(tls.database_dsn)._replace(query="sslmode=disable").geturl()
    assert "no encryption" in await _refusal(plain)


@pytest.mark.parametrize("mode", ["allow", "prefer", "require", "verify-ca"])
async def test_tls_that_verifies_less_is_refused(tls: Servers, mode: str) -> None:
    """It would connect to whoever answers; nobody is to think that he is safe."""
    dsn = tls.database_dsn.replace("verify-full", mode)
    with pytest.raises(ConfigurationError, match=f"COLOBUS_DATABASE_DSN: sslmode={mode}"):
        await Database.connect(dsn, schema="public")
    with pytest.raises(ConfigurationError, match=f"COLOBUS_ADMIN_DATABASE_DSN: sslmode={mode}"):
        migrate(dsn, "refused", Path())


async def test_plain_is_plain(tls: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    """No mode is no TLS, which this server refuses: not TLS to anybody, as libraries have it."""
    unsaid = urlsplit(tls.database_dsn)._replace(query="").geturl()
    for default in ("prefer", "require"):
        monkeypatch.setenv("PGSSLMODE", default)
        assert "no encryption" in await _refusal(unsaid)
        with pytest.raises(psycopg.OperationalError, match="no encryption"):
            migrate(unsaid, "refused", Path())


async def test_a_dsn_that_cannot_be_used_is_no_outage(tls: Servers) -> None:
    """Nobody waits for a file that isn't there, or for a mode that doesn't exist."""
    for old, new in ((str(tls.authority.file), "/nothing.pem"), ("verify-full", "sometimes")):
        with pytest.raises(ConfigurationError, match="COLOBUS_DATABASE_DSN"):
            await Database.connect(tls.database_dsn.replace(old, new), schema="public")
