"""TLS by files: whom a client trusts, and what a server shows.

Certificates are renewed while we run: a client reads its files at each connection that it makes,
a server at the first handshake after they have changed. Nothing must be told to us, or restarted.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import structlog

from shared.runtime.errors import ConfigurationError

_log = structlog.get_logger(__name__)
#: What says that a file is another one: when it was written, how long it is, which it is.
_Stamp = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Trust:
    """Whom to believe: ``ca_file`` (PEM; default: the system's), and what to show if asked.

    ``cert_file`` is our own certificate with its chain, ``key_file`` its key, unencrypted (default:
    in the same file).
    """

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    def __bool__(self) -> bool:
        return any((self.ca_file, self.cert_file, self.key_file))

    def context(self) -> ssl.SSLContext:
        """Return a client's context, which verifies the server's certificate and host name.

        Raises `ConfigurationError` when a file can't be used.
        """
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except OSError as error:
            raise _unusable(f"CA certificates {self.ca_file}", error) from error
        if self.cert_file is not None:
            _load(context, self.cert_file, self.key_file)
        elif self.key_file is not None:
            raise ConfigurationError("a key for TLS without its certificate")
        return context


class ServerCertificate:
    """What a server shows: ``cert_file`` with its chain and ``key_file``, PEM, unencrypted."""

    def __init__(self, cert_file: Path, key_file: Path | None = None) -> None:
        self._files = (cert_file, key_file)
        self._stamp = self._look()
        self._current = self._loaded()

    @classmethod
    def of(cls, cert_file: Path | None, key_file: Path | None) -> ServerCertificate | None:
        """Return the certificate that settings name, None where they name none.

        Raises `ConfigurationError` when it can't be used.
        """
        if cert_file is not None:
            return cls(cert_file, key_file)
        if key_file is not None:
            raise ConfigurationError("a key for TLS without its certificate")
        return None

    def context(self) -> ssl.SSLContext:
        """Return a context for listening; each handshake gets the certificate of its time."""
        listening = self._loaded()
        listening.sni_callback = self._renew
        return listening

    def _renew(self, handshake: ssl.SSLObject, _: str | None, __: ssl.SSLContext) -> None:
        """Called in each handshake, also when the client names no server."""
        try:
            stamp = self._look()
            if stamp != self._stamp:
                self._current = self._loaded()
                self._stamp = stamp
                _log.info("certificate renewed", file=str(self._files[0]))
        except ConfigurationError as error:
            # Perhaps only half of it is written yet: the old one goes on, the next one looks again.
            _log.error("renewed certificate can't be used", error=error.detail)
        handshake.context = self._current

    def _loaded(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        _load(context, *self._files)
        return context

    def _look(self) -> _Stamp:
        try:
            found = [file.stat() for file in self._files if file is not None]
        except OSError as error:
            raise _unusable("certificate", error) from error
        return tuple((status.st_mtime_ns, status.st_size, status.st_ino) for status in found)


def _load(context: ssl.SSLContext, cert_file: Path, key_file: Path | None) -> None:
    def no_password() -> str:
        raise ConfigurationError(f"the key of {cert_file} is encrypted")

    try:
        context.load_cert_chain(cert_file, key_file, no_password)
    except OSError as error:  # ssl.SSLError is one
        raise _unusable(f"certificate {cert_file}", error) from error


def _unusable(what: str, error: OSError) -> ConfigurationError:
    why = getattr(error, "reason", None) or error.strerror or type(error).__name__
    return ConfigurationError(f"{what} can't be used: {why}")
