#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: try_release
short_description: Try a staged release on a host
version_added: "0.1.0"
description:
  - Executed on the host by M(daskops.cluster.trial).
  - Starts services of a release beside the running ones, waits until they are ready, and removes them.
author:
  - The daskops.cluster authors (@daskops)
extends_documentation_fragment:
  - daskops.cluster.internal
  - daskops.cluster.attributes.linux
  - daskops.cluster.home
attributes:
  check_mode:
    support: full
    description: Starts nothing.
  diff_mode:
    support: none
    description: The module changes nothing.
options:
  release:
    description: Id of the release.
    type: str
    required: true
  scheduler:
    description: Whether to start the release's scheduler. Otherwise, workers connect to one without a configuration.
    type: bool
    default: false
  workers:
    description: Units of the workers to start.
    type: list
    elements: str
    default: []
  tls:
    description: Whether the services encrypt their connections.
    type: bool
    default: true
  timeout:
    description: Seconds to wait until all services have started.
    type: int
    default: 120
"""

EXAMPLES = r"""
- name: Try the release
  daskops.cluster.try_release:
    home: /opt/dask
    release: 3f2a91c04d5e.7b21
    scheduler: true
    workers: [dask-worker@1.service]
"""

RETURN = r"""
seconds:
  description: See RV(daskops.cluster.trial#module:seconds).
  type: float
  returned: success, unless in check mode
failure:
  description: The service that does not start, with C(unit), C(problem), C(late) and C(journal).
  type: dict
  returned: failure of a service
"""

import contextlib
import glob
import http.client
import json
import os
import re
import signal
import socket
import ssl
import time
import uuid
from collections.abc import Callable

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.daskops.cluster.plugins.module_utils.history import note_use
from ansible_collections.daskops.cluster.plugins.module_utils.journals import last_lines
from ansible_collections.daskops.cluster.plugins.module_utils.releases import read
from ansible_collections.daskops.cluster.plugins.module_utils.scheduler_http import within
from ansible_collections.daskops.cluster.plugins.module_utils.trials import (
    PREFIX,
    SCHEDULER_FILE,
    dashboard_path,
    given_arguments,
    make_environment,
    make_unit,
    scheduler_arguments,
    secret_values,
    worker_arguments,
)
from ansible_collections.daskops.cluster.plugins.module_utils.units import (
    LIMIT,
    RUNTIME_DIRECTORIES,
    SYSTEMD,
    SystemctlError,
    show_units,
)
from ansible_collections.daskops.cluster.plugins.module_utils.untrusted import printable, read_text

#: Directory of units that a reboot removes.
UNITS = "/run/systemd/system"
SCHEDULER = "dask-scheduler.service"
#: Seconds after which a file of a trial is stale, because no trial takes so long.
STALE = 24 * 3600
#: Signals that interrupt a run.
SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
#: Largest scheduler file that is read, in bytes. Dask writes a few hundred.
MAX_BYTES = 2**20
#: Characters of the journal that are returned.
LENGTH = 10_000


class Failed(Exception):
    """A service does not start.

    Parameters
    ----------
    unit : str
        The tested unit.
    name : str
        The unit of the trial.
    problem : str
        The problem, as it follows the name of the unit in a sentence.
    late : bool
        Whether the service may only be slow to start.
    """

    def __init__(self, unit: str, name: str, problem: str, late: bool) -> None:
        super().__init__(problem)
        self.unit, self.name, self.problem, self.late = unit, name, problem, late


class Trial:
    """The units of one trial."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.home = module.params["home"]
        self.release = os.path.join(self.home, "releases", module.params["release"])
        self.workers = module.params["workers"]
        self.timeout = module.params["timeout"]
        self.id = f"{PREFIX}{uuid.uuid4().hex[:8]}"
        self.scheduler = f"{self.id}-scheduler"
        #: The tested unit by unit of the trial.
        self.units: dict[str, str] = {}
        self.secrets: set[str] = set()

    def texts(self, unit: str) -> list[str]:
        """Return the unit file and its drop-ins: those of the release and those of an administrator."""
        template = f"{unit.partition('@')[0]}@.service" if "@" in unit else unit
        drop_ins = {}
        for directory in (f"{SYSTEMD}/{template}.d", f"{SYSTEMD}/{unit}.d", f"{self.release}/systemd/{unit}.d"):
            for path in glob.glob(f"{directory}/*.conf"):
                ours = os.path.basename(path) == "daskops.conf"
                if not ours or directory.startswith(self.release):
                    drop_ins[os.path.basename(path)] = path
        return [
            read(f"{self.release}/systemd/{template}"),
            *(read_text(path, LIMIT) for _name, path in sorted(drop_ins.items())),
        ]

    def write(self, name: str, unit: str, make_arguments: Callable[[str], str], command: str = "") -> None:
        """Write the unit ``name`` of the trial of ``unit``, and its environment file."""
        given = read(f"{self.release}/services/{unit}.env")
        self.secrets.update(secret_values(given))
        path, environment = f"{UNITS}/{name}.service", f"{RUNTIME_DIRECTORIES}/{name}.env"
        arguments = make_arguments(given_arguments(given))
        text = make_environment(given, self.home, self.release, arguments)
        if command:
            # A scheduler must not read the configuration of workers.
            text = re.sub(r"^(DASK_CONFIG|DASK_ROOT_CONFIG)=.*$", r"\1=/dev/null", text, flags=re.MULTILINE)
        content = make_unit(
            self.texts(unit), unit, self.home, self.release, name, environment, path, self.timeout, command
        )
        self.units[name] = unit
        os.makedirs(UNITS, exist_ok=True)
        # Arguments may be secret. Every user can read a unit through systemd, which warns if the file's mode hides it.
        for target, written, mode in ((environment, text, 0o600), (path, content, 0o644)):
            with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
                file.write(written)

    def prepare(self) -> None:
        """Write all units."""
        directory = f"{RUNTIME_DIRECTORIES}/{self.scheduler}"
        if self.module.params["scheduler"]:
            self.write(self.scheduler, SCHEDULER, lambda given: scheduler_arguments(given, directory))
        else:
            tls = f"{self.home}/tls"
            options = "--protocol tcp"
            if self.module.params["tls"]:
                options = (
                    f"--protocol tls --tls-ca-file {tls}/ca.pem --tls-cert {tls}/worker.pem --tls-key {tls}/worker.pem"
                )
            command = f"/bin/sh {self.release}/run.sh distributed.cli.dask_scheduler $DASKOPS_ARGUMENTS"
            options += " --no-dashboard --preload daskops_runtime.scheduler"
            self.write(self.scheduler, self.workers[0], lambda given: scheduler_arguments(options, directory), command)
        for number, unit in enumerate(self.workers):
            name = f"{self.id}-worker{number + 1}"

            def arguments(given: str, name: str = name) -> str:
                return worker_arguments(given, f"{RUNTIME_DIRECTORIES}/{name}", directory)

            self.write(name, unit, arguments)

    def states(self) -> dict[str, str]:
        """Return ``ActiveState``, or ``waiting`` while systemd has a job for it, by unit of the trial."""
        shown = show_units(self.module, ["ActiveState", "Job"], [f"{name}.service" for name in self.units])
        return {
            unit[: -len(".service")]: "waiting"
            if about["Job"] not in ("", "0") or about["ActiveState"] == "activating"
            else about["ActiveState"]
            for unit, about in shown.items()
        }

    def wait(self, names: list[str], deadline: float) -> None:
        """Wait until units of the trial are active; raise `Failed` if one fails."""
        while True:
            states = self.states()
            # Workers wait for the scheduler, so check it first: its failure is the cause of theirs.
            for name in self.units:
                if states.get(name) not in ("active", "waiting"):
                    raise self.failed(name, "does not start")
            waiting = [name for name in names if states[name] != "active"]
            if not waiting:
                return
            if time.monotonic() > deadline:
                raise self.failed(waiting[0], f"does not start within {self.timeout} s", late=True)
            time.sleep(0.1)

    def failed(self, name: str, problem: str, late: bool = False) -> Failed:
        """Return a failure of a unit of the trial."""
        if name == self.scheduler and not self.module.params["scheduler"]:
            problem = f"could not be tried, because a scheduler in its sandbox {problem}"
        return Failed(self.units[name], name, problem, late)

    def run(self) -> None:
        """Start all units; raise `Failed` if one does not start."""
        deadline = time.monotonic() + self.timeout
        self.prepare()
        command = ["systemctl", "start", "--no-block", *(f"{name}.service" for name in self.units)]
        status, _output, errors = self.module.run_command(command)
        if status != 0:
            # A reload of all units can take seconds, and only old versions of systemd need it for a new unit.
            self.module.run_command(["systemctl", "daemon-reload"])
            status, _output, errors = self.module.run_command(command)
        if status != 0:
            raise SystemctlError(f"{' '.join(command)} failed: {errors.strip()}")
        self.wait([self.scheduler], deadline)
        if self.module.params["scheduler"]:
            self.look_at_pages()
        self.wait(list(self.units), deadline)
        if self.module.params["scheduler"]:
            # Record the trial. While the scheduler has work, the release waits for it and need not be tried in every run.
            note_use(self.module.params["home"], self.module.params["release"], "scheduler", "tried")

    def look_at_pages(self) -> None:
        """Request the scheduler's pages; raise `Failed` if one does not answer."""
        port = dashboard_port(f"{RUNTIME_DIRECTORIES}/{self.scheduler}/{SCHEDULER_FILE}")
        if port is None:
            raise self.failed(self.scheduler, "serves no pages")
        pages = ["status"]
        if "distributed.http.health" in read(f"{self.release}/scheduler/dask_configuration.yaml"):
            pages.append("health")
        path = dashboard_path(given_arguments(read(f"{self.release}/services/{SCHEDULER}.env")))
        for page in pages:
            # The scheduler loads its dashboard for the first page, which takes 20 s and more on a busy host.
            problem = ask(port, f"{path}{page}", self.module.params["tls"], self.timeout)
            if problem:
                raise self.failed(self.scheduler, f"starts, but its page {path}{page} does not answer: {problem}")

    def journal(self, name: str) -> str:
        """Return the last lines of a unit's journal, without secrets."""
        self.module.run_command(["journalctl", "--sync"])
        said = last_lines(f"{name}.service", 60)
        for value in sorted(self.secrets, key=len, reverse=True):
            said = said.replace(value, "********")
        return printable(said, LENGTH)

    def remove(self) -> None:
        """Stop and remove all units. Warn if that fails."""
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        names = [f"{name}.service" for name in self.units]
        if not names:
            return
        status, _output, errors = self.module.run_command(["systemctl", "stop", *names])
        if status != 0 and "not loaded" not in errors:
            self.module.warn(
                f"The services of the trial could not be stopped: {errors.strip()}. They end on their own, half a minute "
                "after the time limit of the trial."
            )
        for name in self.units:
            for path in (f"{UNITS}/{name}.service", f"{RUNTIME_DIRECTORIES}/{name}.env"):
                remove_file(path)


def remove_file(path: str) -> None:
    """Remove a file if it exists."""
    with contextlib.suppress(FileNotFoundError):
        os.remove(path)


def remove_stale(module: AnsibleModule) -> None:
    """Remove files of trials whose module was killed before it started a unit."""
    for path in glob.glob(f"{UNITS}/{PREFIX}*.service") + glob.glob(f"{RUNTIME_DIRECTORIES}/{PREFIX}*.env"):
        try:
            if os.stat(path).st_mtime < time.time() - STALE:
                os.remove(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            module.warn(f"{path} of an earlier trial could not be removed: {error.strerror}. Remove it by hand.")


def dashboard_port(path: str) -> int | None:
    """Return the port of the dashboard in a scheduler file; None if there is none.

    The service can write to the file, so it is not trusted.
    """
    try:
        with open(
            os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), encoding="utf-8", errors="replace"
        ) as file:
            port = json.loads(file.read(MAX_BYTES))["services"]["dashboard"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return port if isinstance(port, int) and 0 < port < 65536 else None


def ask(port: int, path: str, tls: bool, timeout: float) -> str | None:
    """Request a page of the scheduler and return the error; None if it answers within ``timeout`` seconds."""
    # The request contains no secrets, and the certificate need not be for 127.0.0.1, so do not verify it.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    connection = (
        http.client.HTTPSConnection("127.0.0.1", port, timeout=timeout, context=context)
        if tls
        else http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    )

    def request() -> http.client.HTTPResponse:
        connection.request("GET", path)
        return connection.getresponse()

    try:
        answer = within(timeout, request)
    except socket.timeout:
        return f"no answer within {timeout:g} s"
    except (OSError, http.client.HTTPException) as error:
        return printable(str(error).strip()) or type(error).__name__
    finally:
        connection.close()
    return f"HTTP {answer.status} {printable(answer.reason)}" if answer.status >= 400 else None


def interrupted(number: int, _frame: object) -> None:
    """Exit, so that `main` removes the trial's units."""
    raise SystemExit(f"interrupted by signal {number}")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "home": {"type": "path", "required": True},
            "release": {"type": "str", "required": True},
            "scheduler": {"type": "bool", "default": False},
            "workers": {"type": "list", "elements": "str", "default": []},
            "tls": {"type": "bool", "default": True},
            "timeout": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    if module.check_mode:
        module.exit_json(changed=False)
    begin = time.monotonic()
    for number in SIGNALS:
        signal.signal(number, interrupted)
    remove_stale(module)
    trial = Trial(module)
    failure: Exception | None = None
    try:
        trial.run()
    except Failed as failed:
        failure = failed
    except (OSError, ValueError, SystemctlError) as error:
        failure = error
    finally:
        # The journal of a removed unit can still be read.
        trial.remove()
    if isinstance(failure, Failed):
        # The action plugin fails the task with this and with the variable that is the probable cause.
        about = {"unit": failure.unit, "problem": failure.problem, "late": failure.late}
        module.exit_json(changed=False, failure={**about, "journal": trial.journal(failure.name)})
    if failure:
        module.fail_json(
            msg=f"The trial of the release failed: {failure}. Correct the cause, or set dask_trial to false."
        )
    module.exit_json(changed=False, seconds=round(time.monotonic() - begin, 1))


if __name__ == "__main__":
    main()
