"""The names that things bear in Ceph and on gateways: marks of whose they are, from the start.

Pure. All that a name is made of has no dots (installation and tenant are slugs, ids are
``<kind>-<ulid>``), so a name is read back without doubt; what has one word more is another sort of
thing. The longest image name has 115 bytes (librbd takes more, though the `rbd` command's tables
cut them), the longest target's or initiator's name 134 (RFC 3720 §3.2.6.1: 223 at most). Their
characters are those which ceph-iscsi allows too.
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.contract.identifiers import is_id, kind_of

_IMAGE = "colobus"
_AUTHORITY = "iqn.2026-11.org.colobus"
_GOLDEN = "golden."
#: The last word of the names of a machine's second disk, and of its initiator.
_CONFIG, _INITIATOR = ".config", ".initiator"
#: The snapshot of a golden image that volumes are cloned from.
GOLDEN_SNAPSHOT = "golden"
#: How the keys of our notes on images begin.
NOTES = "colobus."
#: The note on a golden image that says what proves its systems, and the one value that it has:
#: without it, that their own login does.
PROOF, PHONE_HOME = f"{NOTES}proof", "phone-home"
#: The note on a machine's root disk that its system has phoned home: the machine's id, since
#: whatever is copied of the disk has the note, too.
PHONED_HOME = f"{NOTES}phoned-home"


@dataclass(frozen=True)
class Owned:
    """Whose a thing is, as its name says."""

    tenant: str
    resource_id: str


@dataclass(frozen=True)
class Names:
    """The names of one installation's things."""

    installation_id: str

    def image(self, tenant: str, volume_id: str) -> str:
        """The RBD image of a volume, or of a machine's root disk."""
        return f"{_IMAGE}.{self.installation_id}.{tenant}.{volume_id}"

    def config_image(self, tenant: str, machine_id: str) -> str:
        """The RBD image of a machine's second disk."""
        return self.image(tenant, machine_id) + _CONFIG

    def target(self, tenant: str, resource_id: str) -> str:
        """The iSCSI target of an attachment or a machine."""
        return f"{_AUTHORITY}:{self.installation_id}.{tenant}.{resource_id}"

    def initiator(self, tenant: str, machine_id: str) -> str:
        """The iSCSI initiator that a machine is: its firmware, and then its system."""
        return self.target(tenant, machine_id) + _INITIATOR

    def owner_of_image(self, name: str) -> Owned | None:
        """Whose volume or root disk this image is; None where it is none of this installation's."""
        return self._owner(name, _IMAGE + ".")

    def owner_of_config_image(self, name: str) -> Owned | None:
        """Whose second disk this image is; None where it is none of this installation's."""
        image = name.removesuffix(_CONFIG)
        owner = self.owner_of_image(image) if image != name else None
        return owner if owner and is_id(owner.resource_id, "machine") else None

    def owner_of_target(self, name: str) -> Owned | None:
        """Whose target this is; None where it is none of this installation's."""
        return self._owner(name, _AUTHORITY + ":")

    def owner_of_snapshot(self, handle: str) -> Owned | None:
        """Whose snapshot ``image@snapshot`` is; None where it is none of this installation's."""
        image, _, snapshot = handle.partition("@")
        owner = self.owner_of_image(image)
        is_ours = owner is not None and is_id(snapshot, "snapshot")
        return Owned(owner.tenant, snapshot) if owner and is_ours else None

    def _owner(self, name: str, prefix: str) -> Owned | None:
        parts = name.removeprefix(prefix).split(".") if name.startswith(prefix) else []
        if len(parts) != 3 or parts[0] != self.installation_id or not kind_of(parts[2]):
            return None
        return Owned(parts[1], parts[2])


def golden_image(name: str) -> str:
    """The RBD image of the golden image that is called so."""
    return _GOLDEN + name


def golden_name(image: str) -> str | None:
    """What the golden image is called whose RBD image this is; None where it is none."""
    return image.removeprefix(_GOLDEN) or None if image.startswith(_GOLDEN) else None


def snapshot_handle(image: str, snapshot: str) -> str:
    """``image@snapshot``, as the `rbd` command writes it."""
    return f"{image}@{snapshot}"


def serial(resource_id: str) -> str:
    """The SCSI serial number of a volume: no two disks of an initiator may share one."""
    return resource_id.rpartition("-")[2]


def config_serial(machine_id: str) -> str:
    """The SCSI serial number of a machine's second disk (35 characters at most, by tgt)."""
    return f"{serial(machine_id)}-config"
