"""Sealing secrets to the one worker that needs them, and deriving keys from a master key.

Sealed boxes are libsodium's (X25519, XSalsa20-Poly1305): whoever has the public key can seal,
only the holder of the private key can open. Derivation is HKDF-SHA256 (RFC 5869).
"""

from __future__ import annotations

import base64
import os
import secrets
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox

from shared.contract.problems import Reason
from shared.runtime.errors import ConfigurationError, PermanentError

_KEY_BYTES = 32
_MASTER_KEY_BYTES = 32


class UnreadableSecret(PermanentError):
    """A sealed secret can't be opened: sealed to another key, or damaged."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, reason=Reason.SECRET_UNREADABLE)


class SealingKey:
    """The private key of one worker; kept in a file as base64, readable by its owner only."""

    def __init__(self, private: bytes) -> None:
        self._private = PrivateKey(private)

    @classmethod
    def generate(cls) -> Self:
        """Make a new key."""
        return cls(bytes(PrivateKey.generate()))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a key that `save` wrote; raises `ConfigurationError` naming the file."""
        try:
            private = _decoded(path.read_text(encoding="ascii"))
        except OSError as error:
            raise ConfigurationError(f"cannot read sealing key {path}: {error.strerror}") from error
        except ValueError as error:
            raise ConfigurationError(f"sealing key {path} is not base64") from error
        if len(private) != _KEY_BYTES:
            raise ConfigurationError(f"sealing key {path} is not {_KEY_BYTES} bytes long")
        return cls(private)

    def save(self, path: Path) -> None:
        """Write the key with mode 0600; either the whole file appears or none."""
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(_encoded(bytes(self._private)) + "\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)

    @property
    def public_key(self) -> str:
        """The public key, in base64."""
        return _encoded(bytes(self._private.public_key))

    def open(self, sealed: str) -> bytes:
        """Return what was sealed; raises `UnreadableSecret`."""
        try:
            return SealedBox(self._private).decrypt(_decoded(sealed))
        except (CryptoError, ValueError) as error:
            raise UnreadableSecret("the secret can't be opened with this key") from error

    def open_text(self, sealed: str) -> str:
        """Return the text that was sealed; raises `UnreadableSecret`, also when it is not UTF-8."""
        try:
            return self.open(sealed).decode("utf-8")
        except UnicodeDecodeError as error:
            raise UnreadableSecret("what was sealed is not UTF-8 text") from error

    def __repr__(self) -> str:
        return f"SealingKey(public_key={self.public_key!r})"


def seal(public_key: str, data: bytes) -> str:
    """Return ``data`` as a sealed box in base64; ``public_key`` is base64 of 32 bytes.

    Raises `ValueError` when it isn't (it may be a user's own).
    """
    key = _decoded(public_key)
    if len(key) != _KEY_BYTES:
        raise ValueError(f"a public key is base64 of {_KEY_BYTES} bytes")
    try:
        return _encoded(SealedBox(PublicKey(key)).encrypt(data))
    except CryptoError as error:  # a point of low order, such as 32 zero bytes
        raise ValueError("not a usable public key") from error


def master_key(text: str) -> bytes:
    """Return the bytes of a master key in base64; raises `ConfigurationError` when too short."""
    try:
        key = _decoded(text)
    except ValueError as error:
        raise ConfigurationError("the master key is not base64") from error
    if len(key) < _MASTER_KEY_BYTES:
        raise ConfigurationError(f"the master key is shorter than {_MASTER_KEY_BYTES} bytes")
    return key


def derive(master: bytes, *labels: str, length: int = 32) -> bytes:
    """Derive a key of ``length`` bytes for the purpose that ``labels`` name.

    Each label is preceded by its length, so ("a", "bc") and ("ab", "c") give different keys.
    """
    parts = [label.encode() for label in labels]
    info = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return HKDF(SHA256(), length=length, salt=b"colobus", info=info).derive(master)


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text.strip(), validate=True)
    except ValueError as error:  # binascii.Error is one
        raise ValueError("not base64") from error
