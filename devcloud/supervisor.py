"""Brings components up and down: the one who knows what needs what."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from devcloud.cloud_venv import CloudVenv
from devcloud.component import Component, Installer
from devcloud.components import COMPONENTS
from devcloud.graph import RequirementFailed, UnknownName, closure, reverse, run_graph
from devcloud.packages import DebianPackages
from devcloud.processes import Daemon
from devcloud.progress import Progress
from devcloud.site import Site
from devcloud.tools import Cancelled, tail

Report = Callable[[str, str], None]
"""Told the name of a component and the phase it enters."""


class DevCloudFailed(RuntimeError):
    """Some components did not come up; the message names each and why."""


@dataclass(frozen=True, slots=True)
class Status:
    """One process of one component."""

    component: str
    process: str
    state: str
    pid: int | None
    port: int | None
    log: Path


class Supervisor:
    """The developer cloud of one site."""

    def __init__(self, site: Site, table: Sequence[type[Component]] = COMPONENTS) -> None:
        self.site = site
        self.components = {kind.name: kind(site) for kind in table}
        self.needs = {kind.name: (*kind.requires, *kind.wants) for kind in table}
        self.after = {kind.name: kind.after for kind in table}
        self.default = tuple(kind.name for kind in table if kind.by_default)

    def up(self, names: Collection[str] = ()) -> None:
        """Install, configure and start these components and what they require.

        Args:
            names: Default: all components that don't say otherwise (`Component.by_default`).
        """
        wanted = self._with_onlookers(closure(names or self.default, self.needs))
        chosen = {name: c for name, c in self.components.items() if name in wanted}
        installers = {i.name: i for i in self._installers(chosen.values())}
        requires: dict[str, list[str]] = {name: [] for name in installers}
        for name, component in chosen.items():
            requires[name] = [*component.requires, *_needed_installers(component, installers)]
            requires[name] += [other for other in component.after if other in chosen]
        with self.site.exclusively(), Progress(requires) as report:

            def work(name: str) -> None:
                if name in installers:
                    _install(self.site, installers[name], report)
                else:
                    self._bring_up(chosen[name], report)

            self._run(requires, work, report)

    def down(self) -> None:
        """Stop everything, what others need last."""
        with self.site.exclusively(), Progress(self.components) as report:
            self._stop_all(report)

    def reset(self) -> None:
        """Stop everything and remove this cloud's state; the cache stays."""
        with self.site.exclusively(), Progress(self.components) as report:
            self._stop_all(report)
            shutil.rmtree(self.site.paths.state)

    def start(self, name: str) -> None:
        """Start one component alone and wait until it is ready; what it requires must run."""
        with self.site.exclusively():
            self._bring_up(self._component(name), lambda _name, _phase: None)

    def stop(self, name: str) -> None:
        """Stop one component alone, as an operator would."""
        with self.site.exclusively():
            self._component(name).stop()

    def kill(self, name: str) -> None:
        """End one component's processes with SIGKILL, as a crash would."""
        with self.site.exclusively():
            for daemon in reversed(self._component(name).daemons()):
                self.site.processes.kill(daemon.name)

    def pause(self, name: str) -> None:
        """Stop one component's processes where they are (SIGSTOP), as an overloaded host would."""
        with self.site.exclusively():
            for daemon in reversed(self._component(name).daemons()):
                self.site.processes.pause(daemon.name)

    def resume(self, name: str) -> None:
        """Let a paused component go on; one that isn't paused notices nothing."""
        with self.site.exclusively():
            for daemon in self._component(name).daemons():
                self.site.processes.resume(daemon.name)

    def status(self) -> list[Status]:
        """Return the state of every process, components in the order of the table."""
        return [line for c in self.components.values() for line in self._status(c)]

    def _status(self, component: Component) -> list[Status]:
        port = self.site.ports[component.main_port] if component.main_port else None
        processes = self.site.processes
        if not component.daemons():
            state = "done" if component.configured() else "absent"
            log = processes.log(component.name)
            return [Status(component.name, component.name, state, None, port, log)]
        lines = []
        for daemon in component.daemons():
            pid = processes.pid(daemon.name)
            state = "stopped" if pid is None else "ready" if component.ready() else "starting"
            own_port = port if daemon.name == component.name else None
            log = processes.log(daemon.name)
            lines.append(Status(component.name, daemon.name, state, pid, own_port, log))
        return lines

    def _with_onlookers(self, wanted: set[str]) -> set[str]:
        """Add what runs and looks at some of these, and all that it needs."""
        looking = {
            name
            for name, others in self.after.items()
            if name not in wanted and wanted & set(others) and self._runs(name)
        }
        if not looking:
            return wanted
        return self._with_onlookers(wanted | closure(looking, self.needs))

    def _runs(self, name: str) -> bool:
        component = self.components[name]
        return bool(component.daemons()) and component.running()

    def _component(self, name: str) -> Component:
        if name not in self.components:
            raise UnknownName(f"no component is called {name}")
        return self.components[name]

    def _installers(self, components: Collection[Component]) -> list[Installer]:
        packages = {name for component in components for name in component.packages}
        needed: list[Installer] = []
        if packages:
            needed.append(DebianPackages(tuple(sorted(packages))))
        if any(component.needs_cloud_venv for component in components):
            needed.append(CloudVenv())
        return needed

    def _bring_up(self, component: Component, report: Report) -> None:
        component.tell = partial(report, component.name)
        try:
            component.render()
            if not component.configured():
                report(component.name, "configuring")
                component.configure()
            report(component.name, "starting")
            component.start()
            self._wait_ready(component)
        except BaseException as error:
            report(component.name, _ended(error))
            raise
        report(component.name, "ready")

    def _wait_ready(self, component: Component) -> None:
        deadline = time.monotonic() + component.ready_within
        while not component.ready():
            for daemon in component.daemons():
                if self.site.processes.pid(daemon.name) is None:
                    raise DevCloudFailed(
                        f"{daemon.name} ended\n{tail(self.site.processes.log(daemon.name))}"
                    )
            if time.monotonic() > deadline:
                raise DevCloudFailed(f"not ready within {component.ready_within:.0f} s")
            self.site.tools.pause(0.1)

    def _stop_all(self, report: Report) -> None:
        self._stop_strangers()

        def work(name: str) -> None:
            report(name, "stopping")
            self.components[name].stop()
            report(name, "stopped")

        order = {name: (*needs, *self.after[name]) for name, needs in self.needs.items()}
        self._run(reverse(order), work, report)

    def _stop_strangers(self) -> None:
        """Stop what another version of this code has started, and this one knows nothing of.

        It would look for what it needs for ever, at ports that may be others' by then.
        """
        known = {daemon.name for one in self.components.values() for daemon in one.daemons()}
        for name in sorted(self.site.processes.recorded() - known):
            self.site.processes.stop(Daemon(name, ()))

    def _run(
        self,
        requires: Mapping[str, Collection[str]],
        work: Callable[[str], None],
        report: Report,
    ) -> None:
        failures = run_graph(requires, work, self.site.tools.cancelled.set)
        causes = []
        for name, error in failures.items():
            if isinstance(error, RequirementFailed):
                report(name, "skipped")
            elif not isinstance(error, Cancelled):
                causes.append((name, error))
        if failures:
            text = "\n".join(f"{name}: {error}" for name, error in causes)
            raise DevCloudFailed(text or "interrupted") from (causes[0][1] if causes else None)


def _ended(error: BaseException) -> str:
    return "interrupted" if isinstance(error, Cancelled) else "failed"


def _install(site: Site, installer: Installer, report: Report) -> None:
    try:
        if not installer.installed(site):
            report(installer.name, "installing")
            installer.install(site)
    except BaseException as error:
        report(installer.name, _ended(error))
        raise
    report(installer.name, "done")


def _needed_installers(component: Component, installers: Mapping[str, Installer]) -> list[str]:
    needed = []
    if component.packages and DebianPackages.name in installers:
        needed.append(DebianPackages.name)
    if component.needs_cloud_venv:
        needed.append(CloudVenv.name)
    return needed
