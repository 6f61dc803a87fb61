"""Golden images: made of what, kept under which name."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import pytest

from devcloud.images import IMAGES, ceph_iscsi_image, debian_image, debs, tiny_image
from devcloud.images.disk import BOOT_SECTOR, MIB, SECTOR, Layout
from devcloud.images.image import GoldenImage
from devcloud.paths import Paths
from devcloud.site import Site


class Note(GoldenImage):
    """An image that is the text it is made of."""

    name = "note"
    tools: ClassVar[tuple[str, ...]] = ()
    text: bytes = b""
    built: int = 0

    def inputs(self) -> Iterable[bytes]:
        """Return the text."""
        yield self.text

    def assemble(self, folder: Path) -> Path:
        """Write it, unless it is nothing."""
        self.built += 1
        file = folder / "note"
        file.write_bytes(self.text)
        if not self.text:
            raise OSError("nothing to write")
        return file


@pytest.fixture
def note(tmp_path: Path) -> Note:
    site = SimpleNamespace(paths=Paths(state=tmp_path / "state", cache=tmp_path / "cache"))
    return Note(cast(Site, site), "x86_64")


def test_an_image_is_built_once_for_each_state_of_its_inputs(note: Note) -> None:
    """And stays where it is when a newer one is built: somebody may be copying it."""
    note.text = b"one"
    first = note.build()
    assert note.build() == first
    note.text = b"two"
    second = note.build()
    assert first.read_bytes() == b"one"
    assert second.read_bytes() == b"two"
    assert note.built == 2


def test_a_build_that_fails_leaves_no_image(note: Note) -> None:
    """The next attempt begins anew."""
    with pytest.raises(OSError, match="nothing to write"):
        note.build()
    note.text = b"one"
    assert note.build().read_bytes() == b"one"
    assert [path.suffix for path in note.build().parent.iterdir() if path.is_dir()] == [".building"]


@pytest.mark.parametrize(
    "layout",
    [tiny_image.LAYOUT, tiny_image.UEFI_LAYOUT, debian_image.LAYOUT, ceph_iscsi_image.LAYOUT],
)
def test_partitions_follow_one_another(layout: Layout) -> None:
    """The second begins where the first ends, at a whole MiB, since it is copied in such pieces."""
    boot_ends = BOOT_SECTOR + layout.boot_mib * MIB // SECTOR
    assert layout.root_sector == boot_ends
    assert layout.root_sector * SECTOR % MIB == 0
    assert f"start={boot_ends}" in layout.table()


def test_tiny_is_tiny() -> None:
    """It is cloned, copied and imported all the time."""
    layout = tiny_image.LAYOUT
    assert layout.root_sector * SECTOR + layout.root_mib * MIB < 64 * MIB


def test_links_are_followed_as_if_the_tree_were_the_root(tmp_path: Path) -> None:
    """A library's link that leads to /lib means the packages' /lib, not this machine's."""
    tree, target = tmp_path / "tree", tmp_path / "target"
    (tree / "lib").mkdir(parents=True)
    (tree / "lib" / "real.so.1").write_text("theirs")
    (tree / "lib" / "absolute.so").symlink_to("/lib/real.so.1")
    (tree / "lib" / "relative.so").symlink_to("real.so.1")
    debs.copy(tree, target, ["lib/*.so"])
    assert (target / "lib" / "absolute.so").read_text() == "theirs"
    assert not (target / "lib" / "relative.so").is_symlink()
    with pytest.raises(FileNotFoundError, match="nothing in the packages"):
        debs.copy(tree, target, ["bin/*"])


def test_what_apt_would_fetch_is_known_without_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where packages come from is the machine's business, and no input of an image."""
    shown = (
        "'http://x.invalid/p/busybox_1%3a2_amd64.deb' busybox_1%3a2_amd64.deb 928188 SHA256:3d\n"
    )

    def apt(*argv: str, cwd: Any = None) -> str:
        assert argv[:3] == ("apt-get", "download", "--print-uris")
        return f"Reading package lists...\n{shown}"

    monkeypatch.setattr(debs, "_apt", apt)
    assert debs.resolve(["busybox"]) == [
        debs.Deb("busybox", "busybox_1%3a2_amd64.deb", "SHA256:3d")
    ]


def test_images_have_names_of_their_own() -> None:
    """They are asked for by them."""
    assert len({kind.name for kind in IMAGES}) == len(IMAGES)
