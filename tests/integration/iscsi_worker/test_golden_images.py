"""``colobus image`` on the real Ceph: what is imported is offered whole, or not at all."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from colobus.cli.app import app
from colobus.golden_images import GoldenImages
from devcloud.cephx import cephx_key
from services.iscsi_worker.names import golden_image
from services.iscsi_worker.queries import QUERY_HANDLERS
from shared.contract.messages import GetStorageCatalog
from tests.integration.iscsi_worker.world import TENANT, Replica, World
from tests.support.conditions import eventually_sync
from tests.support.devcloud import ROOT

MIB = 1 << 20
DATA = random.Random(1).randbytes(300_000)
Colobus = Callable[..., Result]


@pytest.fixture
def name(world: World) -> Iterator[str]:
    """A name that no other test uses; whatever bears it is taken away."""
    made = f"{world.installation}-import-{random.randrange(1 << 32):08x}"
    yield made
    world.clear_volumes()
    for image in named(world, made):
        world.drop(image)


@pytest.fixture
def environ(world: World) -> dict[str, str]:
    return {
        "COLOBUS_CEPH_CONF": str(world.ceph.conf),
        "COLOBUS_CEPH_POOL": world.ceph.pool,
        "COLOBUS_CEPH_USER": world.ceph.user,
        "COLUMNS": "200",
    }


@pytest.fixture
def colobus(environ: dict[str, str]) -> Colobus:
    """Run ``colobus image`` with these arguments."""

    def run(*arguments: str, **more: str) -> Result:
        return CliRunner().invoke(app, ["image", *arguments], env={**environ, **more})

    return run


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A raw disk: data, a hole of a gigabyte, data; its size is no whole MiB."""
    path = tmp_path / "disk.raw"
    with path.open("wb") as file:
        file.write(DATA)
        file.seek(1024 * MIB)
        file.write(DATA)
    return path


def named(world: World, name: str) -> list[str]:
    """All images that have to do with this name."""
    return [image for image in world.rbd.RBD().list(world.pool) if f".{name}" in image]


def written(world: World, image: str) -> int:
    """How many bytes Ceph has of an image."""
    lengths: list[int] = []
    with world.rbd.Image(world.pool, image, read_only=True) as opened:
        opened.diff_iterate(0, opened.size(), None, lambda _at, length, _: lengths.append(length))
    return sum(lengths)


def check(world: World, name: str) -> None:
    """The disk is there with all it holds, and only that was written."""
    image = golden_image(name)
    assert named(world, name) == [image]
    assert world.content(image, len(DATA)) == DATA
    assert world.content(image, len(DATA), at=1024 * MIB) == DATA
    assert world.content(image, 4096, at=512 * MIB) == bytes(4096)
    assert 2 * len(DATA) <= written(world, image) <= 2 * MIB


def listed(colobus: Colobus) -> dict[str, dict[str, Any]]:
    result = colobus("list", "-o", "json")
    assert result.exit_code == 0, result.output
    return {image["name"]: image for image in json.loads(result.stdout)}


def test_a_raw_disk_is_imported_without_its_holes(
    colobus: Colobus, world: World, name: str, disk: Path
) -> None:
    """Its size is rounded up to MiB."""
    made = colobus("import", str(disk), "--name", name, "-o", "name")
    assert (made.exit_code, made.stdout) == (0, f"{name}\n"), made.output
    check(world, name)
    found = listed(colobus)[name]
    assert (found["size_bytes"], found["clones"]) == (1025 * MIB, [])
    assert name in colobus("list").stdout


def test_a_qcow2_is_imported_as_what_it_holds(
    colobus: Colobus, world: World, name: str, disk: Path, tmp_path: Path
) -> None:
    """Its form is seen, whatever it is called; nothing stays where it was made raw."""
    qcow2, scratch = tmp_path / "disk.img", tmp_path / "scratch"
    scratch.mkdir()
    convert = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-c", str(disk), str(qcow2)]
    subprocess.run(convert, check=True)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("tempfile.tempdir", str(scratch))
        assert colobus("import", str(qcow2), "--name", name).exit_code == 0
    check(world, name)
    assert list(scratch.iterdir()) == []


def test_a_qcow2_that_names_another_file_is_refused(
    colobus: Colobus, world: World, name: str, disk: Path, tmp_path: Path
) -> None:
    """It could be any file of the operator's host."""
    overlay = tmp_path / "overlay.qcow2"
    make = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(disk), str(overlay)]
    subprocess.run(make, check=True)
    refused = colobus("import", str(overlay), "--name", name)
    assert refused.exit_code == 2
    assert "not whole without another file" in refused.stderr
    assert named(world, name) == []


async def test_an_image_that_volumes_are_made_of_is_not_deleted(
    colobus: Colobus, world: World, replica: Replica, name: str, disk: Path
) -> None:
    """What was imported is in the catalog; the refusal names the volume, and changes nothing."""
    assert colobus("import", str(disk), "--name", name).exit_code == 0
    catalog = await QUERY_HANDLERS[GetStorageCatalog](TENANT, GetStorageCatalog(), replica.context)
    assert name in str(catalog)
    volume = await replica.volume(image=name)
    assert world.content(volume.image, len(DATA), at=1024 * MIB) == DATA
    for again in (("delete", name), ("import", str(disk), "--name", name, "--replace")):
        refused = colobus(*again)
        assert (refused.exit_code, volume.image in refused.stderr) == (1, True), refused.output
    assert listed(colobus)[name]["clones"] == [volume.image]
    await volume.deprovision()
    assert colobus("delete", name).exit_code == 0
    assert named(world, name) == []
    assert colobus("delete", name).exit_code == 3


def test_a_name_is_taken_over_only_when_that_is_asked_for(
    colobus: Colobus, world: World, name: str, disk: Path, tmp_path: Path
) -> None:
    """Nothing of the old image stays."""
    other = tmp_path / "other.raw"
    other.write_bytes(b"other" * 1000)
    assert colobus("import", str(other), "--name", name).exit_code == 0
    refused = colobus("import", str(disk), "--name", name)
    assert refused.exit_code == 1
    assert "--replace" in refused.stderr
    assert world.content(golden_image(name), 5) == b"other"
    assert colobus("import", str(disk), "--name", name, "--replace").exit_code == 0
    check(world, name)


def test_an_image_comes_back_when_its_successor_cannot_take_its_place(
    colobus: Colobus, world: World, name: str, disk: Path
) -> None:
    """Whatever happens between the two renames, as long as somebody is there to see it."""
    assert colobus("import", str(disk), "--name", name).exit_code == 0
    rename = GoldenImages._rename

    def interrupted(self: GoldenImages, image: str, to: str) -> None:
        if image.startswith("golden-import."):
            raise KeyboardInterrupt
        rename(self, image, to)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(GoldenImages, "_rename", interrupted)
        assert colobus("import", str(disk), "--name", name, "--replace").exit_code == 130
    check(world, name)


def begun(environ: dict[str, str], world: World, name: str, big: Path) -> subprocess.Popen[bytes]:
    """Begin to import a large file, and return when a part of it is there."""
    here = [sys.executable, "-m", "colobus", "image", "import", str(big), "--name", name]
    command = [
        "env",
        "--default-signal=INT",
        *here,
    ]  # ignored where the tests run in the background
    begun = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **environ}, stderr=subprocess.PIPE
    )

    def under_way() -> bool:
        with suppress(world.rbd.ImageNotFound):  # it has been named, and no more
            return any(written(world, image) for image in named(world, name))
        return False

    eventually_sync(under_way, what="an import")
    return begun


@pytest.fixture
def big(tmp_path: Path) -> Path:
    path = tmp_path / "big.raw"
    path.write_bytes(b"x" * 512 * MIB)
    return path


def test_what_a_killed_import_left_is_never_offered_and_goes_with_the_next(
    colobus: Colobus, environ: dict[str, str], world: World, name: str, disk: Path, big: Path
) -> None:
    """As soon as Ceph knows that nobody is at it: before that, it may be another import."""
    process = begun(environ, world, name, big)
    try:
        assert colobus("delete", name).exit_code == 3
    finally:
        process.kill()
        assert process.wait() == -signal.SIGKILL
    (left,) = named(world, name)
    assert left.startswith("golden-import.")
    assert name not in listed(colobus)

    def unwatched() -> bool:
        with world.rbd.Image(world.pool, left, read_only=True) as image:
            return not list(image.watchers_list())

    eventually_sync(unwatched, what="the dead importer to be forgotten")
    assert colobus("import", str(disk), "--name", name).exit_code == 0
    check(world, name)


def test_ctrl_c_takes_the_import_back(
    environ: dict[str, str], world: World, name: str, big: Path
) -> None:
    process = begun(environ, world, name, big)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert b"interrupted" in said
    assert named(world, name) == []


@pytest.mark.parametrize(
    ("wrong", "code", "words"),
    [
        ({"COLOBUS_CEPH_POOL": ""}, 2, "COLOBUS_CEPH_POOL"),
        ({"COLOBUS_CEPH_POOL": "no-such-pool"}, 2, "no-such-pool"),
        ({"COLOBUS_CEPH_CONF": "/nonexistent.conf"}, 2, "/nonexistent.conf"),
        ({"COLOBUS_CEPH_KEYRING": "/nonexistent.keyring"}, 2, "no way to pool"),
    ],
)
def test_wrong_access_is_said_as_such(
    colobus: Colobus, wrong: dict[str, str], code: int, words: str
) -> None:
    result = colobus("list", **wrong)
    assert (result.exit_code, words in result.stderr) == (code, True), result.output


def test_a_key_that_ceph_does_not_accept_is_no_authorization(
    colobus: Colobus, world: World, tmp_path: Path
) -> None:
    keyring = tmp_path / "keyring"
    keyring.write_text(f"[client.{world.ceph.user}]\nkey = {cephx_key('0' * 32)}\n")
    result = colobus("list", COLOBUS_CEPH_KEYRING=str(keyring))
    assert (result.exit_code, "refuses" in result.stderr) == (4, True), result.output


def test_a_cluster_that_is_away_is_unavailable(colobus: Colobus, tmp_path: Path) -> None:
    """Within seconds."""
    conf = tmp_path / "ceph.conf"
    conf.write_text("[global]\nmon host = [v2:127.0.0.1:1/0]\nauth client required = none\n")
    result = colobus("list", COLOBUS_CEPH_CONF=str(conf))
    assert (result.exit_code, "doesn't answer" in result.stderr) == (5, True), result.output


def test_missing_libraries_are_named_as_packages(colobus: Colobus) -> None:
    """Only this command needs them."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(sys.modules, "rbd", None)
        result = colobus("list")
    assert result.exit_code == 2
    assert "python3-rados" in result.stderr
    assert "python3-rbd" in result.stderr


def test_a_name_that_is_none_is_refused(colobus: Colobus, disk: Path) -> None:
    refused = colobus("import", str(disk), "--name", "a/b")
    assert refused.exit_code == 2
    assert "letters" in refused.stderr
