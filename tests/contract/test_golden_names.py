"""Operators' command and worker agree on what a golden image is called, without sharing code."""

from __future__ import annotations

import pytest

from colobus import golden_names
from services.iscsi_worker import names


def test_the_snapshot_that_is_made_is_the_one_that_is_cloned() -> None:
    assert golden_names.SNAPSHOT == names.GOLDEN_SNAPSHOT
    assert (golden_names.PROOF, golden_names.PHONE_HOME) == (names.PROOF, names.PHONE_HOME)


@pytest.mark.parametrize("name", ["debian-12", "a.b_c", "golden", "x"])
def test_the_image_that_is_made_is_the_one_that_is_offered(name: str) -> None:
    """And both read the name back."""
    image = golden_names.golden_image(name)
    assert image == names.golden_image(name)
    assert golden_names.golden_name(image) == names.golden_name(image) == name


@pytest.mark.parametrize("why", golden_names.Passing)
def test_what_has_a_passing_name_is_never_offered(why: golden_names.Passing) -> None:
    """Nor does it pass for a volume or a machine's disk."""
    image = golden_names.passing_image(why, "debian-12")
    assert names.golden_name(image) is None
    assert golden_names.golden_name(image) is None
    assert names.Names("demo").owner_of_image(image) is None
    assert names.Names("demo").owner_of_config_image(image) is None


@pytest.mark.parametrize("image", ["golden.", "golden", "other", "colobus.demo.t.volume-x"])
def test_both_agree_on_what_is_none(image: str) -> None:
    assert golden_names.golden_name(image) is names.golden_name(image) is None
