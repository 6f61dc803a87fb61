"""Ceph's keys and keyrings: who may do what in the cluster, written without a running cluster."""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping

from devcloud.ini import render_ini

AES = 1
KEY_BYTES = 16

Capabilities = Mapping[str, str]
"""What an entity may do, by the kind of daemon it asks: `{"mon": "profile rbd"}`."""


def cephx_key(secret: str) -> str:
    """Return the cephx key of a hexadecimal secret of at least 16 bytes.

    The form is that of Ceph's `CryptoKey`: type, time of making (here none: the same secret shall
    always give the same key), length, key; little-endian, in base64.
    """
    key = bytes.fromhex(secret)[:KEY_BYTES]
    return base64.b64encode(struct.pack("<HIIH", AES, 0, 0, KEY_BYTES) + key).decode()


def render_keyring(keys: Mapping[str, str], capabilities: Mapping[str, Capabilities]) -> str:
    """Return a keyring.

    Args:
        keys: Entity, such as `client.admin`, to cephx key.
        capabilities: Entity to capabilities. Only the monitors' own first keyring needs any.
    """
    sections = {
        entity: {
            "key": key,
            **{f"caps {kind}": f'"{text}"' for kind, text in capabilities.get(entity, {}).items()},
        }
        for entity, key in keys.items()
    }
    return render_ini(sections)
