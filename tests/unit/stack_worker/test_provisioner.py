"""Secrets and templates; what Heat could answer is asked of it in tests/end_to_end/stacks."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from services.stack_worker.provisioner import unsealed
from services.stack_worker.templates import Templates
from shared.contract.problems import Reason
from shared.runtime.errors import ConfigurationError
from shared.runtime.secrets import SealingKey, UnreadableSecret, seal
from shared.worker.errors import NotFound


def test_hidden_parameters_come_out_as_they_were_sealed() -> None:
    """Of whatever type; none are none."""
    key = SealingKey.generate()
    assert unsealed(key, seal(key.public_key, b'{"a": "b", "n": [1]}')) == {"a": "b", "n": [1]}
    assert unsealed(key, None) == {}


@pytest.mark.parametrize("content", [b"no json", b"[1]"])
def test_what_is_no_object_is_unreadable(content: bytes) -> None:
    """And not shown."""
    key = SealingKey.generate()
    with pytest.raises(UnreadableSecret) as raised:
        unsealed(key, seal(key.public_key, content))
    assert content.decode() not in str(raised.value)


def test_what_ships_are_templates_with_a_description() -> None:
    """And every secret of theirs is marked hidden."""
    shipped = Templates.load()
    assert "two-vms" in shipped.names
    for name in shipped.names:
        template = yaml.safe_load(shipped.text(name))
        assert template["description"]
        for parameter, of in template["parameters"].items():
            assert of.get("hidden", False) == ("password" in parameter), parameter


def test_the_operators_own_template_counts(tmp_path: Path) -> None:
    """Beside what ships, or instead of one of its name."""
    (tmp_path / "two-vms.yaml").write_text("mine")
    (tmp_path / "other.yaml").write_text("other")
    templates = Templates.load(tmp_path)
    assert (templates.text("two-vms"), templates.text("other")) == ("mine", "other")


def test_an_unknown_template_is_answered_with_those_that_there_are() -> None:
    """Names are not files: none leads out of the catalog."""
    for name in ("three-vms", "../settings", "two-vms.yaml"):
        with pytest.raises(NotFound, match="there are: two-vms") as raised:
            Templates.load().text(name)
        assert raised.value.reason == Reason.TEMPLATE_NOT_FOUND


def test_a_folder_that_is_none_is_the_operators_fault(tmp_path: Path) -> None:
    """Told at the start."""
    with pytest.raises(ConfigurationError, match="is no folder"):
        Templates.load(tmp_path / "none")
