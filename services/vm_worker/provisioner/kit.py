"""What all provisioning functions need besides the project and the command."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from services.vm_worker.provisioner.default_network import DefaultNetworks
from shared.runtime.secrets import SealingKey
from shared.worker.marks import Marks
from shared.worker.memory import Memory

WORKER = "vm_worker"


@dataclass(frozen=True)
class Kit:
    """Made once, in wiring. ``external_network`` names the one for floating IPs, where several."""

    marks: Marks
    sealing_key: SealingKey
    default_networks: DefaultNetworks
    external_network: str | None = None
    memory: Memory = field(default_factory=Memory)


def mac_address(resource_id: str) -> str:
    """Return the MAC address of the VM's port, the same each time.

    A network has an address only once, so a second port for the same VM is refused by Neutron
    itself. Unicast and locally administered (IEEE 802 §8.4); below 80:…, since libvirt keeps
    fe:… for itself.
    """
    octets = bytearray(hashlib.sha256(resource_id.encode()).digest()[:6])
    octets[0] = octets[0] & 0x7C | 0x02
    return octets.hex(":")
