from __future__ import annotations

import email
from email.message import Message

import pytest
import yaml

from shared.worker.cloud_config import compose

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJzGz me@home"
OTHER_KEY = "ssh-rsa AAAAB3NzaC1yc2E= you"


def composed(ssh_keys: list[str], user_data: str | None) -> str:
    text = compose(ssh_keys, user_data)
    assert text is not None
    return text


def config_of(text: str) -> object:
    assert text.startswith("#cloud-config\n")
    return yaml.safe_load(text)


def parts_of(text: str) -> list[Message]:
    return [part for part in email.message_from_string(text).walk() if not part.is_multipart()]


def payload(part: Message) -> str:
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    return content.decode()


def test_nothing_to_say_is_no_user_data() -> None:
    """Without keys and user data there is none."""
    assert compose([], None) is None


@pytest.mark.parametrize(
    "user_data", ["#!/bin/sh\necho hi\n", "#cloud-config\n{}", "anything", "zażółć\r\n"]
)
def test_user_data_alone_arrives_unchanged(user_data: str) -> None:
    """Without keys to add there is nothing to change."""
    assert composed([], user_data) == user_data


def test_keys_alone_become_a_cloud_config() -> None:
    """Each key once, in order."""
    text = composed([KEY, OTHER_KEY, KEY], None)
    assert config_of(text) == {"ssh_authorized_keys": [KEY, OTHER_KEY]}


@pytest.mark.parametrize(
    ("user_data", "expected"),
    [
        ("#cloud-config\n", {}),
        ("#cloud-config\r\npackages: [git]\r\n", {"packages": ["git"]}),
        ("\n#cloud-config\nruncmd:\n- echo ok\n", {"runcmd": ["echo ok"]}),
        (
            "#cloud-config\nwrite_files:\n- {path: /a, permissions: '0644', content: 'ż: #x'}\n",
            {"write_files": [{"path": "/a", "permissions": "0644", "content": "ż: #x"}]},
        ),
    ],
)
def test_keys_are_merged_into_a_cloud_config(user_data: str, expected: dict[str, object]) -> None:
    """The user's own words stay; the header stays; the keys are added."""
    assert config_of(composed([KEY], user_data)) == {**expected, "ssh_authorized_keys": [KEY]}


def test_keys_of_the_users_own_config_stay_first() -> None:
    """Both lists become one, without doubles."""
    user_data = yaml.safe_dump({"ssh_authorized_keys": [OTHER_KEY, KEY], "a": 1})
    merged = config_of(composed([KEY], f"#cloud-config\n{user_data}"))
    assert merged == {"ssh_authorized_keys": [OTHER_KEY, KEY], "a": 1}


@pytest.mark.parametrize(
    "user_data",
    [
        "#!/bin/sh\necho 'zażółć'\n",
        "#include\nhttps://example.org/x\n",
        "## template: jinja\n#cloud-config\nhostname: {{ v1.x }}\n",
        "#cloud-config-archive\n- {type: text/plain, content: x}\n",
        "#cloud-config\n[not, a, mapping]\n",
        "#cloud-config\nbroken: [yaml\n",
        "#cloud-config\nssh_authorized_keys: not-a-list\n",
        "plain text",
    ],
)
def test_other_user_data_travels_beside_the_keys(user_data: str) -> None:
    """What can't be merged into becomes a part of an archive, byte for byte."""
    own, keys = parts_of(composed([KEY], user_data))
    assert (own.get_content_type(), payload(own)) == ("text/plain", user_data)
    assert keys.get_content_type() == "text/cloud-config"
    assert config_of(payload(keys)) == {"ssh_authorized_keys": [KEY]}
    assert "list(append)" in keys["Merge-Type"]


def test_the_users_own_archive_keeps_its_parts() -> None:
    """A MIME multipart archive is carried whole, with its parts' types."""
    user_data = (
        'Content-Type: multipart/mixed; boundary="b"\nMIME-Version: 1.0\n\n'
        "--b\nContent-Type: text/x-shellscript\n\n#!/bin/sh\n"
        "--b\nContent-Type: text/cloud-config\n\n#cloud-config\na: 1\n--b--\n"
    )
    types = [part.get_content_type() for part in parts_of(composed([KEY], user_data))]
    assert types == ["text/x-shellscript", "text/cloud-config", "text/cloud-config"]


def test_the_same_input_gives_the_same_user_data() -> None:
    """A second attempt sends what the first one sent."""
    assert compose([KEY], "#!/bin/sh\n") == compose([KEY], "#!/bin/sh\n")
