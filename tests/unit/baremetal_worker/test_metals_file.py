"""The metals file: strict, and every fault with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.baremetal_worker.metals_file import Flavor, MetalsError, load_metals

GOOD = """
metals:
  one: {cloud: lab}
  two:
    cloud: hall
    flavors:
      small: {resource_class: diskless}
      fast: {resource_class: diskless, traits: [CUSTOM_FAST, HW_ARCH_AARCH64]}
"""


def _file(folder: Path, text: str) -> Path:
    path = folder / "metals.yaml"
    path.write_text(text)
    return path


def test_a_good_file_is_read(tmp_path: Path) -> None:
    """With what may be left out; without flavors any name is a resource class."""
    metals = load_metals(_file(tmp_path, GOOD))
    assert list(metals) == ["one", "two"]
    assert metals["one"].cloud == "lab"
    assert metals["one"].flavor("any") == Flavor(resource_class="any")
    assert metals["two"].flavor("small") == Flavor(resource_class="diskless")
    fast = metals["two"].flavor("fast")
    assert fast is not None
    assert fast.traits == ("CUSTOM_FAST", "HW_ARCH_AARCH64")
    assert metals["two"].flavor("any") is None


FAULTS = {
    "not a mapping": ("[]", "expected a mapping"),
    "no metals": ("metals: {}", "metals: there is none"),
    "unknown key": ("x: 1\nmetals: {a: {cloud: c}}", "x: unknown key"),
    "not a slug": ("metals: {A_b: {cloud: c}}", "metals.A_b"),
    "no cloud": ("metals: {a: {}}", "metals.a: "),
    "unknown key of a metal": ("metals: {a: {cloud: c, z: 1}}", "metals.a: "),
    "no class": ("metals: {a: {cloud: c, flavors: {f: {}}}}", "metals.a.flavors"),
    "bad trait": (
        "metals: {a: {cloud: c, flavors: {f: {resource_class: r, traits: [fast]}}}}",
        "metals.a.flavors",
    ),
    "twice": ("metals: {a: {cloud: c}, a: {cloud: d}}", "written twice"),
    "not YAML": ("metals: [", "metals.yaml"),
}


@pytest.mark.parametrize(("text", "fault"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_told_with_its_place(tmp_path: Path, text: str, fault: str) -> None:
    """One line for each."""
    with pytest.raises(MetalsError) as caught:
        load_metals(_file(tmp_path, text))
    assert fault in str(caught.value)


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    """Of several metals."""
    with pytest.raises(MetalsError) as caught:
        load_metals(_file(tmp_path, "metals: {a: {}, b: {cloud: ''}, c: {cloud: x}}"))
    assert len(caught.value.faults) == 2


def test_a_missing_file_is_a_fault(tmp_path: Path) -> None:
    """It is named."""
    with pytest.raises(MetalsError, match=r"nowhere\.yaml"):
        load_metals(tmp_path / "nowhere.yaml")
