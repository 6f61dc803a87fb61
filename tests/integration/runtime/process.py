"""A service as a real process, whose log lines and HTTP answers a test can wait for."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

ROOT = Path(__file__).resolve().parents[3]
ENVIRONMENT = {
    "COLOBUS_INSTALLATION_ID": "test",
    "COLOBUS_AMQP_URLS": "amqp://nobody@127.0.0.1:1/x",
    "COLOBUS_HTTP_PORT": "0",
    "COLOBUS_DRAIN_SECONDS": "20",
}
SECONDS = 30


class ServiceProcess:
    """One running `tests.integration.runtime.sample_service`."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.lines: list[dict[str, Any]] = []

    async def until(self, event: str) -> dict[str, Any]:
        """Read log lines up to the first that says ``event``."""
        async with asyncio.timeout(SECONDS):
            while line := await self._next():
                if line["event"] == event:
                    return line
        raise AssertionError(f"{event!r} was never logged: {self.lines}")

    async def port(self) -> int:
        """The port that it listens on."""
        line = await self.until("listening")
        return int(line["addresses"][0].rpartition(", ")[2].rstrip(")"))

    async def say(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())
        await self.process.stdin.drain()

    async def exit_code(self) -> int:
        """Wait for its end."""
        async with asyncio.timeout(SECONDS):
            while await self._next():
                pass
            return await self.process.wait()

    async def _next(self) -> dict[str, Any] | None:
        assert self.process.stderr is not None
        text = await self.process.stderr.readline()
        if not text:
            return None
        line: dict[str, Any] = json.loads(text)
        self.lines.append(line)
        return line


@asynccontextmanager
async def started(how: str, **environment: str) -> AsyncIterator[ServiceProcess]:
    """Start the sample service that lives as ``how`` says; it is gone at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.integration.runtime.sample_service",
        how,
        cwd=ROOT,
        env={**os.environ, **ENVIRONMENT, **environment},
        stdin=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield ServiceProcess(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def get(port: int, path: str) -> tuple[int, str]:
    """Status and body of an answer."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}{path}") as answer,
    ):
        return answer.status, await answer.text()
