"""Configuration files and other texts that daemons read."""

from __future__ import annotations

import base64
import configparser
import hashlib
import json
import stat
from pathlib import Path

from devcloud.broker import password_hash
from devcloud.cloud_venv import COMPILED, LOCK_FILE, split_lock
from devcloud.credentials import Credentials
from devcloud.ini import merge, render_ini, render_options
from devcloud.paths import Paths


def test_an_ini_file_reads_back_as_it_was_meant() -> None:
    """Booleans are lower case, as oslo.config and RabbitMQ write them."""
    text = render_ini({"DEFAULT": {"debug": True}, "api": {"workers": 2, "name": "nova"}})
    parsed = configparser.ConfigParser()
    parsed.read_string(text)
    assert parsed["DEFAULT"]["debug"] == "true"
    assert dict(parsed["api"]) == {"debug": "true", "workers": "2", "name": "nova"}


def test_options_without_sections_are_plain_lines() -> None:
    """The form of RabbitMQ and PostgreSQL."""
    assert render_options({"port": 5, "log.file": False}) == "port = 5\nlog.file = false\n"


def test_merged_sections_keep_options_of_both_and_the_later_value() -> None:
    """A service adds to what all share."""
    shared = {"DEFAULT": {"a": 1, "b": 1}}
    assert merge(shared, {"DEFAULT": {"b": 2}, "own": {"c": 3}}) == {
        "DEFAULT": {"a": 1, "b": 2},
        "own": {"c": 3},
    }
    assert shared == {"DEFAULT": {"a": 1, "b": 1}}


def test_a_broker_password_is_hashed_as_rabbitmq_documents() -> None:
    """Base64 of the salt and the SHA-256 of salt and password."""
    raw = base64.b64decode(password_hash("test12", bytes.fromhex("908dc60a")))
    assert raw[:4].hex() == "908dc60a"
    assert raw[4:] == hashlib.sha256(bytes.fromhex("908dc60a") + b"test12").digest()


def test_a_lock_is_split_without_losing_a_line() -> None:
    """The one package that needs a compiler can wait for it; the rest needn't."""
    text = LOCK_FILE.read_text()
    rest, alone = split_lock(text, COMPILED)
    assert sorted((rest + alone).splitlines()) == sorted(text.splitlines())
    assert alone.startswith("uwsgi==")
    assert alone.count("==") == 1


def test_the_lock_names_no_host() -> None:
    """Where packages come from is the machine's business."""
    assert "://" not in LOCK_FILE.read_text()


def test_a_secret_is_made_once_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    """The same name gives the same secret, also to the next command."""
    file = tmp_path / "credentials.json"
    secret = Credentials(file)["keystone-admin"]
    assert Credentials(file)["keystone-admin"] == secret
    assert json.loads(file.read_text()) == {"keystone-admin": secret}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_environment_chooses_the_folders() -> None:
    """State and cache can be put anywhere."""
    found = Paths.from_environment({"COLOBUS_DEVCLOUD_DIR": "/a", "COLOBUS_CACHE_DIR": "/b"})
    assert (found.state, found.cache) == (Path("/a"), Path("/b"))
