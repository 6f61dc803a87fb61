"""How a machine's system is told to phone home: by an address of its own, with a token in it. Pure.

The token derives from the installation's key and whose it is, as CHAP accounts do: it is stored
nowhere but on the machine's own second disk, and opens nothing but this.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from hmac import compare_digest

import yaml

from shared.runtime.secrets import derive
from shared.worker.cloud_config import HEADER

#: Below `Phone.url`: ``<store>/<tenant>/<machine>/<token>``.
PATH = "/phone-home"
_TOKEN_BYTES = 24
#: cloud-init waits 3 s after each in vain, and never comes back after the last: half an hour.
_TRIES = 600


class Phone:
    """``url`` is where the worker listens, as the machines see it."""

    def __init__(self, url: str, key: bytes) -> None:
        self._url = url.rstrip("/")
        self._key = key

    def cloud_config(self, store: str, tenant: str, machine: str) -> str:
        """Return the cloud-config that has a system phone home at the end of its first boot.

        Source: cloud-init's documentation, "Phone Home".
        """
        url = f"{self._url}{PATH}/{store}/{tenant}/{machine}/{self._token(store, tenant, machine)}"
        config = {"phone_home": {"url": url, "post": ["instance_id"], "tries": _TRIES}}
        return f"{HEADER}\n{yaml.safe_dump(config, sort_keys=False, width=2**16)}"

    def is_token(self, token: str, store: str, tenant: str, machine: str) -> bool:
        """Tell whether this is the token of this machine."""
        return compare_digest(token.encode(), self._token(store, tenant, machine).encode())

    def _token(self, store: str, tenant: str, machine: str) -> str:
        made = derive(self._key, "phone home", store, tenant, machine, length=_TOKEN_BYTES)
        return urlsafe_b64encode(made).decode("ascii")

    def __repr__(self) -> str:
        return f"Phone({self._url})"
