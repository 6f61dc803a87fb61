"""The provisioning network's web server: Ironic's iPXE scripts, each to its own machine only.

A script holds the secret of its machine's iSCSI target. So one that is named for a network card is
given to the address that the kernel knows to be that card's, and to nobody else.

usage: colobus_devcloud_boot_server FOLDER ADDRESS PORT, inside the network's namespace
"""

from __future__ import annotations

import http.server
import re
import sys
from functools import partial
from pathlib import Path

NEIGHBOURS = Path("/proc/net/arp")
_FOR_CARD = re.compile(r"/pxelinux\.cfg/(?:01-)?((?:[0-9a-f]{2}-){5}[0-9a-f]{2})")
_OPEN = re.compile(r"/boot\.ipxe")


def may_read(path: str, client: str, neighbours: str) -> bool:
    """Tell whether this client gets what it asks for.

    Args:
        path: The path asked for, as it came.
        client: Its address.
        neighbours: The text of /proc/net/arp.
    """
    path = path.lower()
    if _OPEN.fullmatch(path):
        return True
    named = _FOR_CARD.fullmatch(path)
    if named is None:
        return False
    rows = [line.split() for line in neighbours.splitlines()[1:]]
    cards = {row[0]: row[3].lower() for row in rows}
    return cards.get(client) == named.group(1).replace("-", ":")


class Handler(http.server.SimpleHTTPRequestHandler):
    """Files of one folder, by GET."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer 403 to whoever asks for another's script, be it there or not."""
        if may_read(self.path, self.client_address[0], NEIGHBOURS.read_text()):
            super().do_GET()
        else:
            self.send_error(403)

    def do_HEAD(self) -> None:
        """Nobody needs it."""
        self.send_error(501)

    def list_directory(self, path: object) -> None:
        """Never tell what there is."""
        self.send_error(403)


if __name__ == "__main__":
    folder, address, port = sys.argv[1:]
    handler = partial(Handler, directory=folder)
    http.server.ThreadingHTTPServer((address, int(port)), handler).serve_forever()
