"""Debian's kubectl: a client that shares nothing with ours. Fetched, not installed."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from devcloud.images import debs

_PACKAGE = "kubernetes-client"


@dataclass(frozen=True)
class Kubectl:
    """The program, and a folder for the files that it is told of."""

    program: Path
    folder: Path

    @classmethod
    def fetched(cls, folder: Path) -> Kubectl:
        """Fetch the package as material."""
        root = debs.unpack(debs.resolve([_PACKAGE]), folder)
        return cls(root / "usr/bin/kubectl", folder)

    def ask(
        self, kubeconfig: str, *words: str, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run it with this kubeconfig alone; it ends within half a minute."""
        file = self.folder / "kubeconfig"
        file.write_text(kubeconfig)
        return subprocess.run(
            [self.program, f"--kubeconfig={file}", "--request-timeout=20s", *words],
            capture_output=True,
            input=stdin,
            text=True,
            timeout=30,
            check=False,
            env={"PATH": "/usr/bin:/bin", "HOME": str(self.folder)},
        )

    def ready_nodes(self, kubeconfig: str) -> set[str]:
        """Return the names of the nodes that it shows Ready."""
        shown = self.ask(kubeconfig, "get", "nodes", "--no-headers")
        assert shown.returncode == 0, shown.stderr
        lines = (line.split() for line in shown.stdout.splitlines())
        return {words[0] for words in lines if words[1] == "Ready"}
