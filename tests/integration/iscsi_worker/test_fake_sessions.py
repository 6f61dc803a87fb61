"""The sessions of the machines that aren't there, at a real target."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from devcloud.stand_ins.boot_script import BootDisk
from devcloud.stand_ins.libiscsi import Session, serve
from tests.integration.iscsi_worker.tgtd import Tgtd, own_tgtd
from tests.support import devcloud
from tests.support.conditions import eventually_sync
from tests.support.fake_machines import PACKAGE

TARGET, INITIATOR = "iqn.2026-11.test.colobus:disk", "iqn.2026-11.test.colobus:us"
USER, PASSWORD, ALIAS = "us", "secret-of-14-b", "node-7"


@pytest.fixture
def tgtd(ceph: dict[str, str]) -> Iterator[Tgtd]:
    """A target of the test's own, whose disk is a file."""
    del ceph
    devcloud.install(PACKAGE)
    with own_tgtd(Path("none"), "nobody") as made:
        yield made


def _export(tgtd: Tgtd, disk: Path) -> None:
    target = ["--mode", "target", "--tid", "1"]
    tgtd.order("--op", "new", *target, "--targetname", TARGET)
    lun = ["--mode", "logicalunit", "--tid", "1", "--lun", "1"]
    tgtd.order("--op", "new", *lun, "--backing-store", str(disk))
    tgtd.order("--op", "new", "--mode", "account", "--user", USER, "--password", PASSWORD)
    tgtd.order("--op", "bind", "--mode", "account", "--tid", "1", "--user", USER)
    tgtd.order("--op", "bind", *target, "--initiator-address", "ALL")


def test_who_comes_back_after_the_target_was_away_tells_his_alias_again(
    tgtd: Tgtd, tmp_path: Path
) -> None:
    """As a system does; by it the firmware's login is told from the system's (decision 0037)."""
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(1024 * 1024))
    _export(tgtd, disk)
    held = Session(BootDisk(tgtd.portal, TARGET, 1, INITIATOR, USER, PASSWORD), ALIAS)

    def is_seen() -> bool:
        serve([held], 0.1)
        assert held.failure is None
        return f"Initiator: {INITIATOR} alias: {ALIAS}" in tgtd.targets()

    try:
        eventually_sync(is_seen, what="its login")
        tgtd.kill()
        tgtd.start()
        assert INITIATOR not in tgtd.targets()
        _export(tgtd, disk)
        eventually_sync(is_seen, what="its second login")
    finally:
        held.close()
