"""A machine's own system, as its user has it: over ssh, with the key that was given to the API.

The machines' network leads to this machine, so ssh needs no namespace.
"""

from __future__ import annotations

import asyncio
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

from devcloud.packages import DebianPackages
from devcloud.site import Site
from tests.support.conditions import eventually

PACKAGES = DebianPackages(("openssh-client",))
#: Who logs in: the user that Debian's cloud images have.
USER = "debian"
#: Longer than an emulated Debian takes from power on to ssh on a busy machine, in seconds.
ANSWERS_WITHIN = 1200
#: What ssh ends with when it could not run the command at all.
_UNREACHABLE = 255


class CommandFailed(AssertionError):
    """The system has run the command, and it did not end well."""


@dataclass(frozen=True)
class Key:
    """``private`` is the file, ``public`` the line for `ssh_keys`."""

    private: Path
    public: str


def install(site: Site) -> None:
    """Make sure that ssh is there."""
    with site.exclusively():
        if not PACKAGES.installed(site):
            PACKAGES.install(site)


def make_key(folder: Path) -> Key:
    """Make a key without a passphrase."""
    file = folder / "id_ed25519"
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test-diskless", "-f", str(file)]
    subprocess.run(argv, check=True, timeout=60)
    return Key(file, file.with_suffix(".pub").read_text().strip())


@dataclass(frozen=True)
class Guest:
    """A system. The host key that it shows first is the one it has to keep. ``name`` is unique."""

    name: str
    address: str
    key: Key

    async def run(self, command: str, *, within: float = 300) -> str:
        """Run a shell command as root and return what it prints.

        Raises `CommandFailed`, or `OSError` where nobody lets us in or it takes too long.
        """
        try:
            code, output, errors = await self._ssh(f"sudo -n sh -c {shlex.quote(command)}", within)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(f"{command!r} has not ended within {within:g} s") from error
        if code == _UNREACHABLE:
            raise OSError(errors)
        if code != 0:
            raise CommandFailed(f"{command!r} ended with {code}: {output}{errors}")
        return output.strip()

    async def comes_up(self, *, other_than: str = "") -> str:
        """Wait until ssh answers; return what this boot is called. ``other_than``: not that one."""

        async def up() -> str | None:
            try:
                if other_than:
                    self.close()  # a login to what was switched off would be waited for
                boot = await self.run("cat /proc/sys/kernel/random/boot_id", within=180)
            except OSError:
                return None
            return boot if boot != other_than else None

        what = f"ssh answers at {self.address}"
        return await eventually(up, within=ANSWERS_WITHIN, what=what)

    def close(self) -> None:
        """End the login that commands share."""
        argv = ["ssh", "-F", "none", "-o", f"ControlPath={self._socket}", "-O", "exit"]
        subprocess.run([*argv, self.address], capture_output=True, check=False, timeout=60)

    @property
    def _socket(self) -> Path:
        return self.key.private.with_name(f"to-{self.address}")

    async def _ssh(self, command: str, within: float) -> tuple[int, str, str]:
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": "30",
            # To an emulated processor a login is half a minute's work, so one serves all commands.
            "ControlMaster": "auto",
            "ControlPath": str(self._socket),
            "ControlPersist": "300",
            "ServerAliveInterval": "10",
            "ServerAliveCountMax": "6",
            "IdentitiesOnly": "yes",
            "LogLevel": "ERROR",
            "StrictHostKeyChecking": "accept-new",
            "UserKnownHostsFile": str(self.key.private.with_name(f"known_hosts.{self.name}")),
        }
        given = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        argv = ["ssh", "-F", "none", "-i", str(self.key.private), *given, f"{USER}@{self.address}"]
        # In a thread: a command that is given up holds its pipes open in the login that it shared.
        done = await asyncio.to_thread(
            subprocess.run,
            [*argv, command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=within,
        )
        return done.returncode, done.stdout, done.stderr
