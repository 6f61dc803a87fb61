"""Running a command's coroutine with a client, and telling of what goes wrong by exit codes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import typer
from rich.console import Console
from rich.text import Text

from colobus.client import Client
from colobus.errors import (
    ApiError,
    ColobusError,
    CredentialsError,
    NoSuchImage,
    NoSuchNode,
    NotAuthorized,
    NotFound,
    ResourceEnded,
    TryLater,
    Unreachable,
    UnusableInput,
    WaitTimeout,
)
from colobus.models import Problem

T = TypeVar("T")

FAILED, USAGE, NOT_FOUND, AUTH, UNAVAILABLE, TIMEOUT, INTERRUPTED = 1, 2, 3, 4, 5, 124, 130
#: The first row that fits counts.
EXIT_CODES: tuple[tuple[type[ColobusError], int], ...] = (
    (NotFound, NOT_FOUND),
    (NoSuchImage, NOT_FOUND),
    (NoSuchNode, NOT_FOUND),
    (UnusableInput, USAGE),
    (NotAuthorized, AUTH),
    (CredentialsError, AUTH),
    (TryLater, UNAVAILABLE),
    (Unreachable, UNAVAILABLE),
    (WaitTimeout, TIMEOUT),
)
#: Answers to a request that was wrong in itself.
BAD_REQUEST = frozenset({400, 413, 415, 422})


@contextmanager
def told(going_on: str | None = None) -> Iterator[None]:
    """Tell of what goes wrong in the block, and end the program with its exit code.

    ``going_on`` is what Ctrl-C tells.
    """
    try:
        yield
    except KeyboardInterrupt:
        say(going_on or "interrupted")
        raise typer.Exit(INTERRUPTED) from None
    except ColobusError as error:
        show_error(error)
        raise typer.Exit(exit_code(error)) from error


@dataclass(frozen=True)
class Session:
    """Whom to ask, and as whom."""

    url: str | None
    os_cloud: str | None
    retry_for: float

    def run(self, work: Callable[[Client], Awaitable[T]], *, going_on: str | None = None) -> T:
        """Do the work with a client and return its result; end the program when it fails.

        ``going_on`` is what Ctrl-C tells.
        """
        with told(going_on):
            return asyncio.run(self._with_client(work))

    async def _with_client(self, work: Callable[[Client], Awaitable[T]]) -> T:
        said: set[str] = set()

        def on_retry(error: ColobusError) -> None:
            if str(error) not in said:
                said.add(str(error))
                say(f"{error}; trying again", "yellow")

        async with Client(
            self.url, os_cloud=self.os_cloud, retry_for=self.retry_for, on_retry=on_retry
        ) as client:
            return await work(client)


def session_of(context: typer.Context) -> Session:
    """Return what the options before the command said."""
    session = context.find_root().obj
    if not isinstance(session, Session):
        raise TypeError("the command was called without the application")
    return session


def exit_code(error: ColobusError) -> int:
    """Return the exit code of an error."""
    for kind, code in EXIT_CODES:
        if isinstance(error, kind):
            return code
    bad_request = isinstance(error, ApiError) and error.status in BAD_REQUEST
    return USAGE if bad_request else FAILED


def say(text: str, style: str | None = None) -> None:
    """Print to standard error, which leaves standard output to results."""
    Console(stderr=True).print(Text(text, style or ""), soft_wrap=True)


def show_error(error: ColobusError) -> None:
    """Print an error: a problem's title, detail and fields."""
    if isinstance(error, ResourceEnded) and error.resource.status.error is not None:
        say(f"{error.resource.id} is {error.resource.status.phase}", "bold red")
        show_problem(error.resource.status.error)
    elif isinstance(error, ApiError):
        show_problem(error.problem)
    else:
        say(str(error), "bold red")


def show_problem(problem: Problem) -> None:
    """Print a problem document."""
    words = [problem.reason] if problem.reason else []
    words += ["may succeed later"] if problem.retryable else []
    say(problem.title + (f" ({', '.join(words)})" if words else ""), "bold red")
    if problem.detail and problem.detail != problem.title:
        say(f"  {problem.detail}")
    for field in problem.errors:
        say(f"  {field.pointer or field.parameter or 'body'}: {field.detail}")
