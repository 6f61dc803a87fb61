"""Settings from the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import pytest
from msgspec import Meta

from shared.runtime.settings import CommonSettings, DatabaseSettings, Secret, SettingsError, load

COMMON = {
    "COLOBUS_INSTALLATION_ID": "demo",
    "COLOBUS_AMQP_URLS": "amqp://a:hidden@one/x, amqp://a:hidden@two/x",
    "COLOBUS_HTTP_PORT": "8080",
}


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One field of each type."""

    text: str = "default"
    count: Annotated[int, Meta(ge=1)] = 1
    share: float = 0.5
    wanted: bool = False
    place: Path = Path("/")
    key: Secret | None = None
    names: tuple[str, ...] = ()
    urls: dict[str, str] = {}


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("COLOBUS_TEXT", "a b", "text", "a b"),
        ("COLOBUS_COUNT", "7", "count", 7),
        ("COLOBUS_SHARE", "0.25", "share", 0.25),
        ("COLOBUS_WANTED", "true", "wanted", True),
        ("COLOBUS_WANTED", "0", "wanted", False),
        ("COLOBUS_PLACE", "/etc/x", "place", Path("/etc/x")),
        ("COLOBUS_KEY", "k", "key", "k"),
        ("COLOBUS_NAMES", "a, b,,c", "names", ("a", "b", "c")),
        ("COLOBUS_URLS", "a=http://x/?y=z, b=c", "urls", {"a": "http://x/?y=z", "b": "c"}),
        ("COLOBUS_TEXT", "", "text", "default"),
        ("COLOBUS_UNKNOWN", "x", "text", "default"),
    ],
)
def test_each_type_is_read(variable: str, text: str, field: str, value: object) -> None:
    """Every type has one form; empty means not set, unknown names belong to others."""
    assert getattr(load(Sample, {variable: text}), field) == value


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("COLOBUS_COUNT", "many"),
        ("COLOBUS_COUNT", "0"),
        ("COLOBUS_COUNT", "1.5"),
        ("COLOBUS_SHARE", "nan"),
        ("COLOBUS_SHARE", "inf"),
        ("COLOBUS_WANTED", "perhaps"),
        ("COLOBUS_URLS", "a"),
        ("COLOBUS_URLS", "=b"),
        ("COLOBUS_TEXT_FILE", "/nowhere"),
    ],
)
def test_a_wrong_value_is_told_by_its_variable(variable: str, text: str) -> None:
    """The fault begins with the variable's name and ends with what is expected."""
    with pytest.raises(SettingsError) as raised:
        load(Sample, {variable: text})
    (fault,) = raised.value.faults
    assert fault.startswith(variable.removesuffix("_FILE"))
    assert "; expected " in fault


def test_all_faults_are_told_at_once() -> None:
    """An operator mends everything in one round."""
    with pytest.raises(SettingsError) as raised:
        load(DatabaseSettings, {"COLOBUS_HTTP_PORT": "http", "COLOBUS_LOG_LEVEL": "loud"})
    told = sorted(fault.partition(":")[0].split()[0] for fault in raised.value.faults)
    assert told == [
        "COLOBUS_AMQP_URLS",
        "COLOBUS_DATABASE_DSN",
        "COLOBUS_HTTP_PORT",
        "COLOBUS_INSTALLATION_ID",
        "COLOBUS_LOG_LEVEL",
    ]


def test_a_file_carries_a_secret(tmp_path: Path) -> None:
    """`…_FILE` names a file whose content counts, without white space around it."""
    file = tmp_path / "key"
    file.write_text("  hidden\n")
    assert load(Sample, {"COLOBUS_KEY_FILE": str(file)}).key == "hidden"


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xfe"])
def test_a_file_without_text_is_a_fault(tmp_path: Path, content: bytes) -> None:
    """An empty secret is never what somebody meant."""
    file = tmp_path / "key"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match="COLOBUS_KEY"):
        load(Sample, {"COLOBUS_KEY_FILE": str(file)})


def test_a_file_without_text_names_nothing(tmp_path: Path) -> None:
    """A container engine wants the file to be there, also where there is nothing to list."""
    file = tmp_path / "parts"
    file.write_text("\n")
    assert load(Sample, {"COLOBUS_URLS_FILE": str(file)}).urls == {}
    needed = {**COMMON, "COLOBUS_AMQP_URLS": "", "COLOBUS_AMQP_URLS_FILE": str(file)}
    with pytest.raises(SettingsError, match="COLOBUS_AMQP_URLS"):
        load(CommonSettings, needed)


def test_value_and_file_together_are_a_fault(tmp_path: Path) -> None:
    """Which of the two was meant can't be known."""
    with pytest.raises(SettingsError, match="both"):
        load(Sample, {"COLOBUS_KEY": "a", "COLOBUS_KEY_FILE": str(tmp_path)})


def test_secrets_are_shown_nowhere() -> None:
    """Neither the settings' repr nor a fault shows a secret."""
    settings = load(CommonSettings, COMMON)
    assert settings.amqp_urls[1] == "amqp://a:hidden@two/x"
    assert "hidden" not in repr(settings)
    with pytest.raises(SettingsError) as raised:
        load(Sample, {"COLOBUS_URLS": "hidden", "COLOBUS_COUNT": "hidden"})
    assert "hidden" not in str(raised.value)
