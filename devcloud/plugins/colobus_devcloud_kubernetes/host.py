"""The process that all clusters of one developer cloud are children of.

    python -m colobus_devcloud_kubernetes.host ROOT NETWORK PROGRAMS

ROOT holds one folder a cluster (`folder`), NETWORK is the loopback addresses' beginning (127.x.y),
PROGRAMS a JSON object of programs by name. A cluster is started when its folder appears, started
again when this process is, and removed when that is wanted. A process of it that ends is started
anew, as a machine's init would.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import FrameType

from .api_server import Unanswered
from .control_plane import ControlPlane, ControlPlaneFailed, Interrupted
from .folder import FAILED, RUNNING, STARTING, Folder, Status, Wanted, end_removals

PAUSE = 0.2
#: Seconds until something that failed is tried again.
AGAIN = 1.0
#: Seconds until a cluster that is new has failed.
JOIN_WITHIN = 300.0
#: So often a process of a new cluster may end before that has failed.
MOST_ENDS = 5
#: The last numbers of addresses: a gateway of this cloud may have the first.
NUMBERS = range(2, 255)


class Keeper:
    """Sees to it that one cluster is as wanted, in a thread of its own."""

    def __init__(
        self, folder: Folder, address: str, programs: Mapping[str, str], stopping: threading.Event
    ) -> None:
        self._folder = folder
        self._stopping = stopping
        self._plane = ControlPlane(folder.path, address, programs, self._interrupted)
        self._status = Status(api_address=self._plane.api.url)
        self._ends = 0
        self._deadline = time.monotonic() + JOIN_WITHIN

    def run(self) -> None:
        """Work until the host stops or the cluster is removed."""
        try:
            while not self._interrupted():
                self._turn()
        finally:
            self._plane.stop()
        if not self._stopping.is_set():
            self._folder.remove()

    def _turn(self) -> None:
        pause = AGAIN
        try:
            if self._status.state == FAILED or self._work(self._folder.wanted()):
                pause = PAUSE
        except Interrupted:
            return
        except Unanswered as error:  # it is on its way down, or up
            self._tell(reason=str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what Magnum shall say
            known = isinstance(error, ControlPlaneFailed)
            self._failed(str(error) if known else f"{type(error).__name__}: {error}")
        self._stopping.wait(pause)

    def _work(self, wanted: Wanted) -> bool:
        """Do what is to be done; tell whether nothing of it was for a process that had ended."""
        ended = self._plane.ended()
        running = self._status.state == RUNNING
        if running and not ended and list(self._status.nodes) == wanted.nodes:
            return True
        self._count(ended)
        if not running or ended:
            self._plane.start()
        joined = self._plane.set_nodes(wanted.nodes)
        version = self._status.version or self._plane.api.version()
        if len(joined) == len(wanted.nodes):
            self._folder.mark_up()
            self._tell(state=RUNNING, reason=None, nodes=joined, version=version)
        elif time.monotonic() > self._deadline:
            missing = ", ".join(sorted(set(wanted.nodes) - set(joined)))
            raise ControlPlaneFailed(f"did not join within {JOIN_WITHIN:.0f} s: {missing}")
        return not ended

    def _count(self, ended: Mapping[str, str]) -> None:
        """Give up a new cluster of which a process ends again and again."""
        self._ends += bool(ended)
        if self._ends > MOST_ENDS and not self._folder.was_up:
            name, words = next(iter(ended.items() or [("one of its processes", "")]))
            raise ControlPlaneFailed(f"{name} ended: {words}")

    def _failed(self, reason: str) -> None:
        """Give up one that never ran; try again with one that did."""
        print(f"{self._folder.path.name}: {reason}", file=sys.stderr, flush=True)
        if self._folder.was_up:
            self._tell(state=STARTING, reason=reason)
        else:
            self._plane.stop()
            self._tell(state=FAILED, reason=reason)

    def _tell(self, **changes: object) -> None:
        status = replace(self._status, pids=self._plane.pids(), **changes)  # type: ignore[arg-type]
        if status != self._status or not (self._folder.path / "status.json").exists():
            self._status = status
            self._folder.tell(status)

    def _interrupted(self) -> bool:
        return self._stopping.is_set() or self._folder.wanted().deleted


class Host:
    """All clusters under one root."""

    def __init__(self, root: Path, network: str, programs: Mapping[str, str]) -> None:
        self._root = root
        self._network = network
        self._programs = programs
        self._stopping = threading.Event()
        self._keepers: dict[str, threading.Thread] = {}

    def stop(self, number: int, frame: FrameType | None) -> None:
        """Take the signal to end."""
        del number, frame
        self._stopping.set()

    def run(self) -> None:
        """Look for clusters until told to end, and end with the last process."""
        end_removals(self._root)
        while not self._stopping.wait(PAUSE):
            for folder in self._folders():
                keeper = self._keepers.get(folder.path.name)
                if keeper is None or not keeper.is_alive():
                    self._keep(folder)
        for keeper in self._keepers.values():
            keeper.join()

    def _folders(self) -> list[Folder]:
        found = sorted(self._root.iterdir())
        return [Folder(path) for path in found if path.is_dir() and path.name[0] != "."]

    def _keep(self, folder: Folder) -> None:
        number = folder.number() or self._free(each.number() for each in self._folders())
        folder.take_number(number)
        keeper = Keeper(folder, f"{self._network}.{number}", self._programs, self._stopping)
        thread = threading.Thread(target=_guarded, args=(keeper,), name=folder.path.name)
        self._keepers[folder.path.name] = thread
        thread.start()

    def _free(self, taken: Iterable[int | None]) -> int:
        used = set(taken)
        return next(number for number in NUMBERS if number not in used)


def _guarded(keeper: Keeper) -> None:
    try:
        keeper.run()
    except Exception:  # noqa: BLE001 - one cluster's trouble is not another's; it is tried again
        traceback.print_exc()


def main(root: str, network: str, programs: str) -> None:
    """Run until SIGTERM."""
    host = Host(Path(root), network, json.loads(programs))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, host.stop)
    host.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
