"""The way forward: every step whose time has come, and active when all are done."""

from __future__ import annotations

from services.scheduler import leaving
from services.scheduler.walk import Walk
from shared.contract.resources import Phase, StepState


def go_forward(walk: Walk) -> None:
    """Start each step that only waited for those before it; all done means active."""
    wanted = {step.name for step in walk.wanted()}
    done = {s.name for s in walk.state.resource.status.steps if s.state is StepState.DONE}
    for step in walk.wanted():
        state = walk.state.step(step.name).state
        if state is StepState.PENDING and done.issuperset(wanted.intersection(step.after)):
            walk.issue_step(step, undo=False)
    if all(step.name in done for step in walk.wanted()):
        _become_active(walk)


def _become_active(walk: Walk) -> None:
    walk.clear_timers()
    leaving.keep_timers(walk)
    walk.change_status(phase=Phase.ACTIVE, reason=None, message=None)
    lease = walk.state.resource.lease
    if lease is not None:
        walk.set_lease(lease.ttl)
