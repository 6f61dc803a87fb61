"""An iSCSI initiator in a process of its own (QEMU's), for kernels that have none."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass

from devcloud.packages import DebianPackages
from devcloud.site import Site

PACKAGES = DebianPackages(("qemu-utils", "qemu-block-extra"))
SECONDS = 30
#: A line of what qemu-io reads: offset, then up to 16 bytes in hexadecimal, then as text.
DUMP = re.compile(r"^[0-9a-f]{8,}:  ((?:[0-9a-f]{2} )+)", re.MULTILINE)


class Refused(Exception):
    """The target let this initiator not in; the message is the initiator's."""


def install(site: Site) -> None:
    """Make sure that the initiator is there."""
    with site.exclusively():
        if not PACKAGES.installed(site):
            PACKAGES.install(site)


@dataclass(frozen=True, slots=True)
class Initiator:
    """One initiator before one target."""

    portal: str
    target: str
    name: str
    user: str
    password: str

    def read(self, lun: int, offset: int, length: int) -> bytes:
        """Log in, read and log out; raise `Refused` where the login fails."""
        shown = self._io(lun, f"read -v {offset} {length}")
        return b"".join(bytes.fromhex(line) for line in DUMP.findall(shown))

    def write(self, lun: int, offset: int, length: int, value: int) -> None:
        """Log in, write so many bytes of one value, and log out."""
        self._io(lun, f"write -P {value} {offset} {length}")

    def _io(self, lun: int, command: str) -> str:
        image = {
            "driver": "raw",
            "file.driver": "iscsi",
            "file.transport": "tcp",
            "file.portal": self.portal,
            "file.target": self.target,
            "file.lun": str(lun),
            "file.initiator-name": self.name,
            "file.user": self.user,
            "file.password-secret": "chap",
        }
        options = ",".join(f"{name}={value}" for name, value in image.items())
        secret = f"secret,id=chap,data={self.password}"
        argv = ["qemu-io", "--object", secret, "--image-opts", options, "-c", command]
        # The library tries again for ever where it was logged in once.
        done = subprocess.run(argv, capture_output=True, text=True, timeout=SECONDS, check=False)
        if done.returncode != 0:
            raise Refused(done.stderr)
        return done.stdout
