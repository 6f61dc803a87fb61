"""Ceph's settings, keys and users, as they are written."""

from __future__ import annotations

import base64
import configparser
import json
import socket
import stat
import struct
import threading
from pathlib import Path

import pytest

from devcloud.ceph_daemon import ask_daemon
from devcloud.ceph_settings import (
    ADMIN,
    CAPABILITIES,
    OSD,
    TARGET,
    WORKER,
    conf_path,
    entity_key,
    keyring_path,
    settings,
)
from devcloud.cephx import cephx_key, render_keyring
from devcloud.components.ceph import CephOsd
from devcloud.ports import OFFSETS
from devcloud.site import Site
from tests.unit.devcloud.sites import site_in


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return site_in(tmp_path)


def parsed(text: str) -> configparser.ConfigParser:
    """Read what was rendered."""
    found = configparser.ConfigParser(interpolation=None)
    found.read_string(text)
    return found


def test_a_key_has_the_form_that_ceph_decodes() -> None:
    """Type AES, a time, the length, and 16 bytes, as `ceph-authtool --gen-key` would write them."""
    raw = base64.b64decode(cephx_key("00112233445566778899aabbccddeeff" + "deadbeef"))
    kind, _, _, length = struct.unpack_from("<HIIH", raw)
    assert (kind, length) == (1, 16)
    assert raw[12:].hex() == "00112233445566778899aabbccddeeff"


def test_a_keyring_quotes_what_an_entity_may_do() -> None:
    """A keyring is an ini file; capabilities have blanks and equals signs."""
    text = render_keyring({WORKER: "AQ=="}, {WORKER: {"osd": "profile rbd pool=colobus"}})
    assert text == f'[{WORKER}]\nkey = AQ==\ncaps osd = "profile rbd pool=colobus"\n'


def test_services_may_use_one_pool_and_change_nothing_else() -> None:
    """Ceph's profile `rbd` for the monitor lets nobody make pools or users."""
    for entity in (WORKER, TARGET):
        assert CAPABILITIES[entity] == {"mon": "profile rbd", "osd": "profile rbd pool=colobus"}


def test_the_settings_hold_no_key(site: Site) -> None:
    """Services read the same ceph.conf; keys are in keyrings, one for each user."""
    CephOsd(site).render()
    text = conf_path(site).read_text()
    assert not [entity for entity in CAPABILITIES if entity_key(site, entity) in text]
    assert parsed(text)[WORKER]["keyring"] == str(keyring_path(site, WORKER))


def test_every_user_has_a_private_keyring_with_its_own_key_only(site: Site) -> None:
    """Whoever is handed one gets no other's rights."""
    CephOsd(site).render()
    for entity in (ADMIN, OSD, WORKER, TARGET):
        path = keyring_path(site, entity)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert parsed(path.read_text()).sections() == [entity]
    keys = {keyring_path(site, entity).read_text() for entity in (ADMIN, OSD, WORKER, TARGET)}
    assert len(keys) == 4


def test_rendering_again_changes_no_key(site: Site) -> None:
    """`up` renders at every start; a cluster knows the keys that it was made with."""
    CephOsd(site).render()
    before = keyring_path(site, WORKER).read_text()
    CephOsd(site).render()
    assert keyring_path(site, WORKER).read_text() == before


def test_listeners_are_on_loopback_and_within_this_clouds_ports(site: Site) -> None:
    """The OSD chooses for itself, within what is ours."""
    rendered = settings(site)["global"]
    first, last = rendered["ms bind port min"], rendered["ms bind port max"]
    assert first == site.ports["ceph-osd-0"]
    own = {site.ports[name] for name in OFFSETS if name.startswith("ceph-osd-")}
    assert set(range(int(first), int(last) + 1)) == own
    assert rendered["mon host"] == f"[v2:127.0.0.1:{site.ports['ceph-mon']}/0]"
    assert rendered["public addr"] == rendered["cluster addr"] == "127.0.0.1"
    assert rendered["ms bind msgr1"] is False


def test_what_the_target_was_told_to_write_is_not_kept_in_its_memory(site: Site) -> None:
    """It may be killed the moment after it told the initiator that all is written."""
    assert settings(site)[TARGET]["rbd cache"] is False


def serve_once(folder: Path, answer: bytes) -> tuple[Path, list[bytes]]:
    """Be a daemon's admin socket for one question."""
    path, heard = folder / "asok", list[bytes]()
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()

    def serve() -> None:
        with server, server.accept()[0] as connection:
            heard.append(connection.recv(1024))
            connection.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return path, heard


def test_a_daemon_is_asked_in_the_protocol_of_its_admin_socket(tmp_path: Path) -> None:
    """A zero byte ends the question, a length precedes the answer."""
    path, heard = serve_once(tmp_path, struct.pack(">I", 19) + b'{"state": "active"}')
    assert ask_daemon(path, "status") == {"state": "active"}
    assert heard == [json.dumps({"prefix": "status"}).encode() + b"\0"]


def test_a_daemon_that_ends_instead_of_answering_is_an_error(tmp_path: Path) -> None:
    """No half answer is taken for one."""
    path, _ = serve_once(tmp_path, b"\0")
    with pytest.raises(EOFError):
        ask_daemon(path, "status")
