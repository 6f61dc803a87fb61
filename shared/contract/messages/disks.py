"""The iscsi_worker's commands and events for machines: their two disks, and the target of these."""

from __future__ import annotations

from shared.contract.messages.base import Message


class ProvisionConfigVolume(Message, frozen=True):
    """Make the machine's second disk: cloud-init's NoCloud, labelled ``cidata``.

    ``image`` is the golden image of the first, which may say that its systems phone home.
    ``sealed_user_data`` is a base64 sealed box.
    """

    store: str
    hostname: str
    image: str | None = None
    ssh_keys: tuple[str, ...] = ()
    sealed_user_data: str | None = None


class DeprovisionConfigVolume(Message, frozen=True):
    """Delete the machine's second disk."""

    store: str


class ExportDisks(Message, frozen=True):
    """Offer the machine's disks on a target of its own, to an initiator of its own alone."""

    store: str


class WithdrawDisks(Message, frozen=True):
    """Take the machine's target away. It is off by then: what seems logged in still is not."""

    store: str


class ConfigVolumeProvisioned(Message, frozen=True):
    """The machine's second disk is there. ``rbd_image`` is its name in the store's pool.

    ``phones_home``: its system is told to phone home, since its image says so.
    """

    rbd_image: str
    phones_home: bool = False


class ConfigVolumeDeprovisioned(Message, frozen=True):
    """No second disk of this machine is left."""


class DisksExported(Message, frozen=True):
    """The gateway reports the LUNs, and access for the machine's initiator alone.

    ``portals`` are ``address:port``. ``lun`` is that of the root disk, ``config_lun`` of the other.
    """

    target_iqn: str
    initiator_iqn: str
    lun: int
    config_lun: int
    portals: tuple[str, ...]


class DisksWithdrawn(Message, frozen=True):
    """Nothing is offered to this machine any more."""
