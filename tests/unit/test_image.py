"""What the container image is made of is what was tested."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def _pins(name: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE))


def test_the_image_has_the_versions_that_the_tests_use() -> None:
    """`make lock` writes both files; an edit of one alone would show here."""
    image, tested = _pins("requirements-services.lock"), _pins("requirements.lock")
    assert image
    assert {name: tested.get(name) for name in image} == image


def test_the_image_has_nothing_that_only_developers_need() -> None:
    """Less to carry, and less to attack."""
    assert not _pins("requirements-services.lock").keys() & {"pytest", "mypy", "hypothesis", "uv"}
