"""Who holds an image, in words that its owner understands."""

from __future__ import annotations

from collections.abc import Sequence

from services.iscsi_worker.backend import Store
from services.iscsi_worker.provisioner.kit import Kit
from shared.contract.problems import Reason
from shared.runtime.errors import TemporaryError
from shared.worker.errors import NotFound

#: When to look again, in seconds. A gateway that died is watching for some seconds more.
_RETRY_AFTER = 5.0
#: More of a sort are only counted.
_AT_MOST = 10


async def who_holds(store: Store, kit: Kit, image: str) -> list[str]:
    """Return one phrase for each sort of holder; nothing when nobody holds it (or it is gone)."""
    try:
        found = await store.rbd.holders(image)
    except NotFound:
        return []
    offered = [
        _name(kit.names.owner_of_target(target.iqn), target.iqn)
        for target in (await store.gateway.targets()).values()
        if target.exports(image)
    ]
    clones = [_name(kit.names.owner_of_image(clone), clone) for clone in found.clones]
    phrases = [
        _phrase("it is offered by", offered),
        _phrase("there are snapshots of it:", found.snapshots),
        _phrase("copies of its snapshots live:", clones),
        _phrase("it is open at", () if offered else found.watchers),
    ]
    return [phrase for phrase in phrases if phrase]


def in_use(kit: Kit, image: str, held: Sequence[str]) -> TemporaryError:
    """The error that says so."""
    owner = kit.names.owner_of_image(image) or kit.names.owner_of_config_image(image)
    name = _name(owner, image)
    return TemporaryError(
        f"{name} is in use: {'; '.join(held)}.", reason=Reason.IN_USE, retry_after=_RETRY_AFTER
    )


def _name(owner: object, otherwise: str) -> str:
    return str(getattr(owner, "resource_id", otherwise))


def _phrase(words: str, names: Sequence[str]) -> str:
    shown = ", ".join(sorted(names)[:_AT_MOST])
    more = f" and {len(names) - _AT_MOST} more" if len(names) > _AT_MOST else ""
    return f"{words} {shown}{more}" if names else ""
