"""CHAP accounts, derived where they are needed and stored nowhere of ours. Pure.

What they are made of is the key, the target, the initiator and a generation. A target belongs to
one attachment, so no former holder's secret opens another. The name derives from the key too: with
another key the account is another one, and an account made with the old key is seen.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from dataclasses import dataclass

from shared.runtime.secrets import derive
from shared.runtime.settings import Secret

#: 96 bits, as RFC 3720 §8.2.1 wants: 16 letters, digits, '-' and '_', which is the longest that
#: ceph-iscsi takes, and nothing that tgt's parameter lists, a URL or iPXE give a meaning to.
_SECRET_BYTES = 12
_NAME_BYTES = 10


@dataclass(frozen=True)
class Account:
    """What one initiator logs in to one target with."""

    username: str
    secret: Secret


class Chap:
    """Derives accounts from the installation's key (`shared.runtime.secrets.master_key`)."""

    def __init__(self, key: bytes, *, generation: int = 1) -> None:
        self._key = key
        self._generation = str(generation)

    def account(self, target_iqn: str, initiator_iqn: str) -> Account:
        """Return the account, the same each time."""
        whose = (target_iqn, initiator_iqn, self._generation)
        secret = derive(self._key, "chap secret", *whose, length=_SECRET_BYTES)
        name = derive(self._key, "chap username", *whose, length=_NAME_BYTES)
        return Account(f"colobus-{name.hex()}", Secret(urlsafe_b64encode(secret).decode("ascii")))

    def __repr__(self) -> str:
        return "Chap(***)"
