"""Ceph: real monitor and OSD, in a cloud of these tests' own, since they kill them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import psutil
import pytest

from devcloud.api import Supervisor
from devcloud.ceph_settings import ADMIN, OSD, POOL, WORKER, conf_path, keyring_path
from devcloud.ports import SPAN
from devcloud.tools import ToolFailed
from tests.integration.devcloud.pool import connected, libraries, make_image, opened, read_image
from tests.support.conditions import eventually_sync
from tests.support.devcloud import begin_up, own_cloud

DAEMONS = ("ceph-osd", "ceph-mon")


@pytest.fixture(scope="module")
def cloud() -> Iterator[Supervisor]:
    """A running Ceph whose first set-up was killed while the OSD's store was being made."""
    with own_cloud("test-ceph") as made:
        data = made.site.paths.data / "ceph" / OSD
        first = begin_up(made, "ceph")
        eventually_sync(
            lambda: (data / "block").exists() or first.poll() is not None,
            within=600,  # with its packages, on a machine that never had it
            what="the store is being made",
        )
        first.kill()
        assert first.wait() == -signal.SIGKILL
        assert not made.site.is_done("ceph-osd")
        made.up(["ceph"])
        yield made


def test_a_set_up_that_was_killed_in_its_middle_is_taken_up_again(cloud: Supervisor) -> None:
    """What was half made is made anew; what was complete stays."""
    assert cloud.site.is_done("ceph-osd")
    assert all(cloud.components[name].ready() for name in (*DAEMONS, "ceph"))


def test_what_a_service_writes_it_reads_again(cloud: Supervisor) -> None:
    """With the services' user, through the distribution's library."""
    make_image(cloud.site, "plain", b"hello")
    assert read_image(cloud.site, "plain", 0, 5) == b"hello"


def test_setting_up_again_changes_nothing(cloud: Supervisor) -> None:
    """Neither data nor processes."""
    make_image(cloud.site, "kept", b"kept")
    before = [cloud.site.processes.pid(name) for name in DAEMONS]
    cloud.up(["ceph"])
    assert [cloud.site.processes.pid(name) for name in DAEMONS] == before
    assert read_image(cloud.site, "kept", 0, 4) == b"kept"


def test_data_outlives_a_crash_of_osd_and_monitor(cloud: Supervisor) -> None:
    """What was acknowledged is there after SIGKILL, without a repair."""
    make_image(cloud.site, "crashed", os.urandom(1 << 20))
    before = read_image(cloud.site, "crashed", 0, 1 << 20)
    for name in DAEMONS:
        cloud.kill(name)
    assert not cloud.components["ceph"].ready()
    cloud.up(["ceph"])
    assert read_image(cloud.site, "crashed", 0, 1 << 20) == before
    make_image(cloud.site, "after-the-crash")


def test_a_snapshot_does_not_wait_for_the_monitors_usual_second(cloud: Supervisor) -> None:
    """Ten of them take less than one would by default, and clones need no protection."""
    rados, rbd = libraries()
    make_image(cloud.site, "golden", b"golden")
    with opened(cloud.site) as context, rbd.Image(context, "golden") as image:
        began = os.times().elapsed
        for number in range(10):
            image.create_snap(f"v{number}")
        assert os.times().elapsed - began < 5
    with (
        rados.Rados(
            conffile=str(conf_path(cloud.site)), name=WORKER, conf={"rbd_default_clone_format": "2"}
        ) as cluster,
        cluster.open_ioctx(POOL) as context,
    ):
        rbd.RBD().clone(context, "golden", "v9", context, "clone")
    assert read_image(cloud.site, "clone", 0, 6) == b"golden"


def test_a_service_can_use_no_other_pool_and_make_none(cloud: Supervisor) -> None:
    """Its key is worth one pool."""
    rados, rbd = libraries()
    with connected(cloud.site, ADMIN) as cluster:
        cluster.create_pool("private")
        with cluster.open_ioctx("private") as context:
            context.write_full("secret", b"secret")
    with connected(cloud.site) as cluster:
        with cluster.open_ioctx("private") as context:
            with pytest.raises(rados.PermissionError):
                context.read("secret")
            with pytest.raises((rados.PermissionError, rbd.PermissionError)):
                rbd.RBD().create(context, "image", 1 << 20)
        with pytest.raises(rados.PermissionError):
            cluster.create_pool("mine")
        with pytest.raises(rados.PermissionError):
            cluster.delete_pool(POOL)


def test_the_administrators_key_is_not_for_the_daemons_user(cloud: Supervisor) -> None:
    """A service that reads all it can, reads no key that makes pools."""
    site = cloud.site
    if site.account.is_caller:
        pytest.skip("there is only one user")
    assert site.tools.read(["cat", str(keyring_path(site, WORKER))])
    with pytest.raises(ToolFailed):
        site.tools.read(["cat", str(keyring_path(site, ADMIN))])


def test_nothing_listens_but_on_loopback_in_this_clouds_range(cloud: Supervisor) -> None:
    """Neither on the machine's other addresses nor on another cloud's ports."""
    base = cloud.site.ports.base
    for name in DAEMONS:
        process = psutil.Process(cloud.site.processes.pid(name))
        addresses = [c.laddr for c in process.net_connections("inet") if c.status == "LISTEN"]
        assert addresses
        assert all(a.ip == "127.0.0.1" and base <= a.port < base + SPAN for a in addresses)
