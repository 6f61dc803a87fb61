"""Where the developer cloud keeps what it makes: state (one cloud) and cache (shared by all)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

STATE_VARIABLE = "COLOBUS_DEVCLOUD_DIR"
CACHE_VARIABLE = "COLOBUS_CACHE_DIR"


@dataclass(frozen=True, slots=True)
class Paths:
    """The folders of one developer cloud.

    `state` belongs to this cloud alone and `reset` removes it; `cache` holds what any number of
    clouds share: virtual environments, database dumps, downloads, claims on port ranges.
    """

    state: Path
    cache: Path

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Paths:
        """Return the folders that the environment names, else the usual ones for this user.

        Root's own home is never used: daemons run as an unprivileged user that can't reach it.
        """
        env = os.environ if environ is None else environ
        root = os.geteuid() == 0
        home = Path(env.get("HOME", "/"))
        state_home = Path(env.get("XDG_STATE_HOME") or home / ".local" / "state")
        cache_home = Path(env.get("XDG_CACHE_HOME") or home / ".cache")
        state = Path("/var/lib") if root else state_home
        cache = Path("/var/cache") if root else cache_home
        return cls(
            state=Path(env.get(STATE_VARIABLE) or state / "colobus" / "devcloud").absolute(),
            cache=Path(env.get(CACHE_VARIABLE) or cache / "colobus").absolute(),
        )

    @property
    def etc(self) -> Path:
        """Rendered configuration files."""
        return self.state / "etc"

    @property
    def run(self) -> Path:
        """One record per process (see `processes`), sockets, done-markers."""
        return self.state / "run"

    @property
    def log(self) -> Path:
        """One log per process."""
        return self.state / "log"

    @property
    def data(self) -> Path:
        """One folder per component: what it stores."""
        return self.state / "data"

    @property
    def plugins(self) -> Path:
        """Copies of `devcloud/plugins`: the daemons may be unable to read the repository."""
        return self.state / "plugins"

    @property
    def home(self) -> Path:
        """`HOME` of every daemon."""
        return self.state / "home"

    @property
    def lock(self) -> Path:
        """Held by whoever changes this cloud; outside `state`, so that `reset` can hold it too."""
        return self.state.with_name(self.state.name + ".lock")

    @property
    def clouds_yaml(self) -> Path:
        """The OpenStack client configuration, with passwords."""
        return self.state / "clouds.yaml"

    @property
    def tenants_json(self) -> Path:
        """Tenants, their project ids and their users' passwords."""
        return self.state / "tenants.json"

    @property
    def nodes_yaml(self) -> Path:
        """The operator's list of machines, see `nodes`."""
        return self.state / "nodes.yaml"
