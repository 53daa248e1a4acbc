# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare the hosts of a play, name their environments, and fetch the packages once, on the controller."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from ansible.plugins.action import ActionBase
from ansible_collections.daskops.cluster.plugins.module_utils.firewalls import unmanaged
from ansible_collections.daskops.cluster.plugins.module_utils.health import join
from ansible_collections.daskops.cluster.plugins.plugin_utils.clocks import differing
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.inventory import same_machine
from ansible_collections.daskops.cluster.plugins.plugin_utils.down import unjoinable
from ansible_collections.daskops.cluster.plugins.plugin_utils.features import lacking_in
from ansible_collections.daskops.cluster.plugins.plugin_utils.locks import (
    HOW_TO_LOCK,
    LockError,
    PackagesError,
    minor,
    sha256_of,
    unreadable_lock,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.packages import Packages
from ansible_collections.daskops.cluster.plugins.plugin_utils.planning import odd_ones_out
from ansible_collections.daskops.cluster.plugins.plugin_utils.refusals import refuse
from ansible_collections.daskops.cluster.plugins.plugin_utils.variables import plain


def differing_pythons(hosts):
    """A sentence that names the hosts whose Python differs, if any. ``hosts`` has `host_info` results by host."""
    common, odd = odd_ones_out({host: minor(info["python"]["version"]) for host, info in hosts.items()})
    if odd:
        names = ", ".join(f"{host} ({version})" for host, version in sorted(odd.items()))
        yield (
            f"Python differs: {names}; the other hosts have {common}. Tasks travel between hosts as pickles and bytecode, "
            "so all need the same minor version. Set dask_python to one that every host has."
        )


def check_that_dask_is_in(lock):
    """Raise `LockError` if the lock's text does not hold what the services run."""
    if not re.search(r"^distributed[ =@\[]", lock, re.MULTILINE):
        raise LockError("it does not hold distributed, which is what the services run")


def no_scheduler_to_join(hosts, address):
    """A sentence for each reason why hosts cannot connect to the scheduler that somebody else runs at an address."""
    reasons = {}
    for host, info in hosts.items():
        if info["refused"]:
            reasons.setdefault(info["refused"], []).append(host)
    for reason, names in reasons.items():
        yield (
            f"{join(names)} cannot connect to dask_scheduler_address ({address}): {reason}. Start that scheduler, correct "
            "the address, or open its port."
        )


def too_many_for_windows(plans, limit):
    """A sentence if a scheduler on Windows would get more than ``limit`` workers. ``plans`` has the workers by host."""
    planned = sum(len(workers) for workers in plans.values())
    if planned > limit:
        yield (
            f"{planned} worker processes are planned for a scheduler on Windows, whose TCP server takes about 100: "
            f"dask_windows_scheduler_max_workers is {limit}. Move the scheduler to Linux, or plan fewer processes "
            "(dask_worker_count) with more threads."
        )


def one_machine_twice(hosts):
    """A sentence for each machine that has several names in the inventory. ``hosts`` has `host_info` results by host."""
    names = {}
    for host, info in hosts.items():
        if info["machine"]:
            names.setdefault(info["machine"], []).append(host)
    for several in names.values():
        if len(several) > 1:
            yield str(same_machine(several))


def names_twice(plans):
    """A sentence for each worker's name that two hosts give, as a pool and the name of another host may make it."""
    holders = {}
    for host, workers in plans.items():
        for worker in workers:
            other = holders.setdefault(worker["name"], host)
            if other != host:
                yield f"{other} and {host} would both have a worker {worker['name']}. Rename the host or the pool."


class ActionModule(ActionBase):
    """See the documentation of the module of the same name."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        # What hosts said is much, and has no vaulted texts in it.
        texts = {name: plain(value) for name, value in self._task.args.items() if not isinstance(value, dict)}
        arguments = {**self._task.args, **texts}
        everyone = {**arguments.get("others", {}), **arguments["hosts"]}
        problems = [*differing_pythons(everyone), *one_machine_twice(everyone)]
        scheduler, seen = arguments.get("scheduler", ""), arguments.get("scheduler_info", {})
        problems += unjoinable(arguments["hosts"], scheduler, seen, task_vars)
        problems += no_scheduler_to_join(arguments["hosts"], arguments.get("scheduler_address", ""))
        problems += names_twice(arguments["plans"])
        clocks = {host: info["clock"] for host, info in arguments["hosts"].items()}
        foreign = {host: info["firewall"]["foreign"] for host, info in arguments["hosts"].items()}
        # A cluster that works needs no warning at each run.
        still = {
            host: names for host, names in foreign.items() if not any(arguments["hosts"][host]["running"].values())
        }
        result["warnings"] = [*differing(clocks), *unmanaged(still)]
        result["hint"] = "\n".join(unmanaged(foreign))
        if arguments["scheduler_platform"] == "windows":
            problems += too_many_for_windows(arguments["plans"], int(arguments["windows_scheduler_max_workers"]))

        # A change that was begun and not finished goes on: its hosts belong together.
        begun = max((info["unfinished"] for info in arguments["hosts"].values()), default=0)
        # One that is new is newer than all before, also where the controller's clock is behind another controller's.
        newest = max((info["current"].get("staged", 0) for info in arguments["hosts"].values()), default=0)
        result["change"] = begun or max(int(time.time()), newest + 1)
        result["environments"] = {}
        if not problems:
            try:
                result["environments"] = self._environments(arguments)
                check_that_dask_is_in(Path(os.path.expanduser(arguments["lock"])).read_text(encoding="utf-8-sig"))
            except (FileNotFoundError, UnicodeDecodeError) as error:
                problems.append(unreadable_lock(arguments["lock"], error))
            except OSError as error:
                names = f"dask_environment_lock ({arguments['lock']}) or dask_cache ({arguments['cache']})"
                problems.append(f"{names} cannot be used on the controller: {error}.")
            except PackagesError as error:
                problems.append(f"dask_environment_lock ({arguments['lock']}): {error}.")
            except LockError as error:
                problems.append(f"dask_environment_lock ({arguments['lock']}): {error}. {HOW_TO_LOCK}")
        result["warnings"] += lacking_in(result["environments"], arguments["plans"])
        return refuse(result, problems)

    def _environments(self, arguments):
        """By host: id of its environment, the lock's digest and, if the host lacks it, the archive to build it from."""
        lock, tools_lock, cache = (os.path.expanduser(arguments[name]) for name in ("lock", "tools_lock", "cache"))
        # Editors on Windows write a mark at the beginning.
        locks = [Path(path).read_text(encoding="utf-8-sig") for path in (lock, tools_lock)]
        lock_sha256 = sha256_of(lock)
        kinds, archives, environments = {}, {}, {}
        for host, info in arguments["hosts"].items():
            # Hosts mostly are alike, and a lock takes longer to read than a host to compare.
            kind = str([value for name, value in sorted(info["python"].items()) if name != "executable"])
            if kind not in kinds:
                kinds[kind] = Packages(
                    *locks, info["python"], arguments["source"], os.path.dirname(os.path.abspath(lock))
                )
            packages = kinds[kind]
            environments[host] = {
                "id": packages.id,
                "python": info["python"]["executable"],
                "lock": lock_sha256,
                "archive": "",
                "packages": packages.versions,
            }
            if packages.id not in info["environments"]:
                if kind not in archives:
                    archives[kind] = packages.fetch(cache, arguments["index_url"])
                environments[host]["archive"] = archives[kind]
        return environments
