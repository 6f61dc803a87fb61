"""Sealing and deriving."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contract.problems import Reason
from shared.runtime.errors import ConfigurationError
from shared.runtime.secrets import SealingKey, UnreadableSecret, derive, master_key, seal

KEY = SealingKey.generate()
MASTER = bytes(range(32))
PINNED = "404e0922a330d00e7ea9159119296e7ccd860044bfcf6d1b35152c100fe6add2"


@given(st.binary(max_size=4096))
def test_what_is_sealed_is_opened_by_the_key(data: bytes) -> None:
    """Any bytes come back as they were."""
    assert KEY.open(seal(KEY.public_key, data)) == data


def test_a_text_is_opened_as_one() -> None:
    """What is none is unreadable, and no fault of the reader's."""
    assert KEY.open_text(seal(KEY.public_key, "zażółć".encode())) == "zażółć"
    with pytest.raises(UnreadableSecret, match="UTF-8"):
        KEY.open_text(seal(KEY.public_key, b"\xff"))


def test_the_same_secret_is_never_sealed_alike() -> None:
    """Equal secrets can't be told from their boxes."""
    assert seal(KEY.public_key, b"x") != seal(KEY.public_key, b"x")


@pytest.mark.parametrize("sealed", ["", "ü", "not base64!", base64.b64encode(b"x" * 60).decode()])
def test_what_was_never_sealed_is_unreadable(sealed: str) -> None:
    """Rubbish is a permanent fault with its reason, not a crash."""
    with pytest.raises(UnreadableSecret) as raised:
        KEY.open(sealed)
    assert raised.value.problem().reason == Reason.SECRET_UNREADABLE
    assert raised.value.problem().retryable is False


def test_another_key_opens_nothing() -> None:
    """Only the worker that a secret is meant for can read it."""
    with pytest.raises(UnreadableSecret):
        SealingKey.generate().open(seal(KEY.public_key, b"x"))


def test_a_damaged_box_is_unreadable() -> None:
    """A sealed box is authenticated."""
    box = bytearray(base64.b64decode(seal(KEY.public_key, b"hello")))
    box[-1] ^= 1
    with pytest.raises(UnreadableSecret):
        KEY.open(base64.b64encode(box).decode())


@pytest.mark.parametrize("key", ["", "abc", "ü", base64.b64encode(b"short").decode()])
def test_a_public_key_that_is_none_is_refused(key: str) -> None:
    """It may be a user's own, so the error is a plain one."""
    with pytest.raises(ValueError, match=r"base64|public key"):
        seal(key, b"x")


def test_a_key_file_is_private_and_read_back(tmp_path: Path) -> None:
    """Mode 0600, also when a file with more rights was there before."""
    path = tmp_path / "key"
    path.write_text("old")
    path.chmod(0o644)
    KEY.save(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert SealingKey.load(path).public_key == KEY.public_key
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", ["", "abc", "?", base64.b64encode(b"x" * 31).decode()])
def test_a_key_file_that_is_none_is_named(tmp_path: Path, content: str) -> None:
    """The operator reads which file is wrong; its content is not shown."""
    path = tmp_path / "key"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=str(path)):
        SealingKey.load(path)
    with pytest.raises(ConfigurationError, match="nowhere"):
        SealingKey.load(tmp_path / "nowhere")


def test_a_key_does_not_show_itself() -> None:
    """Its repr has the public half only."""
    assert repr(KEY) == f"SealingKey(public_key={KEY.public_key!r})"


def test_derivation_is_stable() -> None:
    """Pinned: keys derived yesterday are the keys derived tomorrow."""
    assert derive(MASTER, "webhook", "1").hex() == PINNED


@given(st.lists(st.text(max_size=8), max_size=4), st.lists(st.text(max_size=8), max_size=4))
def test_different_labels_give_different_keys(one: list[str], other: list[str]) -> None:
    """Also when they read alike run together."""
    assert (derive(MASTER, *one) == derive(MASTER, *other)) == (one == other)


def test_another_master_or_length_gives_another_key() -> None:
    """Nothing of one key is told by the other master's."""
    assert derive(MASTER, "a") != derive(MASTER[::-1], "a")
    assert len(derive(MASTER, "a", length=64)) == 64


def test_a_short_master_key_is_refused() -> None:
    """32 bytes at least, in base64."""
    assert master_key(base64.b64encode(MASTER).decode() + "\n") == MASTER
    for text in ("", "ü", "x" * 41, base64.b64encode(MASTER[:31]).decode()):
        with pytest.raises(ConfigurationError):
            master_key(text)
