"""All metals of the metals file: what is kept of each between commands."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from services.baremetal_worker.calls import Calls
from services.baremetal_worker.ironic_backend import Connection, HttpBounds, connect
from services.baremetal_worker.ironic_calls import IronicMetal
from services.baremetal_worker.metals_file import MetalAccess
from shared.contract.problems import Reason
from shared.runtime.deadline import Deadline
from shared.runtime.errors import PermanentError


@dataclass(frozen=True)
class _Kept:
    access: MetalAccess
    connection: Connection
    pool: ThreadPoolExecutor


class RealMetals:
    """`backend.Metals`; nothing is connected to before it is needed.

    ``threads`` is how many calls to one metal may be under way at once. Raises `ConfigurationError`
    when clouds.yaml lacks a metal's cloud.
    """

    def __init__(
        self,
        metals: Mapping[str, MetalAccess],
        clouds_file: Path,
        *,
        bounds: HttpBounds,
        threads: int,
    ) -> None:
        self._kept = {
            name: _Kept(
                access,
                connect(clouds_file, access.cloud, metal=name, bounds=bounds),
                ThreadPoolExecutor(threads, thread_name_prefix=f"metal-{name}"),
            )
            for name, access in metals.items()
        }

    @property
    def names(self) -> tuple[str, ...]:
        """In the file's order."""
        return tuple(self._kept)

    def metal(self, name: str, deadline: Deadline) -> IronicMetal:
        """Return one metal, for one command."""
        kept = self._kept.get(name)
        if kept is None:
            raise PermanentError(f"There is no metal {name!r}.", reason=Reason.NO_METAL)
        return IronicMetal(name, kept.access, Calls(kept.connection, kept.pool, deadline))

    async def close(self) -> None:
        """Take no more calls; those under way end within their time-outs, in the background."""
        for kept in self._kept.values():
            kept.pool.shutdown(wait=False, cancel_futures=True)
            kept.connection.close()
