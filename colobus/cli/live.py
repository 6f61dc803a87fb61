"""A resource's way, live: a table that moves on a terminal, else one line per change."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Collection, Iterator
from datetime import UTC, datetime

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from colobus.cli.output import PHASE_STYLES, span
from colobus.client import Client
from colobus.errors import WaitTimeout
from colobus.models import Phase, Resource, Step, StepPart, StepState

STEP_STYLES = {
    "pending": ("·", "dim"),
    "running": ("▸", "yellow"),
    "retrying": ("↻", "magenta"),
    "done": ("✓", "green"),
    "failed": ("✗", "bold red"),
    "undoing": ("◂", "yellow"),
    "undone": ("✓", "dim"),
}


async def follow_live(
    client: Client,
    resource_id: str,
    until: Collection[Phase],
    *,
    timeout: float | None = None,
    console: Console | None = None,
) -> Resource:
    """Show every change of a resource up to a phase of ``until``; return it as it then is.

    Raises `WaitTimeout` after ``timeout`` seconds.
    """
    out = console or Console(stderr=True, highlight=False)
    view: LiveView | PlainView = LiveView(out) if out.is_terminal else PlainView(out)
    last: Resource | None = None
    try:
        async with (
            asyncio.timeout(timeout),
            contextlib.aclosing(client.watch(resource_id, until)) as changes,
        ):
            with view.shown():
                async for last in changes:
                    view.update(last)
    except TimeoutError:
        raise WaitTimeout(last or await client.get(resource_id)) from None
    return last or await client.get(resource_id)


class LiveView:
    """The whole resource, drawn again a few times a second so that durations run."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._resource: Resource | None = None

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Draw while the block runs; the last state stays."""
        with Live(get_renderable=self._draw, console=self._console, refresh_per_second=8):
            yield

    def update(self, resource: Resource) -> None:
        """Show this from now on."""
        self._resource = resource

    def _draw(self) -> RenderableType:
        if self._resource is None:
            return Text("…", "dim")
        return Group(headline(self._resource), steps_table(self._resource, datetime.now(UTC)))


class PlainView:
    """One line for every change of the phase, the reason, a step or a part of one."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self._said: dict[str, str] = {}

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Nothing needs cleaning up."""
        yield

    def update(self, resource: Resource) -> None:
        """Print what has changed."""
        now = datetime.now(UTC)
        self._say("", headline(resource).plain)
        for step in resource.status.steps:
            if step.state is StepState.PENDING:
                continue
            self._say(step.name, f"  {step.name}: {step_text(step, now)}", key=step_key(step))
            for part in step.parts:
                if part.state is not StepState.PENDING:
                    name = f"{step.name}/{part.name}"
                    key = f"{part.status} {part.finished_at}"
                    self._say(name, f"    {name}: {part_text(part, now)}", key=key)

    def _say(self, what: str, text: str, key: str | None = None) -> None:
        if self._said.get(what) != (key or text):
            self._said[what] = key or text
            elapsed = f"{time.monotonic() - self._began:6.1f} s  "
            self._console.print(Text(elapsed + text), soft_wrap=True)


def headline(resource: Resource) -> Text:
    """Return id, phase and, where there is one, the reason and the place in the queue."""
    status = resource.status
    text = Text(f"{resource.id} ").append(status.phase, PHASE_STYLES.get(status.phase, "yellow"))
    if status.reason:
        text.append(f" ({status.reason})", "magenta")
    if status.queue is not None:
        text.append(f" place {status.queue.position} in the queue")
    if status.message:
        text.append(f" {status.message}")
    return text


def steps_table(resource: Resource, now: datetime) -> Table:
    """Return the steps with their states and durations."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for step in resource.status.steps:
        mark, style = STEP_STYLES.get(step.state, ("?", ""))
        error = "" if step.error is None else step.error.detail or step.error.title
        attempt = f"attempt {step.attempt}" if step.attempt > 1 else ""
        taken = duration_of(step, now)
        table.add_row(
            Text(f"  {mark}", style),
            step.name,
            Text(step.state, style),
            Text(taken, justify="right"),
            Text(attempt, "magenta"),
            Text(error, "red"),
        )
        for part in step.parts:
            mark, style = STEP_STYLES.get(part.state, ("?", ""))
            table.add_row(
                Text(f"    {mark}", style),
                f"  {part.name}",
                Text(part.state, style),
                Text(duration_of(part, now), justify="right"),
                Text(part.type, "dim"),
                Text(part.reason or "", "red"),
            )
        if step.more_parts:
            table.add_row("", f"  and {step.more_parts} more")
    return table


def step_text(step: Step, now: datetime) -> str:
    """Return a step's state in words."""
    parts: list[str] = [step.state]
    if step.finished_at is not None:
        parts.append(f"({duration_of(step, now)})")
    if step.attempt > 1:
        parts.append(f"attempt {step.attempt}")
    if step.error is not None:
        parts.append(f"- {step.error.detail or step.error.title}")
    return " ".join(parts)


def part_text(part: StepPart, now: datetime) -> str:
    """Return a part's state in words."""
    words: list[str] = [part.state]
    if part.finished_at is not None and part.started_at is not None:
        words.append(f"({duration_of(part, now)})")
    words.append(part.type)
    if part.reason is not None:
        words.append(f"- {part.reason}")
    return " ".join(words)


def step_key(step: Step) -> str:
    """Return what makes a step's state another one."""
    return f"{step.state} {step.attempt} {step.error}"


def duration_of(step: Step | StepPart, now: datetime) -> str:
    """Return how long a step took, or has taken so far."""
    if step.started_at is None:
        return ""
    return span(((step.finished_at or now) - step.started_at).total_seconds())
