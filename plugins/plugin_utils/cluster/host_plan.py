# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan the services of a host, and check that the host can run them.

``info`` is the result of `host_info` for the host, and ``settings`` that of `host_settings.planning_settings`.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.daskops.cluster.plugins.module_utils.hours import (
    MARGIN,
    parse_hours,
    shortest,
    zone_file,
)
from ansible_collections.daskops.cluster.plugins.module_utils.units import UNIT
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.addresses import WILDCARDS, is_host
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.command_lines import (
    SCHEDULER_OPTIONS,
    WORKER_OPTIONS,
    bad_arguments,
    open_notebooks,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.dask_configuration import modules
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.environment_kinds import LOCK
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.file_systems import unfit_for_scratch
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.python_choice import OLDEST_PYTHON
from ansible_collections.daskops.cluster.plugins.plugin_utils.durations import parse_duration
from ansible_collections.daskops.cluster.plugins.plugin_utils.planning import (
    PlanError,
    plan_workers,
    port,
    scheduler_memory,
    where,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.ports import describe
from ansible_collections.daskops.cluster.plugins.plugin_utils.sizes import format_size, parse_size

# Pattern of paths that need no quotes in unit files, environment files and command lines.
PLAIN_PATH = re.compile(r"(?!.*/\.\.?(/|$))/[\w.+@/-]+")

# Pattern of the name or id of a group in a unit file.
GROUP = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")

# Seconds that workers must live. Shorter lifetimes are a number without its unit, and leave no time for tasks.
MINIMUM_LIFETIME = 60

# Environment variables that the collection or systemd sets for a service. A user's value would have no effect, or would stop
# the service.
RESERVED = (
    "DASK_CONFIG",
    "DASK_ROOT_CONFIG",
    "NOTIFY_SOCKET",
    "PYTHONHOME",
    "RUNTIME_DIRECTORY",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
)


def is_number(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    try:
        return float(value) >= 0
    except (TypeError, ValueError):
        return False


def bad_path(host: str, variable: str, path: object) -> Iterator[str]:
    """Yield a sentence if a path on a host is not absolute, or has characters that other programs interpret."""
    if not PLAIN_PATH.fullmatch(str(path)):
        yield (
            f"{host}: {variable} is '{path}'. Give an absolute path of letters, digits and the characters . _ - + @, "
            "without . and .. between slashes."
        )


def bad_settings(host: str, settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each setting that is invalid, whatever the host is."""
    given = {
        "dask_home": [settings["home"]],
        "dask_user_home": [settings["user_home"]],
        **scratch_directories(settings["pools"]),
        "dask_worker_paths": settings["paths"],
        "dask_worker_devices": settings["devices"],
        "dask_scheduler_file": [settings["scheduler_file"]] if settings["scheduler_file"] else [],
        "dask_environment_path": [settings["environment_path"]] if settings["environment_path"] else [],
        **settings["import_paths"],
    }
    for variable, path in ((variable, path) for variable, paths in given.items() for path in paths):
        yield from bad_path(host, variable, path)
    for group in settings["groups"]:
        if not GROUP.fullmatch(str(group)):
            yield (
                f"{host}: dask_user_groups has '{group}'. Give a name of letters, digits and the characters . _ - or the id "
                "of the group."
            )
    if settings["home"] and is_below(str(settings["environment_path"]), str(settings["home"])):
        yield (
            f"{host}: dask_environment_path ({settings['environment_path']}) is in dask_home, where the collection removes "
            "old environments. Name a directory that exists without it."
        )
    if settings["environment_path"] and not settings["python"]:
        yield (
            f"{host}: dask_python is a managed Python, and dask_environment_path ({settings['environment_path']}) has its "
            "own. Leave dask_python out, or name an interpreter of the host."
        )
    yield from bad_variables(host, "dask_environment_variables", settings["environment_variables"])
    for line in settings["environment_setup"]:
        if not str(line).strip() or re.search(r"[\x00-\x08\n\x0b-\x1f\x7f]", str(line)):
            yield f"{host}: dask_environment_setup has {str(line)!r}, which is not one line. Give one line in each item."
    if settings["shutdown_token"] == "bad":
        yield (
            f"{host}: dask_shutdown_token is too short, or has other characters than printable ASCII. Use at least 16 "
            "characters, such as the output of `openssl rand -hex 16`."
        )
    yield from bad_contact_host(host, settings)
    yield from bad_prefix(host, "dask_dashboard_prefix", settings["dashboard_prefix"])
    arguments = bad_arguments("dask_scheduler_arguments", settings["scheduler_arguments"], SCHEDULER_OPTIONS)
    notebooks = open_notebooks(settings["scheduler_arguments"], settings["environment_variables"])
    yield from (f"{host}: {sentence}" for sentence in [*arguments, *notebooks])
    nannies = any(about["nanny"] for about in settings["pools"].values())
    if settings["modules"].get("dask_nanny_preloads") and settings["worker"] and not nannies:
        yield f"{host}: dask_nanny_preloads is set, but there is no nanny. Set dask_worker_nanny to true, or remove it."
    cuda = any(about["command"] == "dask cuda worker" for about in settings["pools"].values())
    if cuda and any(
        module.arguments for module in modules(proper_modules(settings["modules"], "dask_worker_preloads"))
    ):
        yield (
            f"{host}: dask_worker_preloads has a module with arguments, which 'dask cuda worker' does not pass on. Remove "
            "the arguments, or set dask_worker_command to 'dask worker'."
        )
    for variable, entries in settings["modules"].items():
        yield from (f"{host}: {sentence}" for sentence in bad_modules(variable, entries))


def is_below(path: str, directory: str) -> bool:
    """Return whether a path is that of a directory, or below it; False for an empty path."""
    names, above = ([name for name in one.split("/") if name] for one in (path, directory))
    return bool(names) and names[: len(above)] == above


def scratch_directories(pools: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return the scratch directories without duplicates, by the name of their setting."""
    found: dict[str, list[str]] = {}
    for pool, about in pools.items():
        if [about["scratch_directory"]] not in found.values():
            found[where(pool, "scratch_directory")] = [about["scratch_directory"]]
    return found


def bad_variables(host: str, variable: str, values: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each problem of environment variables."""
    for name, value in values.items():
        is_text = not isinstance(value, (dict, list, type(None))) and not re.search(r"[\r\n]", str(value))
        if not re.fullmatch(r"[A-Za-z_]\w*", str(name), re.ASCII):
            yield f"{host}: {variable}: '{name}' is not a valid name. Use letters, digits and _, not starting with a digit."
        elif not is_text:
            yield f"{host}: {variable}: the value of {name} is not one line of text. Give one line of text, or a number."
        elif re.fullmatch(r"(?i:dask)_\w+?__\w+", name) and not name.startswith("DASK_"):
            yield f"{host}: {variable}: {name} has no effect. Dask reads names that begin with DASK_. Use capitals."
        elif (resource := name.partition("__WORKER__RESOURCES__")[2]) != resource.lower() and name.startswith("DASK_"):
            yield (
                f"{host}: {variable}: {name} sets the resource {resource.lower()}, because Dask converts the name to lower "
                "case. Remove it, and use dask_worker_resources."
            )
        elif name == "PYTHONPATH":
            yield f"{host}: {variable}: {name} is set by daskops.cluster itself. Use dask_worker_import_paths."
        elif name in RESERVED or str(name).startswith("DASKOPS_"):
            yield f"{host}: {variable}: {name} is set by daskops.cluster itself. Remove it."
        elif name == "DASK_INTERNAL_INHERIT_CONFIG":
            yield f"{host}: {variable}: {name} replaces settings of daskops.cluster. Remove it, and use dask_config."


def bad_pool(host: str, pool: str, about: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each setting of a pool that is invalid, whatever the host is."""
    yield from bad_variables(host, where(pool, "environment_variables"), about["environment_variables"])
    for name, number in about["resources"].items():
        if not re.fullmatch(r"[^\s=,\"'\\]+", str(name)) or not is_number(number):
            yield (
                f"{host}: {where(pool, 'resources')}: '{name}: {number}' is not a resource. Give a name without spaces, "
                "quotes, = and commas, and a number."
            )
    arguments = bad_arguments(where(pool, "arguments"), about["arguments"], WORKER_OPTIONS)
    yield from (f"{host}: {sentence}" for sentence in arguments)
    yield from (f"{host}: {sentence}" for sentence in bad_lifetime(pool, about))
    if int(about["minimum"]) > int(about["maximum"]):
        yield (
            f"{host}: {where(pool, 'minimum')} is {about['minimum']}, but {where(pool, 'maximum')} is {about['maximum']}. "
            "Give a minimum that is not above the maximum."
        )
    if about["command"] == "dask cuda worker" and about["profile"] != "gpu":
        yield f"{host}: {where(pool, 'command')} is 'dask cuda worker'. Set {where(pool, 'profile')} to gpu."
    for setting in ("cpus", "numa_node") if about["command"] == "dask cuda worker" else ():
        if str(about[setting]).strip():
            yield (
                f"{host}: {where(pool, setting)} is set, but 'dask cuda worker' itself restricts workers to the CPUs near "
                f"their GPU. Remove it, or set {where(pool, 'command')} to 'dask worker'."
            )
    if isinstance(about["interface"], list) and about["profile"] != "gpu":
        yield f"{host}: {where(pool, 'interface')} is a list, but the profile is not gpu. Give one interface."


def bad_lifetime(pool: str, about: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each problem of the lifetime of a pool's workers and its stagger."""
    seconds = {}
    for setting in ("lifetime", "lifetime_stagger"):
        if not re.fullmatch(r"[\w. ]*", str(about[setting])):
            yield f"{where(pool, setting)} is '{about[setting]}'. Give a duration like 12 hours."
        # The host's Dask rejects durations that it cannot read.
        with contextlib.suppress(ValueError):
            seconds[setting] = parse_duration(about[setting] or 0)
    if about["lifetime_stagger"] and not about["lifetime"]:
        yield f"{where(pool, 'lifetime_stagger')} is set, but {where(pool, 'lifetime')} is not. Set both."
    elif about["lifetime"] and seconds.get("lifetime") == 0:
        yield f"{where(pool, 'lifetime')} is '{about['lifetime']}'. Give a duration like 12 hours, or remove it."
    elif about["lifetime"] and len(seconds) == 2 and seconds["lifetime_stagger"] >= seconds["lifetime"]:
        yield (
            f"{where(pool, 'lifetime_stagger')} is '{about['lifetime_stagger']}', but {where(pool, 'lifetime')} is only "
            f"'{about['lifetime']}', so some workers would end at once. Give a stagger that is shorter than the lifetime."
        )
    elif (
        about["lifetime"] and len(seconds) == 2 and seconds["lifetime"] - seconds["lifetime_stagger"] < MINIMUM_LIFETIME
    ):
        stagger = f" with a stagger of '{about['lifetime_stagger']}'" if about["lifetime_stagger"] else ""
        yield (
            f"{where(pool, 'lifetime')} is '{about['lifetime']}'{stagger}, so workers would restart every "
            f"{seconds['lifetime'] - seconds['lifetime_stagger']:g} s. Give a minute or more, like 12 hours. A number "
            "without a unit means seconds."
        )


def bad_hours(host: str, pool: str, about: Mapping[str, Any], drain_timeout: int) -> Iterator[str]:
    """Yield a sentence if a range of a pool's hours is too short for the drain at its end."""
    length = shortest(parse_hours(about["hours"]))
    if length is not None and length <= drain_timeout + MARGIN:
        yield (
            f"{host}: {where(pool, 'hours')} has a range of {length // 60} minute(s), but the drain before its end takes up "
            f"to {drain_timeout + MARGIN} s. Give a longer range, or lower dask_worker_drain_timeout."
        )


def addresses(
    host: str, info: Mapping[str, Any], pools: Mapping[str, Mapping[str, Any]], workers: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, str], list[str]]:
    """Return the address of each worker by unit, and a sentence for each interface without an address."""
    found, problems = {}, {}
    counts = dict.fromkeys(pools, 0)
    for worker in workers:
        pool, interface = worker["pool"], pools[worker["pool"]]["interface"]
        if isinstance(interface, list):
            given = len(interface)
            interface = interface[counts[pool]] if counts[pool] < given else ""
            counts[pool] += 1
            if not interface:
                problems[pool] = (
                    f"{host}: {where(pool, 'interface')} has {given} interface(s), but there are more workers. Give one for "
                    "each GPU."
                )
        found[worker["unit"]] = info["worker_addresses"][interface] if interface else info["address"]
        if interface and not found[worker["unit"]]:
            problems[pool, interface] = (
                f"{host} has no interface {interface} with an address. Correct {where(pool, 'interface')}. `ip address` "
                "shows the interfaces of the host."
            )
    return found, list(problems.values())


def proper_modules(by_variable: Mapping[str, Any], variable: str) -> list[Any]:
    """Return the valid entries of a list of modules."""
    return [entry for entry in by_variable.get(variable, []) if not list(bad_modules(variable, [entry]))]


def bad_modules(variable: str, entries: Iterable[Any]) -> Iterator[str]:
    """Yield a sentence for each problem of a list of preload modules or modules with routes."""
    takes_arguments = not variable.endswith("_routes")
    for entry in entries:
        about = {"name": entry} if isinstance(entry, str) else entry
        known = {"name", "arguments"} if takes_arguments else {"name"}
        if not isinstance(about, dict) or not isinstance(about.get("name"), str) or set(about) - known:
            also = ", or a dictionary with name and arguments" if takes_arguments else ""
            yield f"{variable}: '{entry}' is not a module. Give a file on the controller (.py), a module's name{also}."
        elif not isinstance(about.get("arguments", []), list):
            yield f"{variable}: the arguments of {about['name']} are not a list. Give a list."
        elif any(module.file and not os.path.isfile(module.file) for module in modules([entry])):
            yield (
                f"{variable} has {about['name']}, which does not exist on the controller. Correct the path. A relative path "
                "starts in the working directory of ansible-playbook."
            )


def bad_prefix(host: str, variable: str, prefix: str) -> Iterator[str]:
    """Yield a sentence if the path of the dashboard has another form than ``/dask``."""
    if not re.fullmatch(r"/|(/(?!\.\.?(/|$))[\w.~-]+)+/?", prefix, re.ASCII):
        yield (
            f"{host}: {variable} is '{prefix}'. Give a path like /dask, which begins with a slash and consists of letters, "
            "digits and the characters . _ ~ -"
        )


def two_prefixes(host: str, prefix: str, proxied: str) -> Iterator[str]:
    """Yield a sentence if the path of the dashboard is another one behind the proxy: its pages name their own path."""
    if prefix.strip("/") and proxied.strip("/") and prefix.strip("/") != proxied.strip("/"):
        yield (
            f"{host}: dask_dashboard_prefix is '{prefix}', and dask_dashboard_proxy_prefix is '{proxied}'. Leave one of "
            "them out."
        )


def bad_proxy(host: str, info: Mapping[str, Any], proxy: Mapping[str, Any], tls: bool) -> Iterator[str]:
    """Yield a sentence for each problem of the settings of a proxy in front of the dashboard."""
    if not proxy["users"]:
        yield (
            f"{host}: dask_dashboard_proxy is true, but dask_dashboard_proxy_users is empty. Set a password for each user "
            "of the dashboard."
        )
    if info["proxy"]["confined"]:
        yield (
            f"{host}: SELinux prevents nginx from connecting to the dashboard, which dask_dashboard_proxy needs. Run this "
            "on the host: setsebool -P httpd_can_network_connect on"
        )
    for user in proxy["users"]:
        if not re.fullmatch(r"[\w.@-]+", str(user)):
            yield f"{host}: dask_dashboard_proxy_users: '{user}' is not a valid name. Use letters, digits and . _ - @"
    for user in proxy["without_password"]:
        yield f"{host}: dask_dashboard_proxy_users: '{user}' has no password. Give one, or remove the user."
    yield from bad_prefix(host, "dask_dashboard_proxy_prefix", proxy["prefix"])
    files = {f"dask_dashboard_proxy_{name}": proxy[name] for name in ("certificate", "key")}
    given = {variable: path for variable, path in files.items() if path}
    if len(given) == 1:
        yield f"{host}: only {''.join(given)} is set. Set both {' and '.join(files)}, or neither."
    elif not given and not tls:
        yield (
            f"{host}: dask_tls is false, so dask_dashboard_proxy has no certificate and would send passwords without "
            f"encryption. Set {' and '.join(files)}."
        )
    for variable, path in given.items():
        if not PLAIN_PATH.fullmatch(path):
            yield f"{host}: {variable} is '{path}'. Give an absolute path of letters, digits and the characters . _ - + @"
        elif path in info["missing"]:
            yield f"{host}: {variable} is {path}, which does not exist on the host. Create the file, or correct the path."


def unfit_python(host: str, info: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence if no environment can be built with the host's interpreter."""
    python = info["python"]
    if not python:
        yield (
            f"{host} has no working Python '{settings['python']}'. Install it, or set dask_python to one that exists, or to "
            "a version such as '3.13' for a managed one."
        )
    elif python.get("changeable"):
        yield (
            f"{host}: dask_python ({python['executable']}) is not safe: users other than root can change "
            f"{python['changeable']}, and root would run their files. Choose one that only root can change, such as "
            "/usr/bin/python3, or make root the owner."
        )
    elif tuple(map(int, python["version"].split(".")[:2])) < OLDEST_PYTHON:
        yield (
            f"{host} has Python {python['version']} at {python['executable']}, but Dask needs 3.10 or newer. Install a "
            "newer version, and set dask_python to it, or to a version such as '3.13' for a managed one."
        )
    elif python["implementation"] != "cpython":
        yield f"{host}: dask_python ({python['executable']}) is {python['implementation']}. Set it to a CPython interpreter."
    elif not python.get("usable", True):
        yield (
            f"{host}: dask_user may not run dask_python ({python['executable']}), installed in {python['prefix']}. Let all "
            "users read the directories above it (mode 0755), or choose another one, such as /usr/bin/python3."
        )
    elif not PLAIN_PATH.fullmatch(python["prefix"]):
        yield (
            f"{host}: dask_python ({python['executable']}) is installed in '{python['prefix']}'. Choose one whose path has "
            "only letters, digits and the characters . _ - + @"
        )


def fitness(host: str, info: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each reason why a host cannot run Dask's services."""
    if not info["systemd"]:
        yield f"{host} does not run systemd, which Dask's services need. Use a host that runs systemd."
    if info["selinux_type"] not in ("", "bin_t"):
        yield (
            f"{host}: SELinux gives programs below dask_home ({settings['home']}) the type {info['selinux_type']}, with "
            "which systemd does not start them. Choose a directory below /opt, or run this on the host: semanage fcontext "
            f"-a -e /opt/dask {settings['home']}"
        )
    if settings["kind"] == LOCK:
        yield from unfit_python(host, info, settings)
    if info.get("changeable"):
        yield (
            f"{host}: dask_home ({settings['home']}) is not safe: users other than root can change "
            f"{info['changeable']}, and root would run their files. Choose a path that only root can change, or make root "
            "the owner of that one."
        )
    if info["account"] and info["account"]["root"]:
        yield (
            f"{host}: dask_user is another name of root, so tasks of all users could change the host. Choose another user."
        )
    if info["account"] and not info["account"]["at_home"]:
        yield (
            f"{host}: the home directory of dask_user, {info['account']['home']}, does not exist, but the services run in "
            "it. Create it, or choose another user."
        )
    try:
        wanted = parse_size(settings["free_disk"], zero=True)
    except ValueError as error:
        yield f"{host}: dask_free_disk: {error}."
        return
    directories = {"dask_home": settings["home"]}
    scratch = {variable: path for variable, (path,) in scratch_directories(settings["pools"]).items()}
    if settings["worker"]:
        directories.update(scratch)
    for variable, directory in directories.items():
        system = info["file_systems"][directory]
        if system["free"] < wanted:
            yield (
                f"{host} has {format_size(system['free'])} free at {system['mount']}, the file system of {variable} "
                f"({directory}), but dask_free_disk is {format_size(wanted)}. Free some space, choose another directory, or "
                "lower dask_free_disk."
            )
    for variable, directory in scratch.items() if settings["worker"] else []:
        system = info["file_systems"][directory]
        if not system["writable"]:
            # The directory may belong to a deleted user.
            remedy = (
                "Make dask_user its owner" if info["account"] else "Create the account dask_user and make it the owner"
            )
            yield (
                f"{host}: {variable} ({directory}) is not a directory to which dask_user may write. {remedy}, or choose a "
                "directory below it, which the run creates."
            )
        reason = unfit_for_scratch(system["type"])
        if reason and not settings["scratch_any_filesystem"]:
            yield (
                f"{host}: {variable} ({directory}) is on {system['type']}, which {reason}. Choose a directory on a local "
                "disk, or set dask_worker_scratch_any_filesystem to true."
            )


def missing(host: str, info: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each missing file or directory that systemd needs to start the services."""
    path = settings["scheduler_file"]
    # The collection creates the home of the services' user.
    elsewhere = path and settings["scheduler"] and os.path.dirname(path) != settings["user_home"]
    directory = info["file_systems"][os.path.dirname(path)] if elsewhere else None
    if directory and not (directory["exists"] and directory["writable"]):
        yield (
            f"{host}: dask_scheduler_file ({path}) is not in a directory to which dask_user may write. Create the "
            "directory, or make dask_user its owner."
        )
    for variable, name in {"dask_worker_paths": "paths", "dask_worker_devices": "devices"}.items():
        for path in settings[name] if settings["worker"] else []:
            if not info["file_systems"][path]["exists"]:
                yield f"{host}: {variable} has {path}, which does not exist. Create or mount it, or remove it from the list."
    for pool, about in settings["pools"].items() if settings["worker"] else []:
        zone = parse_hours(about["hours"]).zone
        if zone and not info["time_zones"][zone]:
            yield (
                f"{host}: {where(pool, 'hours')} has '{zone}', which is not a time zone of this host ({zone_file(zone)}). "
                "Write a whole name, such as Europe/Berlin instead of Europe, or install the time zones (package tzdata)."
            )


def rights(host: str, info: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each group that services cannot have, and each directory from which they must not import."""
    for group in settings["groups"]:
        number = info["groups"][group]
        if number is None:
            yield f"{host} has no group {group}, which is in dask_user_groups. Create it, or correct the name."
        elif number == 0:
            yield (
                f"{host}: dask_user_groups has {group}, the group of root, with which tasks could change files of root. "
                "Use another group."
            )
    for variable, paths in settings["import_paths"].items():
        for path in paths:
            about = info["import_paths"][path]
            if not about["readable"]:
                yield (
                    f"{host}: {variable} has {path}, which is not a directory that dask_user can read. Create or mount it, "
                    "let dask_user read it, or remove it from the list."
                )
            elif about["changeable"]:
                yield (
                    f"{host}: {variable} has {path}, but dask_user can change {about['changeable']}, so a task could write "
                    "code there that services import later. Make another user the owner, and let dask_user only read it."
                )


#: The group, and the unit that stops all services on a host, by kind of service.
LEFT_OVER = {
    "scheduler": ("dask_scheduler", "dask-scheduler.service"),
    "worker": ("dask_workers", "dask-workers.target"),
}


def left_over(host: str, info: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each kind of running services that are no longer in the inventory. No run would stop them."""
    for kind in ("scheduler", "worker"):
        units = sorted(unit for unit in info["running"] if unit.startswith(f"dask-{kind}"))
        if units and not settings[kind]:
            group, all_of_them = LEFT_OVER[kind]
            yield (
                f"{host} runs {', '.join(units)}, but is not in the group {group}. Add it to the group, or stop the units "
                f"for good, which drains workers, with this command on the host: systemctl disable --now {all_of_them}"
            )


def unreachable(host: str, info: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence if services cannot listen at an address to which other hosts can connect."""
    address = info["address"]
    if settings["interface"] and settings["bind_address"]:
        yield f"{host}: dask_interface and dask_bind_address are both set. Keep one of the two."
    elif not address and settings["bind_address"]:
        yield (
            f"{host} has no address {settings['bind_address']}. Correct dask_bind_address. `ip address` shows the addresses "
            "of the host."
        )
    elif not address and settings["interface"]:
        yield (
            f"{host} has no interface {settings['interface']} with an address. Correct dask_interface. `ip address` shows "
            "the interfaces of the host."
        )
    elif not address and info["unresolved"]:
        yield (
            f"{host} cannot resolve {settings['scheduler_host']}, the scheduler's host, to an address "
            f"({info['unresolved']}). Set dask_scheduler_host (for a scheduler that another system runs, "
            "dask_scheduler_address) to an address or to a name that every host can resolve."
        )
    elif not address:
        yield (
            f"{host} has no route to the scheduler's host ({settings['scheduler_host']}). Correct dask_scheduler_host, "
            "ansible_host of the scheduler, or dask_scheduler_address."
        )
    elif ipaddress.ip_address(address).is_loopback and not settings["alone"]:
        yield (
            f"{host} would listen at {address}, to which other hosts cannot connect. Set dask_scheduler_host to the "
            "scheduler's address on the network. (Debian's /etc/hosts has 127.0.1.1 for a host's own name.)"
        )


def unreachable_for_clients(host: str, info: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence if the scheduler does not listen at the address of its host that clients connect to."""
    own, listens, name = info["client_addresses"], info["address"], settings["client_scheduler_host"]
    if name and own and listens not in (*own, *WILDCARDS):
        yield (
            f"{host} would listen only at {listens}, but dask_client_scheduler_host ({name}) is its "
            f"address {own[0]}. Set dask_bind_address of this host to 0.0.0.0, so that it listens at all addresses."
        )


def bad_contact_host(host: str, settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each reason why workers cannot have the name or address that a gateway translates."""
    contact = settings["contact_host"]
    if contact and not is_host(contact):
        yield (
            f"{host}: dask_worker_contact_host is '{contact}'. Give a name or an address, without a protocol, a port and "
            "brackets."
        )
    for pool, about in settings["pools"].items() if contact else []:
        if about["nanny"]:
            yield (
                f"{host}: dask_worker_contact_host is set, and {where(pool, 'nanny')} is true: the scheduler could not "
                f"reach the nannies. Set {where(pool, 'nanny')} to false, and use 'dask worker' as command."
            )


def other_protocol(host: str, info: Mapping[str, Any], tls: bool) -> Iterator[str]:
    """Yield a sentence if running and planned services could not communicate, because only one of them uses TLS."""
    if info["running"] and info["encrypted"] is not None and info["encrypted"] != tls:
        yield (
            f"{host} runs services {'with' if info['encrypted'] else 'without'} encryption, but dask_tls is "
            f"{str(tls).lower()}. Old and new services could not communicate while the cluster changes. Run stop.yml "
            "first, and then site.yml."
        )


def moved_dashboard(host: str, info: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence if the run could not ask the running scheduler whether it has work, because its URL changes."""
    served, planned = info["dashboard"], settings["dashboard"]
    if settings["scheduler"] and served and served != planned and settings["scheduler_restart"] != "now":
        yield (
            f"{host}: the running scheduler serves its dashboard at port and path {served}, and "
            f"dask_scheduler_dashboard_port and dask_dashboard_prefix say {planned}, so a run could not find out whether "
            "the scheduler has work. Make sure that no client has work, and add -e dask_scheduler_restart=now."
        )


def firewall(host: str, info: Mapping[str, Any], wanted: str) -> Iterator[str]:
    """Yield a sentence if the host lacks the requested firewall, or if another firewall would override it."""
    usable = info["firewall"]["usable"]
    if wanted == "firewalld" and "firewalld" not in usable:
        yield (
            f"{host}: dask_firewall is firewalld, but no firewalld of 0.9 or newer runs. Install and start it, or set "
            "dask_firewall to nftables or none."
        )
    elif wanted == "ufw" and "ufw" not in usable:
        yield (
            f"{host}: dask_firewall is ufw, but ufw is not active, or does not close ports by default, or not those of "
            "IPv6. Run ufw allow ssh, ufw default deny incoming and ufw enable, or set dask_firewall to nftables or none."
        )
    elif wanted == "nftables" and "firewalld" in usable:
        yield (
            f"{host}: dask_firewall is nftables, but firewalld runs and would still block ports. Set dask_firewall to "
            "firewalld, or stop and disable firewalld."
        )
    elif wanted == "nftables" and "nftables" not in usable:
        yield (
            f"{host}: dask_firewall is nftables, but 'nft list tables' does not work. Install the package nftables, or set "
            "dask_firewall to none."
        )


def taken_ports(host: str, info: Mapping[str, Any], ports: Mapping[int, str]) -> Iterator[str]:
    """Yield a sentence for each planned port that another program uses. ``ports`` has the variable by port."""
    for listener in info["listeners"]:
        variable = ports.get(listener["port"])
        if variable == "dask_dashboard_proxy_port":
            ours = listener["unit"] == "nginx.service" and listener["port"] == info["proxy"]["port"]
        else:
            ours = UNIT.fullmatch(listener["unit"])
        if variable and not ours:
            yield (
                f"{host}: port {listener['port']} ({variable}) is used by {listener['process']}"
                f"{' of ' + listener['unit'] if listener['unit'] else ''}. Stop that process, or choose another port."
            )


def plan_host(host: str, info: Mapping[str, Any], settings: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the plan of a host, with its workers, ports, address and firewall, and a sentence for each problem."""
    problems = list(bad_settings(host, settings))
    ports: dict[int, str] = {}
    rows, workers = [], []

    def claim(number: int, variable: str, unit: str, local: bool = False) -> None:
        if number in ports:
            problems.append(f"{host}: {variable} ({number}) is also the port of {ports[number]}. Choose another port.")
        ports[number] = variable
        rows.append(describe(number, variable, unit, local))

    try:
        if settings["scheduler"]:
            scheduler_memory(settings["scheduler_memory"], host, info["memory"])
            for name in ("dask_scheduler_port", "dask_scheduler_dashboard_port"):
                local = name == "dask_scheduler_dashboard_port" and bool(settings["proxy"])
                claim(port(settings[name], name), name, "dask-scheduler.service", local)
        if settings["proxy"]:
            problems.extend(bad_proxy(host, info, settings["proxy"], settings["tls"]))
            problems.extend(two_prefixes(host, settings["dashboard_prefix"], settings["proxy"]["prefix"]))
            name = "dask_dashboard_proxy_port"
            claim(port(settings["proxy"]["port"], name, lowest=1), name, "nginx.service")
        if settings["worker"]:
            for pool, about in settings["pools"].items():
                problems.extend(bad_pool(host, pool, about))
                problems.extend(bad_hours(host, pool, about, int(settings["drain_timeout"])))
            workers = plan_workers(host, info, settings)
    except PlanError as error:
        problems.append(f"{host}: {error}")
    for worker in workers:
        for kind in ("port", "dashboard_port", "nanny_port"):
            if worker[kind]:
                claim(worker[kind], f"dask_worker_{kind}", worker["unit"])
    listen_at, without_address = addresses(host, info, settings["pools"], workers)
    problems.extend(without_address)
    for worker in workers:
        worker.update(address=listen_at[worker["unit"]], contact_host=settings["contact_host"])
    if not problems:
        problems = [
            *fitness(host, info, settings),
            *missing(host, info, settings),
            *rights(host, info, settings),
            *left_over(host, info, settings),
            *unreachable(host, info, settings),
            *unreachable_for_clients(host, info, settings),
            *other_protocol(host, info, settings["tls"]),
            *moved_dashboard(host, info, settings),
            *firewall(host, info, settings["firewall"]),
            *taken_ports(host, info, ports),
        ]
    plan = {"workers": workers, "ports": rows, "address": info["address"], "firewall": settings["firewall"]}
    return plan, problems
