#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: change_services
short_description: Change the services of a kind on a host
version_added: "0.1.0"
description:
  - Executed on the host by M(daskops.cluster.services), M(daskops.cluster.change_scheduler) and
    M(daskops.cluster.revert_workers).
author:
  - The daskops.cluster authors (@daskops)
extends_documentation_fragment:
  - daskops.cluster.internal
  - daskops.cluster.attributes.linux
  - daskops.cluster.home
  - daskops.cluster.services
options:
  release:
    description: Id of the release to run. Required for O(state=started) and O(state=restarted).
    type: str
  planned:
    description: In check mode, the services and units of a release that is not staged.
    type: dict
    suboptions:
      services:
        description: Digest of each service, by unit.
        type: dict
      units:
        description: Content of the unit files, by relative path.
        type: dict
  boot:
    description: Unit that starts at boot.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Run the release
  daskops.cluster.change_services:
    home: /opt/dask
    kind: scheduler
    release: 3f2a91c04d5e.7b21
    boot: dask-scheduler.service
"""

RETURN = r"""
restarted:
  description: See RV(daskops.cluster.services#module:restarted).
  type: list
  elements: str
  returned: always
removed:
  description: See RV(daskops.cluster.services#module:removed).
  type: list
  elements: str
  returned: always
pruned:
  description: See RV(daskops.cluster.services#module:pruned).
  type: list
  elements: str
  returned: changed, unless in check mode or to stop services
"""

import glob
import os
import time
from typing import Any, Iterable, List, Mapping, Tuple

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.daskops.cluster.plugins.module_utils.history import STAGED, note_switch, note_use
from ansible_collections.daskops.cluster.plugins.module_utils.host_lock import HostLockError, take_lock
from ansible_collections.daskops.cluster.plugins.module_utils.journals import last_lines
from ansible_collections.daskops.cluster.plugins.module_utils.processes import running_services
from ansible_collections.daskops.cluster.plugins.module_utils.pythons import prune_pythons
from ansible_collections.daskops.cluster.plugins.module_utils.releases import prune, read, read_releases, read_units
from ansible_collections.daskops.cluster.plugins.module_utils.replacement import Replacement, unlink
from ansible_collections.daskops.cluster.plugins.module_utils.restarts import OTHER_UNIT, changes
from ansible_collections.daskops.cluster.plugins.module_utils.system_errors import explain, reported
from ansible_collections.daskops.cluster.plugins.module_utils.units import (
    KEPT,
    SYSTEMD,
    UNIT,
    WORKER_TEMPLATE,
    SystemctlError,
    same_unit,
    settings,
    show_units,
    triggers_of,
    unit_digests,
    unit_files,
)
from ansible_collections.daskops.cluster.plugins.module_utils.untrusted import printable

#: Units to stop, and units to restart. All units of a part change at the same time.
Part = Tuple[List[str], List[str]]


def kept_units() -> dict[str, str]:
    """Return the content of the units that still have their previous version, by name."""
    paths = glob.glob(os.path.join(KEPT, WORKER_TEMPLATE.replace("@", "@*")))
    return {os.path.basename(path): read(path) for path in paths}


class Missing(Exception):
    """The release is not on this host, or not complete; the message says what to do."""


class Host:
    """The state of this host in systemd and in the file system."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.home = module.params["home"]
        self.hint = module.params["hint"]
        self.current = os.path.join(self.home, "current")

    def systemctl(self, *arguments: str, check: bool = True) -> str:
        status, output, errors = self.module.run_command(["systemctl", *arguments])
        if check and status != 0:
            raise SystemctlError(f"systemctl {' '.join(arguments)} failed: {errors.strip()}")
        return output

    def show(self, units: list[str]) -> dict[str, dict[str, str]]:
        """Return properties of units, by unit."""
        if not units:
            return {}
        names = ["ActiveState", "SubState", "MainPID", "NRestarts", "Result", "UnitFileState"]
        return show_units(self.module, names, units)

    def services(self, kind: str) -> list[str]:
        """Return the services of a kind that systemd has loaded, running or not."""
        pattern = "dask-scheduler.service" if kind == "scheduler" else "dask-worker@*.service"
        output = self.systemctl("list-units", "--all", "--plain", "--no-legend", "--full", pattern)
        return [line.split()[0] for line in output.splitlines() if UNIT.fullmatch(line.split()[0])]

    def prune(self, keep: int) -> list[str]:
        """Remove the releases, environments and managed Pythons that neither a service nor a rollback needs.

        Returns their paths.

        The services already run, so an error here only causes a warning.
        """
        try:
            states = show_units(
                self.module, ["ActiveState", "MainPID"], ["dask-scheduler.service", "dask-worker@*.service"]
            )
            removed = prune(self.home, set(running_services(states).values()), keep)
            return removed + prune_pythons(self.home)
        except (OSError, SystemctlError, ValueError) as error:
            self.module.warn(
                f"The services run, but old releases, environments and Pythons in {self.home} were not removed ({error}). "
                "The next run that changes something tries again."
            )
            return []

    def journal(self, unit: str) -> str:
        """Return the last lines of a unit's journal."""
        return printable(last_lines(unit, 15))


def ports_of(release: Mapping[str, Any], units: Iterable[str]) -> set[int]:
    """Return the ports on which services of a release listen."""
    return {port for unit in units for port in release.get("ports", {}).get(unit, [])}


class NotReady(Exception):
    """A service does not start; the message names it and has the last lines of its journal."""


class NotSwitched(Exception):
    """The services could not be switched; the message has the reason and the services that run now."""


def wait_until_ready(host: Host, units: list[str], timeout: float) -> None:
    """Wait until every service has reported readiness to systemd.

    Raises
    ------
    NotReady
        If a service fails five times, or not all services are ready in time.
    """
    deadline = time.monotonic() + timeout
    restarts: dict[str, int] = {}
    while True:
        states = host.show(units)
        waiting = [unit for unit in units if states[unit]["ActiveState"] != "active"]
        if not waiting:
            return
        # systemd restarts a failing service without limit (Restart=always): after five restarts, it counts as failed.
        failing = [
            unit
            for unit in waiting
            if int(states[unit]["NRestarts"]) >= 5 + restarts.setdefault(unit, int(states[unit]["NRestarts"]))
        ]
        if failing or time.monotonic() > deadline:
            unit = (failing or waiting)[0]
            about = states[unit]
            raise NotReady(
                f"{unit} does not start ({about['ActiveState']}, {about['SubState']}, result {about['Result']}, "
                f"{about['NRestarts']} restarts). Last lines of its journal:\n"
                f"{host.journal(unit)}\n{host.hint}".rstrip()
            )
        time.sleep(0.5)  # frequent requests to systemd slow down the start of services on a busy host


class Activation:
    """The difference between a host's running and planned services, and the steps that change them."""

    def __init__(self, host: Host) -> None:
        parameters = host.module.params
        self.host = host
        self.kind, self.boot, self.state = parameters["kind"], parameters["boot"], parameters["state"]
        self.files = unit_files(self.kind)
        self.kept = kept_units() if self.kind == "worker" else {}
        self.linked = os.path.realpath(host.current) if os.path.islink(host.current) else ""
        self.stopping = self.state not in ("started", "restarted")
        self.releases = read_releases(host.home)
        if not self.stopping:
            self.wanted, self.units = self.planned(parameters["release"], parameters["planned"])
            self.target = os.path.realpath(os.path.join(host.home, "releases", parameters["release"]))
        else:
            self.wanted, self.target = {}, self.linked
            self.units = {} if self.state == "absent" else self.files

        triggers = triggers_of({*self.files, *self.units})
        states = host.show(sorted({*self.wanted, *host.services(self.kind), self.boot, *triggers}))
        self.running = running_services(states)
        self.active = states[self.boot]["ActiveState"] == "active"
        self.enabled = states[self.boot]["UnitFileState"] == "enabled"
        self.triggers = [unit for unit in triggers if states[unit]["ActiveState"] == "active"]
        # Timers and sockets to stop, and those to start or restart.
        wanted = [] if self.stopping else triggers_of(self.units)
        self.stopped_triggers = [unit for unit in self.triggers if unit not in wanted]
        self.at_boot = self.enabled if self.state == "stopped" else not self.stopping
        digests, planned = unit_digests(self.files), unit_digests(self.units)
        running = {
            unit: f"{release}{OTHER_UNIT}" if self.is_other_unit(unit, digests, planned) else release
            for unit, release in self.running.items()
        }
        # To restart a service whatever its release is, count it as not running.
        self.removed = changes(running, self.wanted).removed
        self.restarted = changes({} if self.state == "restarted" else running, self.wanted).restarted
        # Sockets belong to the account of the services, which can have been created again.
        self.started_triggers = [
            unit
            for unit in wanted
            if unit not in self.triggers
            or self.files.get(unit) != self.units[unit]
            or (unit.endswith(".socket") and self.restarted)
        ]

    def planned(
        self, release: str, given: Mapping[str, Mapping[str, str]] | None
    ) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """Return the services of a release, and the content of its units by path below systemd's directory.

        Raises
        ------
        Missing
            If the release is not on this host, and its services and units are not ``given`` either.
        """
        if given is not None:
            return given["services"], given["units"]
        try:
            about = self.releases[release]
            return about["services"][self.kind], read_units(self.host.home, about)[self.kind]
        except (KeyError, OSError, ValueError):
            raise Missing(f"The release {release} is not on this host, or not complete. Run site.yml.") from None

    def is_other_unit(self, unit: str, digests: Mapping[str, str], planned: Mapping[str, str]) -> bool:
        """Return whether systemd started a service from another unit than the planned one.

        The reported release does not show this: on the scheduler's host, systemd may restart a worker that lost the
        scheduler from the new release, but still with the old unit.
        """
        kept = unit_digests({WORKER_TEMPLATE: self.kept[unit]}) if unit in self.kept else {}
        return not same_unit(unit, {**digests, **kept}, planned)

    @property
    def changed(self) -> bool:
        links = self.linked != self.target or self.enabled != self.at_boot
        return bool(
            links
            or (self.stopping and self.active)
            or self.files != self.units
            or self.kept
            or self.removed
            or self.restarted
            or self.stopped_triggers
            or self.started_triggers
        )

    def diff(self) -> list[dict[str, str]]:
        """Return the changes in the form that ``--diff`` shows; empty if nothing changes."""

        def described(runs: Mapping[str, str | None], link: str, at_boot: bool) -> str:
            links = {self.host.current: link, "starts at boot": str(at_boot)}
            return "".join(f"{name}: {value}\n" for name, value in sorted({**links, **runs}.items()))

        changes = [(path, self.files.get(path, ""), self.units.get(path, "")) for path in {*self.files, *self.units}]
        diff = [
            {"before_header": path, "after_header": path, "before": before, "after": after}
            for path, before, after in sorted(changes)
            if before != after
        ]
        before, after = (
            described(self.running, self.linked, self.enabled),
            described(self.wanted, self.target, self.at_boot),
        )
        return [*diff, {"before": before, "after": after}] if self.changed else []

    def parts(self) -> list[Part]:
        """Return the steps of the change: units to stop, and units to start after that.

        A host's workers change in two halves, so that a worker remains that can take the data of a draining one, even in a
        cluster with one host. If a new worker needs the port of a worker in the other half, all change at once.
        """
        first, second = ((self.removed[half::2], self.restarted[half::2]) for half in (0, 1))
        staying = [unit for unit in [*second[0], *second[1]] if unit in self.running]
        held = ports_of(self.release_at(self.linked), staying)
        if not self.restarted or not staying or held & ports_of(self.release_at(self.target), first[1]):
            return [(self.removed, self.restarted)]
        return [part for part in (first, second) if any(part)]

    def carry_out(self) -> None:
        """Write all files, then stop, switch and start the services of each part. Can be repeated after an interruption.

        Raises
        ------
        NotReady, NotSwitched
        """
        host = self.host
        parts = self.parts()
        replacements = [self.replacement(number, parts) for number in range(len(parts))]
        try:
            self.prepare(replacements)
            if self.enabled and not self.at_boot:
                host.systemctl("disable", self.boot)
            for number, (leaving, units) in enumerate(parts):
                replacement = replacements[number]
                self.switch([*leaving, *units], replacement, self.still_running(number, parts))
                if number == 0:
                    self.start_triggers(".socket")
                if not self.stopping and units:
                    host.systemctl("reset-failed", *units, check=False)  # counts restarts from zero
                    # The target would start the units of later parts, too.
                    target = [self.boot] if replacement is replacements[-1] else []
                    host.systemctl("start", "--no-block", *target, *units)
                    wait_until_ready(host, units, host.module.params["start_timeout"])
            self.start_triggers(".timer")
        finally:
            for replacement in replacements:
                replacement.discard()

    def start_triggers(self, suffix: str) -> None:
        """Start or restart timers, or sockets. Services work without sockets, so an error of these only causes a warning."""
        units = [unit for unit in self.started_triggers if unit.endswith(suffix)]
        try:
            if units:
                self.host.systemctl("restart", *units)
        except SystemctlError as error:
            if suffix == ".timer":
                raise
            names = " ".join(units)
            self.host.module.warn(
                f"{names} does not start, so Cluster.get_logs() returns what Dask keeps in memory instead of the journals "
                f"of this host ({error}). See: systemctl status {names}"
            )

    def replacement(self, number: int, parts: list[Part]) -> Replacement:
        """Return the files and links that one of the ``parts`` changes.

        The files of a unit change together with the unit: a new memory limit must not apply to the old process.
        """
        replacement = Replacement()
        owners = {f"{unit}.d/daskops.conf": n for n, part in enumerate(parts) for unit in [*part[0], *part[1]]}
        for path in sorted({*self.files, *self.units}):
            if self.files.get(path) == self.units.get(path) or owners.get(path, 0) != number:
                continue
            full = os.path.join(SYSTEMD, path)
            if path in self.units:
                replacement.file(full, self.units[path])
            else:
                replacement.remove(full)
        # A new template applies to all of its units at once. Units that still run must stop with the command and the
        # timeout of the template that started them, so keep their previous unit file until then.
        before, after = self.files.get(WORKER_TEMPLATE, ""), self.units.get(WORKER_TEMPLATE, "")
        if number == 0 and before and settings(before) != settings(after):
            for unit in self.still_running(number, parts) - self.kept.keys():
                replacement.file(os.path.join(KEPT, unit), before)
        if number == 0 and self.linked != self.target:
            replacement.link(self.host.current, self.target)
            replacement.link(os.path.join(self.host.home, STAGED), self.target)
        return replacement

    def still_running(self, number: int, parts: list[Part]) -> set[str]:
        """Return the running services of later parts."""
        return {unit for leaving, units in parts[number + 1 :] for unit in [*leaving, *units] if unit in self.running}

    def prepare(self, replacements: list[Replacement]) -> None:
        """Write all files to the disk, before any service is stopped."""
        try:
            for replacement in replacements:
                replacement.prepare()
            if self.linked != self.target:
                note_switch(self.host.home, os.path.basename(self.target), self.taken_over_from())
        except OSError as error:
            raise NotSwitched(
                f"Writing the files of the services failed, so no service was stopped or changed: {explain(error)}"
            ) from error

    def switch(self, units: list[str], replacement: Replacement, running: set[str]) -> None:
        """Stop ``units`` while others are ``running``, and activate the prepared files.

        If that fails, start ``units`` again.
        """
        host = self.host
        try:
            # Stop the target of the workers together with them.
            self.stop(units, [self.boot] if self.stopping and self.active else [])
            if self.stopped_triggers:
                host.systemctl("stop", *self.stopped_triggers)
            replacement.commit()
            for unit in kept_units().keys() - running if self.kind == "worker" else ():
                unlink(os.path.join(KEPT, unit))
            if not self.stopping and not self.enabled:
                host.systemctl("enable", "--no-reload", self.boot)
            host.systemctl("daemon-reload")
        except (OSError, SystemctlError) as error:
            why = explain(error) if isinstance(error, OSError) else str(error)
            state = "" if self.stopping else self.start_again(units, replacement)
            raise NotSwitched(f"Switching the services failed: {why}{state}") from error

    def start_again(self, units: list[str], replacement: Replacement) -> str:
        """Start the services that ran before, and return a sentence about the result."""
        host = self.host
        before = [unit for unit in units if unit in self.running]
        try:
            replacement.undo()
            host.systemctl("daemon-reload", check=False)
            if self.stopped_triggers:
                host.systemctl("start", *self.stopped_triggers, check=False)
            if before:
                host.systemctl("reset-failed", *before, check=False)
                host.systemctl("start", "--no-block", *before)
                wait_until_ready(host, before, host.module.params["start_timeout"])
        except (OSError, SystemctlError, NotReady) as error:
            why = explain(error) if isinstance(error, OSError) else str(error)
            return f" Starting the previous services failed, too: {why}"
        return f" Restarted: {', '.join(before)}." if before else " No service ran before."

    def release_at(self, path: str) -> Mapping[str, Any]:
        """Return the release in a directory; empty if there is none."""
        return self.releases.get(os.path.basename(path), {})

    def taken_over_from(self) -> str:
        """Return the id of the release to which a later rollback returns; empty if there is none."""
        # A rollback does not return to a release that never served, but to the one before it. A release that only the
        # workers ran, because the scheduler had work, has served.
        linked = self.release_at(self.linked)
        before = linked.get("id", "") if linked.get("served") else linked.get("previous", "")
        if self.host.module.params["back"] or before == os.path.basename(self.target) or before not in self.releases:
            return ""
        return before

    def stop(self, units: Iterable[str], others: Iterable[str] = ()) -> None:
        """Stop the running services among ``units``, and ``others``."""
        running = [unit for unit in units if unit in self.running]
        if running or others:
            self.host.systemctl("stop", *running, *others)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "home": {"type": "path", "required": True},
            "state": {
                "type": "str",
                "choices": ["started", "restarted", "stopped", "disabled", "absent"],
                "default": "started",
            },
            "release": {"type": "str"},
            "kind": {"type": "str", "choices": ["scheduler", "worker"], "required": True},
            # In check mode, the services and units of a release that is not staged.
            "planned": {"type": "dict", "options": {"services": {"type": "dict"}, "units": {"type": "dict"}}},
            "boot": {"type": "str", "required": True},
            "start_timeout": {"type": "int", "default": 120},
            "back": {"type": "bool", "default": False},
            "hint": {"type": "str", "default": ""},
            "keep": {"type": "int", "default": 3},
        },
        required_if=[("state", state, ["release"]) for state in ("started", "restarted")],
        supports_check_mode=True,
    )
    # Errors of writing are reported with the state of the services. This reports errors of reading.
    with reported(module, "reading the state of the services"):
        run(module)


def run(module: AnsibleModule) -> None:
    """Change the services."""
    if not module.check_mode:
        # An interrupted run may still drain workers on this host. Wait for its end before reading the state.
        try:
            take_lock("services")
        except HostLockError as error:
            module.fail_json(msg=str(error))
    host = Host(module)
    try:
        activation = Activation(host)
    except (Missing, SystemctlError) as error:
        module.fail_json(msg=str(error))
    result = {
        "changed": activation.changed,
        "restarted": activation.restarted,
        "removed": activation.removed,
        "diff": activation.diff(),
    }
    if not module.check_mode:
        try:
            if activation.changed:
                activation.carry_out()
            if not activation.stopping:
                # Include services that did not change: they may be starting or failing.
                wait_until_ready(host, sorted(activation.wanted), module.params["start_timeout"])
                note_use(host.home, os.path.basename(activation.target), activation.kind, "served")
        except (NotReady, NotSwitched, SystemctlError) as error:
            module.fail_json(msg=str(error), **result)
        if activation.changed and not activation.stopping:
            result["pruned"] = host.prune(module.params["keep"])
    module.exit_json(**result)


if __name__ == "__main__":
    main()
