"""User data and SSH keys become what cloud-init reads. Pure.

Keys go in by cloud-config: Nova's keypairs belong to the service user, and a disk has none.
Source of the forms: cloud-init's documentation, "User data formats" and "Merging user data".
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from email import message_from_string
from email.message import Message as Part
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from typing import Any

import yaml

HEADER = "#cloud-config"
_KEYS = "ssh_authorized_keys"
#: Our keys come on top of whatever lists the user's own parts have.
_MERGE_TYPE = "list(append)+dict(no_replace,recurse_list)+str()"
_MIME = ("content-type: multipart/", "mime-version:")


def compose(ssh_keys: Sequence[str], user_data: str | None) -> str | None:
    """Return the user data of a server or machine; None when there is nothing to say.

    User data that isn't one plain cloud-config mapping (a script, an archive, a template, …) goes
    unchanged into a MIME multipart archive, beside a part with the keys.
    """
    if not ssh_keys:
        return user_data
    if user_data is None:
        return _keys_alone(ssh_keys)
    return _merged(ssh_keys, user_data) or _archive(ssh_keys, user_data)


def _keys_alone(ssh_keys: Sequence[str]) -> str:
    return _dump({_KEYS: list(dict.fromkeys(ssh_keys))})


def _merged(ssh_keys: Sequence[str], user_data: str) -> str | None:
    """Merge the keys into a cloud-config; None when it isn't one that can be merged into."""
    if user_data.lstrip().partition("\n")[0].strip() != HEADER:
        return None
    try:
        config = yaml.safe_load(user_data)
    except yaml.YAMLError:
        return None
    config = {} if config is None else config
    if not isinstance(config, dict):
        return None
    own = config.get(_KEYS) or []
    if not isinstance(own, list):
        return None
    return _dump({**config, _KEYS: list(dict.fromkeys([*map(str, own), *ssh_keys]))})


def _archive(ssh_keys: Sequence[str], user_data: str) -> str:
    """Both as parts; cloud-init sees from its first line what a text/plain part is."""
    keys = MIMEText(_keys_alone(ssh_keys), "cloud-config", "utf-8")
    keys["Merge-Type"] = _MERGE_TYPE
    boundary = f"colobus-{hashlib.sha256(user_data.encode()).hexdigest()[:24]}"
    archive = MIMEMultipart("mixed", boundary, [_part(user_data), keys])
    return archive.as_string()


def _part(user_data: str) -> Part:
    if user_data.lstrip().lower().startswith(_MIME):
        return message_from_string(user_data.lstrip())
    return MIMEText(user_data, "plain", "utf-8")


def _dump(config: dict[Any, Any]) -> str:
    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True, width=2**16)
    return f"{HEADER}\n{text}"
