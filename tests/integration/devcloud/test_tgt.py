"""tgt: images offered to a real initiator, in a cloud of these tests' own, since they kill it."""

from __future__ import annotations

import dataclasses
import itertools
import math
import subprocess
from collections.abc import Iterator

import pytest

from devcloud.api import Supervisor
from devcloud.ceph_settings import POOL, TARGET, conf_path
from devcloud.components.tgt import offered_at, portals_path, tgtadm_path
from tests.integration.devcloud.pool import make_image, read_image
from tests.support.devcloud import own_cloud
from tests.support.initiator import Initiator, Refused, install

NAME, STRANGER = "iqn.2026-11.test.colobus:us", "iqn.2026-11.test.colobus:them"
PASSWORD = "secret-of-14-b"
NUMBERS = itertools.count(1)
#: Class 2 and detail 1 or 3 of a refused login (RFC 7143, 11.13.5), as the initiator shows them.
AUTHENTICATION_FAILED, NOT_FOUND = r"\(513\)", r"\(515\)"


@pytest.fixture(scope="module")
def cloud() -> Iterator[Supervisor]:
    """A running tgt, with the Ceph that it takes images from."""
    with own_cloud("test-tgt") as made:
        made.up(["tgt"])
        install(made.site)
        yield made


def tgtadm(cloud: Supervisor, *arguments: str) -> str:
    """Give an order as a service would."""
    argv = [str(tgtadm_path(cloud.site)), "--lld", "iscsi", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=20).stdout


def export(cloud: Supervisor, image: str) -> Initiator:
    """Offer an image as LUN 1 of a target of its own, to one initiator that knows the password."""
    number = next(NUMBERS)
    target, tid, user = f"iqn.2026-11.test.colobus:{image}", f"--tid={number}", f"user-{number}"
    options = f"conf={conf_path(cloud.site)};id={TARGET.removeprefix('client.')}"
    store = ["--bstype=rbd", f"--backing-store={POOL}/{image}", f"--bsopts={options}"]
    tgtadm(cloud, "--op=new", "--mode=target", tid, f"--targetname={target}")
    tgtadm(cloud, "--op=new", "--mode=logicalunit", tid, "--lun=1", *store)
    tgtadm(cloud, "--op=new", "--mode=account", f"--user={user}", f"--password={PASSWORD}")
    tgtadm(cloud, "--op=bind", "--mode=account", tid, f"--user={user}")
    tgtadm(cloud, "--op=bind", "--mode=target", tid, f"--initiator-name={NAME}")
    return Initiator(offered_at(cloud.site)[0], target, NAME, user, PASSWORD)


def test_an_image_is_read_by_whom_it_is_offered_to(cloud: Supervisor) -> None:
    """With the right name and password."""
    make_image(cloud.site, "offered", b"of Ceph")
    assert export(cloud, "offered").read(lun=1, offset=0, length=512).rstrip(b"\0") == b"of Ceph"


def test_a_wrong_password_is_refused(cloud: Supervisor) -> None:
    """CHAP."""
    make_image(cloud.site, "guarded")
    initiator = export(cloud, "guarded")
    with pytest.raises(Refused, match=AUTHENTICATION_FAILED):
        dataclasses.replace(initiator, password="another-secret").read(1, 0, 512)


def test_another_initiator_finds_no_target(cloud: Supervisor) -> None:
    """Even with the right password."""
    make_image(cloud.site, "private")
    initiator = export(cloud, "private")
    with pytest.raises(Refused, match=NOT_FOUND):
        dataclasses.replace(initiator, name=STRANGER).read(1, 0, 512)


def test_what_was_written_is_in_the_image_when_the_target_is_killed(cloud: Supervisor) -> None:
    """It keeps nothing back; after its start it has no targets until somebody exports them."""
    make_image(cloud.site, "written")
    initiator = export(cloud, "written")
    initiator.write(lun=1, offset=4096, length=4096, value=0x5A)
    cloud.kill("tgt")
    assert read_image(cloud.site, "written", 4096, 4096) == b"\x5a" * 4096
    cloud.start("tgt")
    assert "Target" not in tgtadm(cloud, "--op=show", "--mode=target")
    with pytest.raises(Refused):
        initiator.read(1, 0, 512)
    again = export(cloud, "written")
    again.write(lun=1, offset=0, length=512, value=0x42)  # the dead one's lock is no obstacle
    assert again.read(1, 0, 512) == b"\x42" * 512


def test_it_stops_at_once_though_it_has_targets(cloud: Supervisor) -> None:
    """It ignores SIGTERM: the grace before SIGKILL, here endless, would be waited for in vain."""
    make_image(cloud.site, "stopped")
    export(cloud, "stopped")
    tgt = cloud.components["tgt"]
    (daemon,) = tgt.daemons()
    tgt.site.processes.stop(dataclasses.replace(daemon, grace=math.inf))
    assert not tgt.running()
    cloud.start("tgt")


def test_portals_come_and_go_while_it_runs(cloud: Supervisor) -> None:
    """Targets and sessions stay; the image is offered at both, then at the one that is left."""
    make_image(cloud.site, "everywhere", b"both")
    initiator = export(cloud, "everywhere")
    second = f"127.0.0.2:{cloud.site.ports['tgt']}"
    portals_path(cloud.site).write_text(f"{second}\n")
    cloud.up(["tgt"])
    for portal in (initiator.portal, second):
        seen = dataclasses.replace(initiator, portal=portal).read(1, 0, 512)
        assert seen.rstrip(b"\0") == b"both"
    portals_path(cloud.site).unlink()
    cloud.up(["tgt"])
    assert second not in tgtadm(cloud, "--op=show", "--mode=portal")
    assert initiator.read(1, 0, 512).rstrip(b"\0") == b"both"
