"""Names of golden images: which may be given, and what passing ones tell."""

from __future__ import annotations

import pytest

from colobus.golden_names import Passing, is_name, passing_image, passing_name


@pytest.mark.parametrize("name", ["a", "debian-12", "Debian_12.7", "x" * 63])
def test_what_can_be_typed_is_a_name(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize("name", ["", "-a", "a.", "a b", "a/b", "a@b", "x" * 64, "a\n"])
def test_what_ceph_or_a_shell_would_read_otherwise_is_none(name: str) -> None:
    """``@`` and ``/`` mean snapshots and pools to the `rbd` command."""
    assert not is_name(name)


@pytest.mark.parametrize("why", Passing)
@pytest.mark.parametrize("name", ["a", "a.b", "golden-old.a"])
def test_a_passing_name_says_of_which_image_it_is(why: Passing, name: str) -> None:
    """Without doubt, dots or not: a leftover of ``a.b`` is none of ``a``."""
    assert passing_name(passing_image(why, name)) == name


@pytest.mark.parametrize("image", ["golden.a", "golden-import.a", "golden-import..0123456789ab"])
def test_other_names_are_not_passing(image: str) -> None:
    """What somebody made by hand isn't swept."""
    assert passing_name(image) is None


def test_no_two_imports_have_the_same_name() -> None:
    assert passing_image(Passing.IMPORT, "a") != passing_image(Passing.IMPORT, "a")
