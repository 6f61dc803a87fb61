"""The names of golden images in Ceph, finished and on their way.

Pure. What is offered is an image ``golden.<name>`` with a snapshot ``golden``: the services look
for just that, and ``tests/contract`` pins that both mean the same. Every other name here is outside
``golden.``, so that nobody takes it for an image that is whole.
"""

from __future__ import annotations

import re
import secrets
from enum import StrEnum

GOLDEN = "golden."
#: The snapshot that volumes are cloned from.
SNAPSHOT = "golden"
#: The note, in Ceph's metadata of an image, that says what proves its systems to be up; without it
#: their own login to their disk does.
PROOF, PHONE_HOME = "colobus.proof", "phone-home"
#: As names of resources are: they can be typed, and an image's name in Ceph stays short.
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_PASSING = re.compile(r"(golden-import|golden-old)\.(.+)\.[0-9a-f]{12}")


class Passing(StrEnum):
    """Why an image bears a name that isn't for long."""

    IMPORT = "golden-import"
    OLD = "golden-old"


def is_name(text: str) -> bool:
    """Tell whether a golden image may be called so."""
    return _NAME.fullmatch(text) is not None


def golden_image(name: str) -> str:
    """Return the RBD image of the golden image that is called so."""
    return GOLDEN + name


def golden_name(image: str) -> str | None:
    """Return what the golden image is called whose RBD image this is; None where it is none."""
    return image.removeprefix(GOLDEN) or None if image.startswith(GOLDEN) else None


def passing_image(why: Passing, name: str) -> str:
    """Return a name that no image has yet: being imported, or on its way out."""
    return f"{why}.{name}.{secrets.token_hex(6)}"


def passing_name(image: str) -> str | None:
    """Return which golden image was to become, or has been, of this; None where it is neither."""
    found = _PASSING.fullmatch(image)
    return found.group(2) if found else None
