"""The provisioning network and what answers machines in it: DHCP, boot loader, boot scripts."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import devcloud.plugins
from devcloud.component import Component
from devcloud.machines import ALL_MACHINES
from devcloud.processes import Daemon
from devcloud.provisioning import BRIDGE, HTTP_PORT, ISCSI_PORT, Network, network_of
from devcloud.site import Site

#: Where this machine's iSCSI target shall listen besides loopback; among the settings.
PORTALS = "tgt/portals"
BOOT_SERVER = "colobus_devcloud_boot_server"
#: By the firmware's architecture (RFC 4578, section 2.1): iPXE for BIOS, and for UEFI on arm64.
BOOT_LOADERS = {"undionly.kpxe": "", "ipxe-arm64.efi": "11"}
LOADER_FOLDERS = (Path("/usr/lib/ipxe"), Path("/boot"))


def http_root(site: Site) -> Path:
    """Return the folder whose files machines may read over HTTP; Ironic writes there."""
    return site.paths.data / "provisioning" / "http"


def tftp_root(site: Site) -> Path:
    """Return the folder whose files firmware may read over TFTP."""
    return site.paths.data / "provisioning" / "tftp"


def make_roots(site: Site) -> None:
    """Make both folders; whoever comes first of those who use them does."""
    for folder in (http_root(site).parent, http_root(site), tftp_root(site)):
        site.account.own(folder)


def dnsmasq_settings(network: Network, folder: Path, tftp: Path) -> str:
    """Return dnsmasq's configuration: DHCP, TFTP and router advertisements, but no DNS.

    iPXE waits for an advertisement before it goes on, and for proxy DHCP servers unless option 176
    of its own says that there are none.
    """
    hosts = [f"dhcp-host={machine.mac},{network.address(machine.host)}" for machine in ALL_MACHINES]
    loaders = []
    for loader, arch in BOOT_LOADERS.items():
        if arch:
            loaders.append(f"dhcp-match=set:arm64,option:client-arch,{arch}")
        tag = "arm64" if arch else "!arm64"
        loaders.append(f"dhcp-boot=tag:{tag},tag:!ipxe,{loader}")
    lines = [
        "port=0",
        f"interface={BRIDGE}",
        "bind-interfaces",
        "no-ping",
        "enable-ra",
        f"dhcp-range={','.join(network.leases)},255.255.255.0,1h",
        f"dhcp-range={network.ipv6},ra-only,64,1h",
        f"dhcp-leasefile={folder / 'leases'}",
        "log-dhcp",
        "log-facility=-",
        "enable-tftp",
        f"tftp-root={tftp}",
        "dhcp-match=set:ipxe,175",
        "dhcp-option=encap:175,176,1b",
        *hosts,
        *loaders,
        f"dhcp-boot=tag:ipxe,http://{network.gateway}:{HTTP_PORT}/boot.ipxe",
    ]
    return "\n".join(lines) + "\n"


class ProvisioningNetwork(Component):
    """A network namespace with a bridge, dnsmasq and the server of iPXE's scripts."""

    name = "provisioning-network"
    by_default = False
    packages: ClassVar[tuple[str, ...]] = ("dnsmasq-base", "iproute2", "ipxe")

    def render(self) -> None:
        """Write dnsmasq's configuration, and put boot loaders where it finds them."""
        site = self.site
        site.install_plugin(Path(devcloud.plugins.__file__).with_name(f"{BOOT_SERVER}.py"))
        make_roots(site)
        folder, tftp = http_root(site).parent, tftp_root(site)
        site.write_config("dnsmasq.conf", dnsmasq_settings(network_of(site), folder, tftp))
        for name in BOOT_LOADERS:
            for source in (place / name for place in LOADER_FOLDERS):
                if source.exists():
                    shutil.copyfile(source, tftp / name)
                    (tftp / name).chmod(0o644)

    def daemons(self) -> Sequence[Daemon]:
        """Return dnsmasq and the web server, both inside the network."""
        network = network_of(self.site)
        settings = self.site.paths.etc / "dnsmasq.conf"
        # It opens ports below 1024 and raw sockets, and tells the kernel about neighbours.
        rights = ("net_admin", "net_raw", "net_bind_service")
        dnsmasq = ["dnsmasq", "--keep-in-foreground", f"--conf-file={settings}", "--pid-file="]
        program = self.site.paths.plugins / f"{BOOT_SERVER}.py"
        where = [str(http_root(self.site)), network.gateway, str(HTTP_PORT)]
        boot_server = ["/usr/bin/python3", str(program), *where]
        return (
            Daemon(self.name, dnsmasq, enter=network.enter, capabilities=rights),
            Daemon("boot-server", boot_server, enter=network.enter),
        )

    def start(self) -> None:
        """Make the network, where it isn't there, start what answers in it, tell the target."""
        network = network_of(self.site)
        network.create()
        super().start()
        self.site.write_config(PORTALS, f"{network.portal}:{ISCSI_PORT}\n")

    def ready(self) -> bool:
        """Tell whether the network is there and both run."""
        return network_of(self.site).exists() and self.running()

    def stop(self) -> None:
        """Stop what answers, and forget the network unless something still runs inside."""
        super().stop()
        (self.site.paths.etc / PORTALS).unlink(missing_ok=True)
        network_of(self.site).remove()
