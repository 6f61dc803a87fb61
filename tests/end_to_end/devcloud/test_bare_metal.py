"""A diskless machine, switched on through Redfish by Ironic, boots from an iSCSI target."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from devcloud.cloud_venv import venv_path
from devcloud.components.bmc import hardware
from devcloud.images import TinyImage
from devcloud.machines import MACHINES, Machine
from devcloud.provisioning import HTTP_PORT, network_of
from tests.support import devcloud
from tests.support.bare_metal import Console, Metal, new_volume
from tests.support.conditions import eventually_sync
from tests.support.iscsi_target import Session, Target, serving

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can make network namespaces"),
]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGmkNdTYqVdHFiFwPyy3Rm0CvCDmZtHhCfIUeqhN8YyS"
USER_DATA = f"#cloud-config\nusers:\n- name: root\n  ssh_authorized_keys: ['{KEY}']\n"
#: Run by the cloud's Python, which has pycdlib.
MAKE_ISO = """
import io, pycdlib, sys
iso = pycdlib.PyCdlib()
iso.new(interchange_level=3, joliet=3, rock_ridge='1.09', vol_ident='cidata')
for name, text in (('meta-data', sys.argv[2]), ('user-data', sys.argv[3])):
    short = '/' + name.upper().replace('-', '') + '.;1'
    iso.add_fp(io.BytesIO(text.encode()), len(text), short, rr_name=name, joliet_path='/' + name)
iso.write(sys.argv[1])
"""


@pytest.fixture(scope="module")
def metal() -> Metal:
    """The cloud's bare metal."""
    devcloud.up("bare-metal")
    return Metal()


@pytest.fixture(scope="module")
def target(metal: Metal, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A target in the machines' network."""
    with serving(network_of(metal.site), tmp_path_factory.mktemp("tgt")) as made:
        yield made


@pytest.fixture
def root(metal: Metal, tmp_path: Path) -> Path:
    """A copy of the golden image."""
    return Path(shutil.copy(TinyImage(metal.site).build(), tmp_path / "root.raw"))


def _config_volume(metal: Metal, file: Path) -> Path:
    python = venv_path(metal.site) / "bin" / "python"
    texts = ["instance-id: i-17\nlocal-hostname: one\n", USER_DATA]
    subprocess.run([python, "-c", MAKE_ISO, file, *texts], check=True)
    with file.open("r+b") as opened:
        opened.truncate(4 << 20)
    return file


def test_a_machine_boots_from_its_volume_and_is_given_back_clean(
    metal: Metal, target: Target, root: Path, tmp_path: Path
) -> None:
    """The firmware logs in, then the system itself; what it wrote is there after a reboot."""
    volume = new_volume(metal.site)
    disks = [root, _config_volume(metal, tmp_path / "cidata.iso")]
    target.export(1, volume.target, disks, volume.user, volume.password, volume.initiator)
    with metal.allocated(volume.name) as (node, machine):
        console = Console(metal.site, machine)
        metal.deploy(node, volume)
        said = console.until("] ready")
        steps = [
            "Registered SAN device",
            "started",
            f"target {volume.target} at {volume.portal}",
            "iSCSI login done",
            "root mounted",
            "boot number 1 of this disk",
            "config volume: instance-id: i-17",
            f"user data: sha256 {hashlib.sha256(USER_DATA.encode()).hexdigest()}",
            f"sha256 {hashlib.sha256(KEY.split()[1].encode()).hexdigest()}",
        ]
        assert [step for step in steps if step not in said] == []
        assert [said.index(step) for step in steps] == sorted(said.index(step) for step in steps)
        assert volume.password not in said
        first = _system(target)
        assert first.alias == "tiny"

        rebooted = Console(metal.site, machine)
        metal.ironic.set_node_power_state(node, "rebooting")
        assert "boot number 2 of this disk" in rebooted.until("] ready")
        assert metal.process(machine) is not None
        assert _system(target).nexus > first.nexus

        metal.release(node.id)
        assert metal.process(machine) is None
        after = metal.ironic.get_node(node.id)
        assert (after.provision_state, after.power_state) == ("available", "power off")
        assert list(metal.ironic.volume_targets(node=node.id)) == []
    target.withdraw(1, volume.user)


def _system(target: Target) -> Session:
    """Return the newest login, which must be the system's; its firmware's may linger beside it."""
    newest = max(target.sessions(), key=lambda session: session.nexus)
    assert not newest.of_firmware
    return newest


def test_a_boot_script_is_given_to_its_machine_only(
    metal: Metal, target: Target, root: Path
) -> None:
    """It holds the secret of the machine's volume."""
    volume = new_volume(metal.site)
    target.export(2, volume.target, [root], volume.user, volume.password, volume.initiator)
    with metal.allocated(volume.name) as (node, machine):
        console = Console(metal.site, machine)
        metal.deploy(node, volume)
        console.until("Registered SAN device")
        card = machine.mac.replace(":", "-")
        for path in (f"pxelinux.cfg/{card}", f"{node.id}/config", "pxelinux.cfg/"):
            assert _status(metal, path) == "403"
        assert _status(metal, "boot.ipxe") == "200"
    target.withdraw(2, volume.user)


def _status(metal: Metal, path: str) -> str:
    """Ask the boot server from inside the network, but not as a machine."""
    ask = (
        "import sys, http.client as h; c = h.HTTPConnection(*sys.argv[1:3], timeout=10); "
        "c.request('GET', '/' + sys.argv[3]); print(c.getresponse().status)"
    )
    network = network_of(metal.site)
    argv = ["/usr/bin/python3", "-c", ask, network.gateway, str(HTTP_PORT), path]
    command = network.command(argv)
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_a_killed_controller_knows_its_machines_again(metal: Metal) -> None:
    """They go on without it; switching on what is on makes no second one."""
    machine = MACHINES[-1]
    node = metal.ironic.get_node(machine.name)
    metal.ironic.set_node_power_state(node, "power on", wait=True, timeout=60)
    before = metal.process(machine)
    assert before is not None
    try:
        metal.cloud.kill("bmc")
        assert metal.process(machine) == before
        metal.cloud.start("bmc")
        metal.ironic.set_node_power_state(node, "power on", wait=True, timeout=60)
        assert metal.process(machine) == before
        assert len(_emulators(metal, machine)) == 1
        os.kill(before, signal.SIGKILL)  # the machine fails, not the controller
        eventually_sync(lambda: metal.process(machine) is None, what="it is off")
        # Who waits would see that it is on, as it was when Ironic looked last.
        metal.ironic.set_node_power_state(node, "power on")
        eventually_sync(lambda: metal.process(machine) not in (None, before), what="it is on again")
    finally:
        metal.cloud.start("bmc")
        metal.ironic.set_node_power_state(node, "power off", wait=True, timeout=60)
    assert metal.process(machine) is None


def _emulators(metal: Metal, machine: Machine) -> list[str]:
    shown = subprocess.run(["ps", "-ww", "-eo", "args"], check=True, capture_output=True, text=True)
    pid_file = str(hardware(metal.site, machine).pid_file)
    return [line for line in shown.stdout.splitlines() if pid_file in line.split()]
