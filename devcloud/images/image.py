"""What all golden images have in common: a name in the cache, and a build that is whole or none."""

from __future__ import annotations

import fcntl
import hashlib
import platform
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

from devcloud.packages import DebianPackages
from devcloud.site import Site


class GoldenImage(ABC):
    """A raw disk image, built once for each state of its inputs."""

    name: ClassVar[str]
    tools: ClassVar[tuple[str, ...]]
    """Debian packages with the programs that build it."""

    def __init__(self, site: Site, arch: str | None = None) -> None:
        self.site = site
        self.arch = arch or platform.machine()

    @abstractmethod
    def inputs(self) -> Iterable[bytes]:
        """Return everything that the image depends on, in an order that doesn't change."""

    @abstractmethod
    def assemble(self, folder: Path) -> Path:
        """Build the image in an empty folder and return its path."""

    def build(self) -> Path:
        """Return the image's path, having built it unless this very one is in the cache."""
        tools = DebianPackages(self.tools)
        if not tools.installed(self.site):
            tools.install(self.site)
        images = self.site.paths.cache / "images"
        images.mkdir(parents=True, exist_ok=True)
        final = images / f"{self.name}-{self.arch}-{self._digest()}.raw"
        with (images / f"{self.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if final.exists():
                return final
            folder = final.with_suffix(".building")
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            self.assemble(folder).rename(final)
            shutil.rmtree(folder)
        return final

    def run(self, *argv: str, cwd: Path | None = None) -> None:
        """Run a command of the build; its output is in the log `image`."""
        path = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin"}
        self.site.tools.run("image", ["nice", *argv], as_caller=True, environment=path, cwd=cwd)

    def _digest(self) -> str:
        digest = hashlib.sha256(self.arch.encode())
        for part in self.inputs():
            digest.update(hashlib.sha256(part).digest())
        return digest.hexdigest()[:12]


def contents(files: Sequence[Path]) -> list[bytes]:
    """Return what is in these files."""
    return [file.read_bytes() for file in files]
