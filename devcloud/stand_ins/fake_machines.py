"""A DOUBLE of machines: for each fake node that is on, one iSCSI session as its system would hold.

Ironic's fake hardware has a power switch and nothing behind it, so a machine on it would never be
`active`: Colobus waits for the login of its operating system (decision 0037). This process is what
is behind the switch, of all nodes of one resource class. It is told of its power by Ironic, gets
what it boots from where firmware gets it (the iPXE script that Ironic wrote for its network card,
CHAP secret included), and logs in with its node's name as its alias. Switched off, it is gone.

What it does not do: boot. No firmware, no kernel, no network of the machine's own; the script is
read from Ironic's folder, since fake cards are on no network; nothing is read from the disk.

usage: python -m devcloud.stand_ins.fake_machines RESOURCE_CLASS (its nodes: `devcloud.nodes.fakes`
with ``boots=True``)
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keystoneauth1.exceptions import ClientException
from requests import RequestException

from devcloud.components.provisioning_network import http_root
from devcloud.keystone_client import connect_admin
from devcloud.site import Site
from devcloud.stand_ins.boot_script import BootDisk, boot_disk
from devcloud.stand_ins.libiscsi import Session, serve

#: How often Ironic is asked, and how soon a machine that could not boot tries again, in seconds.
LOOK_SECONDS = 0.5
AGAIN_SECONDS = 1.0
#: How long what has happened may wait to be seen, in seconds.
TURN_SECONDS = 0.1
#: Beyond this a look is in vain: Ironic may be paused.
ANSWER_SECONDS = 10.0
_ON, _OFF = "power on", "power off"
#: With `driver_internal_info` comes the time of the last switch: a reboot is seen by it.
_FIELDS = "uuid,name,power_state,target_power_state,driver_internal_info"
#: Of Ironic's API: has all these fields, and lists nodes by their class.
_VERSION = "1.78"
_SWITCHED = "last_power_state_change"


@dataclass(frozen=True, slots=True)
class Switched:
    """A node that is on. ``at`` tells one switching on from the next."""

    name: str
    card: str
    at: str


def switched_on(nodes: Iterable[Mapping[str, Any]], cards: Mapping[str, str]) -> set[Switched]:
    """Return the nodes of Ironic's list that are on; ``cards``: {node: MAC}. Pure."""
    return {
        Switched(
            one["name"], cards[one["uuid"]], str(one["driver_internal_info"].get(_SWITCHED, ""))
        )
        for one in nodes
        if one["power_state"] == _ON
        and one["target_power_state"] != _OFF  # it is being switched off
        and one["uuid"] in cards
    }


@dataclass
class Machine:
    """One machine from its switching on until it is off."""

    scripts: Path
    switched: Switched
    session: Session | None = None
    told: str = ""
    again_at: float = 0.0

    def go_on(self, now: float) -> None:
        """Boot, or try again where that has failed."""
        if self.session is not None and self.session.failure is not None:
            self._tell(self.session.failure)
            self.off()
        if self.session is None and now >= self.again_at:
            self.again_at = now + AGAIN_SECONDS
            if (disk := self._disk()) is not None:
                self.session = Session(disk, self.switched.name)
        if self.session is not None and self.session.logged_in:
            self._tell(f"is logged in to {self.session.disk.target}")

    def off(self) -> None:
        """Its power is gone."""
        if self.session is not None:
            self.session.close()
            self.session = None

    def _disk(self) -> BootDisk | None:
        try:
            script = (self.scripts / self.switched.card.replace(":", "-")).read_text()
        except FileNotFoundError:
            self._tell("has nothing to boot from")
            return None
        return boot_disk(script)

    def _tell(self, what: str) -> None:
        if self.told != what:
            self.told = what
            say(f"{self.switched.name} {what}")


@dataclass
class Looks:
    """Asks Ironic, in a thread of its own, which nodes are on. While it can't: as it was."""

    ironic: Any
    resource_class: str
    now: set[Switched] = field(default_factory=set)
    _cards: dict[str, str] = field(default_factory=dict)

    def look(self) -> None:
        """Look once."""
        query = f"/nodes?resource_class={self.resource_class}&fields={_FIELDS}&limit=1000"
        nodes = self._get(query)["nodes"]
        if any(one["uuid"] not in self._cards for one in nodes):
            ports = self._get("/ports?fields=address,node_uuid&limit=1000")["ports"]
            self._cards = {one["node_uuid"]: one["address"] for one in ports}
        self.now = switched_on(nodes, self._cards)

    def go_on(self) -> None:
        """Look for ever. Whatever else goes wrong is the end of the process: somebody sees that."""
        try:
            while True:
                self._look_or_tell()
                time.sleep(LOOK_SECONDS)
        finally:
            traceback.print_exc()
            os._exit(1)

    def _look_or_tell(self) -> None:
        try:
            self.look()
        except (ClientException, RequestException, KeyError, ValueError) as error:
            say(f"Ironic can't be asked: {error!r}")

    def _get(self, path: str) -> Any:
        answer = self.ironic.get(
            path, microversion=_VERSION, timeout=ANSWER_SECONDS, raise_exc=True
        )
        return answer.json()


def play(looks: Looks, scripts: Path) -> None:
    """Be the machines, for ever."""
    machines: dict[str, Machine] = {}
    while True:
        on = {one.name: one for one in looks.now}
        for name, machine in list(machines.items()):
            if on.get(name) != machine.switched:
                say(f"{name} is switched")
                machine.off()
                del machines[name]
        for name, switched in on.items():
            machines.setdefault(name, Machine(scripts, switched)).go_on(time.monotonic())
        serve([one.session for one in machines.values() if one.session], TURN_SECONDS)


def say(line: str) -> None:
    """Write a line at once."""
    sys.stdout.write(f"{time.strftime('%T')} {line}\n")
    sys.stdout.flush()


def main() -> None:
    """Say that it has begun, and play."""
    (resource_class,) = sys.argv[1:]
    site = Site.open(create=False)
    ironic = connect_admin(site, system=True).baremetal
    looks = Looks(ironic, resource_class)
    looks.look()
    threading.Thread(target=looks.go_on, daemon=True).start()
    say(f"the machines of {resource_class} are there")
    play(looks, http_root(site) / "pxelinux.cfg")


if __name__ == "__main__":
    main()
