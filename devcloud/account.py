"""The user that daemons run as: an unprivileged one of their own when root starts them."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

USER = "colobus-devcloud"


class UnreachableFolder(RuntimeError):
    """The daemons' user can't enter the folder that holds the cloud."""


@dataclass(frozen=True, slots=True)
class Account:
    """Who runs the daemons."""

    name: str
    uid: int
    gid: int

    @property
    def is_caller(self) -> bool:
        """Tell whether this is the user that runs us, so nothing needs switching."""
        return self.uid == os.geteuid()

    def command(
        self,
        argv: Sequence[str],
        *,
        die_with_parent: bool = False,
        capabilities: Sequence[str] = (),
    ) -> list[str]:
        """Return the command that runs `argv` as this user; the process id stays the same.

        Args:
            argv: Program and arguments.
            die_with_parent: End it when the thread that started it ends, even by SIGKILL.
            capabilities: What of root's rights it keeps, as setpriv names them: `net_raw`.
        """
        switch = [] if self.is_caller else [f"--reuid={self.uid}", f"--regid={self.gid}"]
        if switch:
            switch.append("--clear-groups")
            kept = ",".join(f"+{capability}" for capability in capabilities)
            switch += [f"--inh-caps={kept}", f"--ambient-caps={kept}"] if kept else []
        if die_with_parent:
            switch.append("--pdeathsig=TERM")
        return ["setpriv", *switch, *argv] if switch else list(argv)

    def own(self, folder: Path) -> Path:
        """Make a folder that belongs to this user, and return it."""
        folder.mkdir(parents=True, exist_ok=True)
        if not self.is_caller:
            os.chown(folder, self.uid, self.gid)
        folder.chmod(0o750)
        return folder

    def check_reach(self, folder: Path) -> None:
        """Fail with words the caller can act on when this user can't enter `folder`."""
        if subprocess.run(self.command(["test", "-x", str(folder)]), check=False).returncode:
            raise UnreachableFolder(
                f"the user {self.name} can't enter {folder}: choose a folder whose parents "
                "everybody may enter (mode o+x)"
            )


def find_account() -> Account:
    """Return the daemons' user, made first where root runs us and it is missing."""
    if os.geteuid() != 0:
        return _account(pwd.getpwuid(os.geteuid()))
    try:
        return _account(pwd.getpwnam(USER))
    except KeyError:
        shell = "/usr/sbin/nologin"
        subprocess.run(
            ["useradd", "--system", "--user-group", "--no-create-home", "--shell", shell, USER],
            check=True,
        )
        return _account(pwd.getpwnam(USER))


def _account(entry: pwd.struct_passwd) -> Account:
    return Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid)
