"""Userspace iSCSI initiators (QEMU's), which all tests run through `qemu_io`: always bounded.

What was logged in once is tried again for ever by their library, so each is killed in the end.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from tests.support.conditions import eventually_sync

_SECONDS = 20


@dataclass(frozen=True)
class Login:
    """What an initiator is told."""

    portal: str
    target: str
    lun: int
    initiator: str
    username: str
    secret: str

    def but(self, **changes: Any) -> Login:
        """The same with something else."""
        return replace(self, **changes)

    def write(self, text: bytes, *, at: int = 0) -> None:
        """Log in and write a pattern of the first byte, as long as ``text``."""
        self._done(f"write -P {text[0]} {at} {len(text)}")

    def reads(self, text: bytes, *, at: int = 0) -> bool:
        """Log in and tell whether this is what is read."""
        return "failed" not in self._done(f"read -P {text[0]} {at} {len(text)}")

    def refusal(self) -> str:
        """Try to log in; return why that fails (empty: it does not)."""
        done = qemu_io(self, "-c", "read 0 512")
        return done.stderr if done.returncode else ""

    def size(self) -> int:
        """The size of the disk in bytes, as the initiator sees it."""
        shown = self._done("length")
        value, unit = shown.split()[:2] if " " in shown.strip() else (shown.strip(), "bytes")
        return int(float(value) * {"bytes": 1, "MiB": 1 << 20, "GiB": 1 << 30}[unit])

    def _done(self, command: str) -> str:
        done = qemu_io(self, "-c", command)
        assert done.returncode == 0, done.stderr
        return done.stdout


def _argv(login: Login, *more: str) -> list[str]:
    options = {
        "driver": "iscsi",
        "transport": "tcp",
        "portal": login.portal,
        "target": login.target,
        "lun": str(login.lun),
        "initiator-name": login.initiator,
        "user": login.username,
        "password-secret": "chap",
    }
    image = ",".join(f"{name}={value}" for name, value in options.items())
    secret = f"secret,id=chap,data={login.secret}"
    # It dies with us; and it is itself what `kill` kills, no wrapper that would leave it behind.
    bound = ["setpriv", "--pdeathsig", "KILL"]
    return [*bound, "qemu-io", "--object", secret, "--image-opts", image, *more]


def qemu_io(login: Login, *commands: str) -> subprocess.CompletedProcess[str]:
    """Run an initiator to its end."""
    return subprocess.run(
        _argv(login, *commands), capture_output=True, text=True, timeout=_SECONDS, check=False
    )


@dataclass
class HeldSession:
    """An initiator that stays logged in."""

    process: subprocess.Popen[str]

    def write(self, value: int, *, at: int = 0) -> bool:
        """Write a block; tell whether that worked."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"write -P {value} {at} 4096\n")
        self.process.stdin.flush()
        for said in self.process.stdout:  # its library may have a word to say of its reconnecting
            if "wrote" in said or "failed" in said:
                return "wrote 4096/4096" in said
        return False

    def log_out(self) -> None:
        """End it in good order."""
        if self.process.poll() is None and self.process.stdin is not None:
            self.process.stdin.close()
            eventually_sync(lambda: self.process.poll() is not None, what="the initiator ended")

    def kill(self) -> None:
        """End it without a word to the target."""
        self.process.kill()
        self.process.wait()


@contextmanager
def logged_in(login: Login) -> Iterator[HeldSession]:
    """Be logged in for a while; proven by a write."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        _argv(login), stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True
    ) as process:
        held = HeldSession(process)
        try:
            assert held.write(1)
            yield held
        finally:
            held.kill()
