"""How the cloud's Pythons are set: no result is another for it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from devcloud.cloud_venv import SETTINGS, CloudVenv, venv_path
from tests.unit.devcloud.sites import site_in

HASHED = "hashlib.pbkdf2_hmac('sha512', bytearray(b'secret'), b'salt' * 4, 1000, dklen=None).hex()"


def test_a_password_has_the_same_hash_each_time(tmp_path: Path) -> None:
    """As without the settings; it is worked out once."""
    (tmp_path / SETTINGS.name).write_text(SETTINGS.read_text())
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import hashlib, sitecustomize as ours; print({HASHED}, {HASHED}, "
            "ours._hashed.cache_info().misses)",
        ],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    expected = hashlib.pbkdf2_hmac("sha512", b"secret", b"salt" * 4, 1000).hex()
    assert told.stdout.split() == [expected, expected, "1"]


def test_a_cloud_that_was_set_up_by_older_code_is_set_anew(tmp_path: Path) -> None:
    """Though the environment itself, which all clouds share, is there."""
    site = site_in(tmp_path)
    venv_path(site).mkdir(parents=True)
    assert not CloudVenv().installed(site)
    CloudVenv().install(site)
    assert CloudVenv().installed(site)
    (site.paths.plugins / SETTINGS.name).write_text("older")
    assert not CloudVenv().installed(site)
