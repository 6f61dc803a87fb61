"""What unit tests of several rooms want."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Callable, Iterator

import pytest
import structlog

from shared.runtime import logs

Lines = Callable[[], list[dict[str, object]]]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    """What was logged so far, with logging configured, and put back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    logs.configure("demo", "debug")
    yield lambda: [json.loads(line) for line in stderr.getvalue().splitlines()]
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    logging.captureWarnings(False)
    root.handlers = handlers
    root.setLevel(level)
