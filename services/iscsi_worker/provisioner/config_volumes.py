"""A machine's second disk: an RBD image of what cloud-init is to read (`nocloud`).

What it has to hold follows from the command, and from what the golden image says of its systems. It
is compared byte by byte with what is there: a worker may have died between the image and its
content, or within the content. Such a disk is written again, but not under somebody who has it
open.
"""

from __future__ import annotations

from services.iscsi_worker.backend import Store
from services.iscsi_worker.names import PHONE_HOME, PROOF, golden_image
from services.iscsi_worker.nocloud import config_disk
from services.iscsi_worker.provisioner.holders import in_use, who_holds
from services.iscsi_worker.provisioner.kit import Kit
from services.iscsi_worker.provisioner.sources import Wanted
from services.iscsi_worker.provisioner.volumes import ensure_image, remove_disk
from shared.contract.messages import ProvisionConfigVolume
from shared.contract.problems import Reason
from shared.runtime.errors import PermanentError, TemporaryError
from shared.worker.command import Command
from shared.worker.errors import Conflict, NotFound


async def provision_config_volume(
    store: Store, kit: Kit, command: Command[ProvisionConfigVolume]
) -> tuple[str, bool]:
    """Return the name of the disk's image, proven by reading all of it, and whether it tells the
    system to phone home.

    Raises `UnreadableSecret`, `NotFound` (image_not_found), `TemporaryError` (in_use),
    `PermanentError` where the image's systems
    phone home and nobody would hear them.
    """
    name = kit.names.config_image(command.tenant, command.resource_id)
    vendor_data = await _vendor_data(store, kit, command)
    content = _content(kit, command, vendor_data)
    async with kit.alone(store, name):
        try:
            await _ensure(store, kit, name, content)
        except (Conflict, NotFound) as error:
            # Another worker is at it too, or has just taken it away: the next attempt sees.
            raise TemporaryError(error.detail, reason=Reason.IN_USE, retry_after=1) from error
    return name, vendor_data is not None


async def _vendor_data(
    store: Store, kit: Kit, command: Command[ProvisionConfigVolume]
) -> str | None:
    image = command.message.image
    if image is None:
        return None
    golden = await kit.golden.image(store, golden_image(image))
    if golden is None:
        detail = f"Store {store.name} has no image {image!r}."
        raise NotFound(detail, reason=Reason.IMAGE_NOT_FOUND)
    if golden.notes.get(PROOF) != PHONE_HOME:
        return None
    if kit.phone is None:
        detail = f"Systems of image {image!r} phone home, and this worker has no number for that."
        raise PermanentError(detail, reason=Reason.COMMAND_REJECTED)
    return kit.phone.cloud_config(store.name, command.tenant, command.resource_id)


def _content(kit: Kit, command: Command[ProvisionConfigVolume], vendor_data: str | None) -> bytes:
    order = command.message
    sealed = order.sealed_user_data
    user_data = None if sealed is None else kit.sealing_key.open_text(sealed)
    return config_disk(command.resource_id, order.hostname, order.ssh_keys, user_data, vendor_data)


async def _ensure(store: Store, kit: Kit, name: str, content: bytes) -> None:
    made = await ensure_image(store, kit, name, Wanted(len(content), len(content)))
    if not made.fresh:
        found = await store.rbd.read(name, len(content))
        if made.size == len(content) and found == content:
            return
        held = await who_holds(store, kit, name) if any(found) else []
        if held:
            raise in_use(kit, name, held)
        if made.size != len(content):
            await store.rbd.resize(name, len(content))
    if await store.rbd.write(name, content) != content:
        detail = f"Image {name} does not hold what was written to it."
        raise TemporaryError(detail, reason=Reason.BACKEND_UNAVAILABLE)


async def deprovision_config_volume(store: Store, kit: Kit, tenant: str, machine: str) -> None:
    """Remove the disk's image; one that is gone is fine.

    Raises `TemporaryError` (in_use) that says who holds it; nothing is half done then.
    """
    await remove_disk(store, kit, kit.names.config_image(tenant, machine))
