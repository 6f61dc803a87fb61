"""User data as Nova takes it: base64, up to a limit. Pure."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from shared.worker.cloud_config import compose
from shared.worker.errors import Refused

#: What Nova takes, in characters of base64 (Compute API, ``user_data``).
MAX_ENCODED = 65_535


def render(ssh_keys: Sequence[str], user_data: str | None) -> str | None:
    """Return the user data of a server; None when there is nothing to say.

    Raises `PermanentError` when the result is larger than Nova takes.
    """
    text = compose(ssh_keys, user_data)
    if text is None:
        return None
    encoded = base64.b64encode(text.encode()).decode("ascii")
    if len(encoded) > MAX_ENCODED:
        raise Refused(
            f"user_data and ssh_keys together are {len(encoded)} characters in base64; "
            f"the cloud takes at most {MAX_ENCODED}."
        )
    return encoded
