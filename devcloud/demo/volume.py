"""A volume, and an attachment of it."""

from __future__ import annotations

from colobus import Client, CreateAttachment, CreateVolume
from colobus.cli.output import details
from devcloud.demo.telling import LABELS, LEASE, follow_until_active, heading, out

#: Who may log in to the volume: nobody does here, since kernels like those of containers can't.
INITIATOR = "iqn.1993-08.org.debian:01:demo"


async def show_volume(client: Client) -> None:
    """Ask for a volume and an attachment in one breath, and show what its owner is told."""
    heading("A volume, offered over iSCSI to one initiator")
    volume = await client.create_volume(CreateVolume(size_gib=1, labels=LABELS, lease=LEASE))
    asked = CreateAttachment(
        volume=volume.id, initiator_iqn=INITIATOR, labels=LABELS, lease=LEASE, deadline=300
    )
    attachment = await client.create_attachment(asked)
    out.print(f"POST /v1/volumes → 202, {volume.id}\nPOST /v1/attachments → 202, {attachment.id}\n")
    await follow_until_active(client, attachment.id)
    told = await client.credentials(attachment.id)
    details(
        [
            ("target", told.target_iqn),
            ("portals", ", ".join(told.portals)),
            ("CHAP user", told.chap_username),
            ("CHAP secret", f"{len(told.chap_secret)} characters, told to the owner alone"),
        ]
    )
