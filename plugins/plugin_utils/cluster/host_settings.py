# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Convert a host's variables to typed settings, for the inspection, the plan and the release."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.daskops.cluster.plugins.module_utils.hours import parse_hours
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.command_lines import is_token
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.environment_kinds import kind_of
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.model import Settings
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.pools import worker_pools
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.python_choice import own_python
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.release_contents import setup_files
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.settings import (
    POOL_SETTINGS,
    SETTINGS,
    Setting,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.validate import to_bool, wrong_value

#: Lists of modules, some of which are files on the controller.
MODULES = (
    "dask_scheduler_preloads",
    "dask_worker_preloads",
    "dask_nanny_preloads",
    "dask_scheduler_routes",
    "dask_worker_routes",
)

Values = Mapping[str, Any]


def _typed(setting: Setting, value: Any) -> Any:
    """Return a value with the type of its variable. In an INI inventory, all values are strings.

    In YAML, a text of digits is a number.
    """
    if setting.type in ("str", "path") and setting.scope != "pool" and type(value) in (int, float):
        return str(value)
    if setting.type not in ("bool", "int") or setting.scope == "pool":
        return value
    for problem in wrong_value(setting.name, setting, value):
        raise ValueError(str(problem))
    return to_bool(value) if setting.type == "bool" else int(value)


def complete(values: Values) -> dict[str, Any]:
    """Return every variable by name, with its type. A variable that is not in ``values`` has its default.

    Raises
    ------
    ValueError
        If values of bool or int variables have another type. The message has a line for each.
    """
    found, problems = {}, []
    for name, setting in SETTINGS.items():
        try:
            found[name] = _typed(setting, values[name]) if name in values else setting.default
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise ValueError("\n".join(problems))
    return found


def pools_of(values: Values) -> dict[str, dict[str, Any]]:
    """Return all settings of each pool of workers, by its name.

    Raises
    ------
    ValueError
        If a setting has an invalid value.
    """
    defaults = {name: values[setting.name] for name, setting in POOL_SETTINGS.items()}
    return worker_pools(values["dask_worker_pools"], values["dask_worker_pool_overrides"], defaults)


def kinds_of(host: str, groups: Mapping[str, list[str]]) -> list[str]:
    """Return the kinds of service of a host."""
    by_kind = {"scheduler": "dask_scheduler", "worker": "dask_workers"}
    return [kind for kind, group in by_kind.items() if host in groups.get(group, [])]


def user_home(values: Values, info: Values) -> str:
    """Return the home directory of the services' account. An existing account keeps its home directory."""
    return str((info.get("account") or {}).get("home") or values["dask_user_home"])


def groups_of(values: Values) -> list[str]:
    """Return the names or ids of the services' additional groups, as strings."""
    return [str(group) for group in values["dask_user_groups"]]


def services_of(values: Values) -> dict[str, Any]:
    """Return the arguments with which a module runs a program as services are run."""
    setup = setup_files(values["dask_environment_setup"])
    return {
        "user": values["dask_user"],
        "groups": groups_of(values),
        "setup": {"script": setup["setup.sh"], "lines": setup["setup.lines"]} if setup else {},
    }


def questions(
    values: Values, pools: Mapping[str, Values], scheduler_host: str, client_scheduler_host: str, proxy_site: str
) -> dict[str, Any]:
    """Return the arguments of the module `inspect_host` for a host.

    Parameters
    ----------
    values : dict
        The host's variables, complete.
    pools : dict of dict
        The host's pools of workers.
    scheduler_host : str
        Name or address under which the host connects to the scheduler.
    client_scheduler_host : str
        Name or address under which clients do, for the scheduler's host; empty for other hosts.
    proxy_site : str
        Path of the nginx site that the collection writes.
    """
    scratch = [pool["scratch_directory"] for pool in pools.values()]
    interfaces = [pool["interface"] for pool in pools.values()]
    flat = [name for one in interfaces for name in (one if isinstance(one, list) else [one])]
    address, file = values["dask_scheduler_address"], values["dask_scheduler_file"]
    paths = [values["dask_home"], *scratch, *values["dask_worker_paths"], *values["dask_worker_devices"]]
    zones = [parse_hours(pool["hours"]).zone for pool in pools.values()]
    return {
        "home": values["dask_home"],
        "python": own_python(values["dask_python"]),
        "environment_path": values["dask_environment_path"],
        **services_of(values),
        "import_paths": list(
            dict.fromkeys([*values["dask_worker_import_paths"], *values["dask_scheduler_import_paths"]])
        ),
        "scheduler_host": scheduler_host,
        "client_scheduler_host": client_scheduler_host,
        "scheduler_port": int(address.rpartition(":")[2]) if address else 0,
        "interface": values["dask_interface"],
        "bind_address": values["dask_bind_address"],
        "worker_interfaces": [name for name in dict.fromkeys(flat) if name],
        "paths": [*dict.fromkeys(paths), *([file.rpartition("/")[0]] if file else [])],
        "files": [
            values[name] for name in ("dask_dashboard_proxy_certificate", "dask_dashboard_proxy_key") if values[name]
        ],
        "time_zones": [zone for zone in dict.fromkeys(zones) if zone],
        "proxy_site": proxy_site,
        "firewall": values["dask_firewall"],
    }


def _shutdown_token(token: str) -> str:
    """Return the state of the token without its value: ``none``, ``good`` or ``bad``."""
    if not token:
        return "none"
    return "good" if is_token(token) else "bad"


def planning_settings(
    values: Values, pools: Mapping[str, Values], kinds: list[str], alone: bool, scheduler_host: str, home: str
) -> dict[str, Any]:
    """Return the settings of a host for `host_plan.plan_host`.

    Parameters
    ----------
    values, pools : dict
        The host's variables, complete, and its pools of workers.
    kinds : list of str
        Kinds of the host's services.
    alone : bool
        Whether the cluster has no other host.
    scheduler_host : str
        Name or address under which hosts connect to the scheduler.
    home : str
        Home directory of the services' account.
    """
    users = values["dask_dashboard_proxy_users"]
    # The plan must not contain passwords.
    proxy = {
        "port": values["dask_dashboard_proxy_port"],
        "prefix": values["dask_dashboard_proxy_prefix"],
        "users": list(users),
        "without_password": [user for user, password in users.items() if not password],
        "certificate": values["dask_dashboard_proxy_certificate"],
        "key": values["dask_dashboard_proxy_key"],
    }
    return {
        "scheduler": "scheduler" in kinds,
        "worker": "worker" in kinds,
        "alone": alone,
        "scheduler_host": scheduler_host,
        "client_scheduler_host": values["dask_client_scheduler_host"] if "scheduler" in kinds else "",
        "contact_host": values["dask_worker_contact_host"] if "worker" in kinds else "",
        "interface": values["dask_interface"],
        "bind_address": values["dask_bind_address"],
        "home": values["dask_home"],
        "user_home": home,
        "python": own_python(values["dask_python"]),
        "kind": kind_of(values),
        "environment_path": values["dask_environment_path"],
        "free_disk": values["dask_free_disk"],
        "tls": values["dask_tls"],
        "firewall": values["dask_firewall"],
        "scratch_any_filesystem": values["dask_worker_scratch_any_filesystem"],
        "paths": values["dask_worker_paths"],
        "devices": values["dask_worker_devices"],
        "drain_timeout": values["dask_worker_drain_timeout"],
        "groups": groups_of(values),
        "import_paths": {
            f"dask_{kind}_import_paths": values[f"dask_{kind}_import_paths"]
            for kind in ("scheduler", "worker")
            if kind in kinds
        },
        "shutdown_token": _shutdown_token(str(values["dask_shutdown_token"])),
        "scheduler_file": values["dask_scheduler_file"],
        "scheduler_memory": values["dask_scheduler_memory"] if "scheduler" in kinds else "",
        "scheduler_arguments": values["dask_scheduler_arguments"] if "scheduler" in kinds else [],
        "environment_variables": values["dask_environment_variables"],
        "environment_setup": values["dask_environment_setup"],
        "modules": {name: values[name] for name in MODULES},
        "proxy": proxy if values["dask_dashboard_proxy"] and "scheduler" in kinds else {},
        "dask_scheduler_port": values["dask_scheduler_port"],
        "dask_scheduler_dashboard_port": values["dask_scheduler_dashboard_port"],
        "dashboard": f"{values['dask_scheduler_dashboard_port']}{values['dask_dashboard_prefix'].rstrip('/')}/",
        "scheduler_restart": values["dask_scheduler_restart"],
        "dashboard_prefix": values["dask_dashboard_prefix"] if "scheduler" in kinds else "/",
        "pools": pools,
        "cores_reserve": values["dask_worker_cores_reserve"],
        "memory_reserve": values["dask_worker_memory_reserve"],
    }


def release_settings(values: Values, pools: Mapping[str, Values], scheduler_address: str, home: str) -> Settings:
    """Return the settings of a host's release."""
    return Settings.of(
        {
            **{name.removeprefix("dask_"): value for name, value in values.items()},
            "shutdown_token": str(values["dask_shutdown_token"]),
            "release_label": str(values["dask_release_label"]),
            "user_groups": groups_of(values),
            "scheduler_address": scheduler_address,
            "user_home": home,
            "pools": pools,
        }
    )
