"""ceph-iscsi (rbd-target-api, tcmu-runner, LIO): the other gateway that Colobus knows, in a VM.

The kernels that this must run on have no LIO, so it has a Debian of its own in QEMU, emulated in
software, on QEMU's own little network. What it knows is in Ceph: each start is that of a machine
whose disk is fresh, and its targets are there again.

Addresses: ceph-iscsi has initiators log in to an address of its host, at port 3260, and Ceph's
daemons are known by addresses of this machine's loopback. So the VM has the portal's address too,
another of 127.0.0.0/8, and passes on what it has for Ceph to this machine (`nftables`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from aiohttp import encode_basic_auth

from devcloud.ceph_daemon import administer
from devcloud.ceph_settings import POOL, entity_key, settings
from devcloud.cephx import Capabilities, render_keyring
from devcloud.component import Component, answers_http
from devcloud.images.ceph_iscsi_image import CephIscsiImage
from devcloud.ini import Sections, render_ini
from devcloud.ports import HOST, OSD_PORTS
from devcloud.processes import Daemon
from devcloud.site import Site

#: What the host is called, to itself too, and who may use its API.
GATEWAY, USER = "gateway-1.devcloud.test", "admin"
API_PORT, ISCSI_PORT = 5000, 3260
#: Its user in Ceph. A gateway that died loses its locks and is blocklisted for that; when it comes
#: back it lets itself in again. Without the right to, rbd-target-api doesn't start.
ENTITY = "client.colobus-ceph-iscsi"
RIGHTS: Capabilities = {
    "mon": "profile rbd, allow command 'osd blocklist', allow command 'osd blacklist'",
    "osd": f"profile rbd pool={POOL}",
}
#: What the VM runs.
INIT = Path(__file__).with_suffix(".sh")
#: QEMU's user network: the VM, and this machine as the VM sees it.
GUEST, OUTSIDE = "10.0.2.15", "10.0.2.2"
MEMORY_MIB = 1024


def portal_address(site: Site) -> str:
    """Return the loopback address where initiators log in: this cloud's own, by its ports."""
    return f"127.{site.ports.base >> 8}.{site.ports.base & 255}.1"


def password_path(site: Site) -> Path:
    """Return where the password of the API's user is."""
    return site.paths.etc / "ceph-iscsi" / "password"


def console(site: Site) -> Path:
    """Return the log of the VM's serial console, of all its starts."""
    return site.paths.log / "ceph-iscsi-console.log"


def gateway_settings(site: Site) -> Sections:
    """Return iscsi-gateway.cfg. Its settings are in the pool too, as the object `gateway.conf`."""
    return {
        "config": {
            "cluster_client_name": ENTITY,
            "pool": POOL,
            "minimum_gateways": 1,
            "api_secure": False,
            "api_host": "0.0.0.0",  # noqa: S104 - of the VM
            "api_port": API_PORT,
            "api_user": USER,
            "api_password": site.credentials["ceph-iscsi"],
            "trusted_ip_list": f"{OUTSIDE},{GUEST},{HOST}",
            "log_to_file": False,
            "log_to_stderr": True,
            "prometheus_exporter": False,
        }
    }


def ceph_settings(site: Site) -> Sections:
    """Return the VM's ceph.conf: what clients need of this machine's."""
    wanted = ("fsid", "mon host")
    return {
        "global": {
            **{name: settings(site)["global"][name] for name in wanted},
            "keyring": "/etc/ceph/keyring",
            "admin socket": "",
        },
        ENTITY: {"rbd cache": False},
    }


def nftables(site: Site) -> str:
    """Return the VM's rules: portals are on its loopback, and Ceph is on ours."""
    first, last = site.ports["ceph-mon"], site.ports[f"ceph-osd-{OSD_PORTS - 1}"]
    portal = portal_address(site)
    return (
        "table ip colobus {\n"
        " chain prerouting { type nat hook prerouting priority -100;\n"
        f'  iifname "eth0" tcp dport {ISCSI_PORT} dnat to {portal}; }}\n'
        " chain output { type nat hook output priority -100;\n"
        f"  ip daddr {HOST} tcp dport {first}-{last} dnat to {OUTSIDE}; }}\n"
        " chain postrouting { type nat hook postrouting priority 100;\n"
        '  oifname "eth0" masquerade; }\n'
        "}\n"
    )


class CephIscsi(Component):
    """The VM. Its image is built when it is first started, and kept in the cache."""

    name = main_port = "ceph-iscsi"
    by_default = False
    requires: ClassVar[tuple[str, ...]] = ("ceph",)
    packages: ClassVar[tuple[str, ...]] = ("qemu-system-x86",)
    ready_within = 600.0

    def render(self) -> None:
        """Write what the VM is told; it reads that when it starts."""
        site, keys = self.site, {ENTITY: entity_key(self.site, ENTITY)}
        files = {
            "ceph.conf": render_ini(ceph_settings(site)),
            "keyring": render_keyring(keys, {}),
            "iscsi-gateway.cfg": render_ini(gateway_settings(site)),
            "hostname": f"{GATEWAY}\n",
            "hosts": f"{HOST} localhost\n{GUEST} {GATEWAY}\n",
            "addresses": f"{GUEST}/24 eth0\n{portal_address(site)}/32 lo\n",
            "nftables": nftables(site),
            "init": INIT.read_text(),
        }
        for name, text in files.items():
            site.write_config(f"ceph-iscsi/told/{name}", text)
        site.write_config("ceph-iscsi/user", render_keyring(keys, {ENTITY: RIGHTS}))
        site.write_config("ceph-iscsi/password", site.credentials[self.name] + "\n")

    def configured(self) -> bool:
        """Tell whether it is known what to start it from; while it runs that stays as it is."""
        return self.running()

    def configure(self) -> None:
        """Make its user, and have the image built, unless it is in the cache."""
        user = str(self.site.paths.etc / "ceph-iscsi" / "user")
        administer(self, "ceph", "auth", "import", f"--in-file={user}")
        image = CephIscsiImage(self.site).build()
        self.site.account.own(self._folder)
        (self._folder / "image").write_text(f"{image}\n")

    def daemons(self) -> Sequence[Daemon]:
        """Return QEMU. Ending it is pulling the plug: there is nothing to be written."""
        record = self._folder / "image"
        image = record.read_text().strip() if record.exists() else "none"
        where = {"TMPDIR": str(self._folder)}  # for what is written to the disk, until it ends
        return (Daemon(self.name, self._command(image), where),)

    def ready(self) -> bool:
        """Tell whether the API answers us."""
        login = encode_basic_auth(USER, self.site.credentials[self.name])
        headers = {"Authorization": login}
        port = self.site.ports[self.name]
        return self.running() and answers_http(port, "/api/config", headers)

    @property
    def _folder(self) -> Path:
        return self.site.paths.data / self.name

    def _command(self, image: str) -> list[str]:
        portal = f"{portal_address(self.site)}:{ISCSI_PORT}"
        forwards = [
            f"hostfwd=tcp:{HOST}:{self.site.ports[self.name]}-{GUEST}:{API_PORT}",
            f"hostfwd=tcp:{portal}-{GUEST}:{ISCSI_PORT}",
        ]
        told = sorted((self.site.paths.etc / "ceph-iscsi" / "told").glob("*"))
        return [
            "qemu-system-x86_64", "-name", self.name, "-machine", "pc,graphics=off",
            "-accel", "tcg,tb-size=256", "-cpu", "max", "-smp", "2", "-m", str(MEMORY_MIB),
            "-nodefaults", "-display", "none", "-device", "virtio-rng-pci",
            "-drive", f"file={image},format=raw,if=virtio,snapshot=on",
            "-netdev", ",".join(["user,id=net,ipv6=off", *forwards]),
            "-device", "virtio-net-pci,netdev=net,romfile=",
            *(part for file in told
              for part in ("-fw_cfg", f"name=opt/org.colobus/{file.name},file={file}")),
            "-chardev", f"file,id=console,path={console(self.site)},append=on",
            "-serial", "chardev:console",
        ]  # fmt: skip
