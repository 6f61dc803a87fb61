"""What Ironic's iPXE script has a machine boot from. Pure.

The script is Ironic's own (`ironic/drivers/modules/ipxe_config.template`): it is the one place from
which a machine's firmware gets its CHAP secret, which Ironic's API shows to nobody.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

#: Where the script begins: Ironic changes this line when a deployment is to boot from its volume.
_BEGINS = re.compile(r"^goto boot_iscsi$", re.MULTILINE)
_SET = re.compile(r"^set (username|password|initiator-iqn) (\S+)$", re.MULTILINE)
#: RFC 4173, section 5: iscsi:<servername>:<protocol>:<port>:<LUN>:<targetname>.
_HOOK = re.compile(r"^sanhook --drive 0x80 iscsi:([^:\s]+)::(\d*):([0-9a-f]*):(\S+)", re.MULTILINE)
_PORT = "3260"


@dataclass(frozen=True, slots=True)
class BootDisk:
    """A disk and the names to get it by; ``portal`` is address:port."""

    portal: str
    target: str
    lun: int
    initiator: str
    username: str
    password: str = field(repr=False)


def boot_disk(script: str) -> BootDisk | None:
    """Return what a machine with this script boots from; None where that is no iSCSI disk."""
    hook, names = _HOOK.search(script), dict(_SET.findall(script))
    if _BEGINS.search(script) is None or hook is None or "initiator-iqn" not in names:
        return None
    host, port, lun, target = hook.groups()
    return BootDisk(
        portal=f"{host}:{port or _PORT}",
        target=target,
        lun=int(lun or "0", 16),
        initiator=names["initiator-iqn"],
        username=names.get("username", ""),
        password=names.get("password", ""),
    )
