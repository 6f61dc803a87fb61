"""Whoever installs by the README has all that the services refuse to start without."""

from __future__ import annotations

import re
from pathlib import Path

from shared.contract.kinds import KINDS

README = Path(__file__).parents[2] / "README.md"


def test_the_front_door_is_told_of_all_who_open_secrets() -> None:
    """It refuses to start without the key of one of them."""
    (row,) = re.findall(r"^\| `COLOBUS_SEALING_PUBLIC_KEYS` .*$", README.read_text(), re.MULTILINE)
    assert set(re.findall(r"(\w+)=<base64>", row)) == {
        k.opener for k in KINDS.values() if k.secrets
    }
