# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dask's configuration for the services of a host.

Each kind of service has its own configuration, so that a setting or a preload module of workers does not restart the
scheduler. The configuration is merged from `DEFAULTS`, ``dask_config``, the configuration for the kind of service, and the
settings that the collection needs, from the lowest to the highest priority. So users may paste a copy of all of Dask's
defaults without breaking the collection.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.model import Settings

#: Keys below ``distributed.comm.tls`` that users choose.
TLS_CHOICES = ("min-version", "max-version", "ciphers")

#: Dask's configuration for an always-on cluster. Other settings have Dask's own defaults.
DEFAULTS: dict[str, Any] = {
    "distributed": {
        "scheduler": {
            # After this many lost workers, Dask assumes that the task is the cause. Dask's default of 3 is too low, because
            # machines are restarted for other reasons.
            "allowed-failures": 10,
            # After this time without a message from a worker, its tasks run on other workers.
            "worker-ttl": "5 minutes",
            # An always-on scheduler must not end when it is idle.
            "idle-timeout": None,
            # Tasks wait while there is no worker, for example in an upgrade of a small cluster.
            "no-workers-timeout": None,
            # Keep the events of workers that have left, so that administrators can read them, but not for ever: they use
            # memory.
            "events-cleanup-delay": "1h",
            "locks": {
                # A client that holds a lock and sends nothing for this time loses the lock. A task that does not release the
                # interpreter also sends nothing. A lock with two holders is worse than a lost worker that holds one longer.
                "lease-timeout": "2 minutes",
                "lease-validation-interval": "10s",
            },
            # Remove unneeded copies of data.
            "active-memory-manager": {"start": True},
            "http": {
                # Dask's own routes without its proxy. The collection has a proxy that only reads.
                "routes": [
                    "distributed.http.scheduler.prometheus",
                    "distributed.http.scheduler.info",
                    "distributed.http.scheduler.json",
                    "distributed.http.health",
                    "distributed.http.statics",
                ]
            },
        },
        "worker": {
            # Dask's own routes.
            "http": {
                "routes": [
                    "distributed.http.worker.prometheus",
                    "distributed.http.health",
                    "distributed.http.statics",
                ]
            },
            # Fractions of the memory limit. Without a nanny, MemoryMax of the unit ends a worker that exceeds the limit.
            "memory": {"target": 0.60, "spill": 0.70, "pause": 0.80},
        },
        # Lengths of the logs that services keep in memory. Services run for months.
        "admin": {"log-length": 10000, "low-level-log-length": 1000},
        "comm": {
            # After a restart of the scheduler, all workers and clients connect at once. The kernel's limit is
            # net.core.somaxconn.
            "socket-backlog": 4096,
            # Retry a broken connection between two hosts, at growing intervals, before a task fails.
            "retry": {"count": 3, "delay": {"min": "1s", "max": "20s"}},
            "timeouts": {
                # A worker that waits for its scheduler tries to connect at growing intervals. This is the longest one. With
                # Dask's default of 30 s, a restart of the scheduler would take that long.
                "connect": "5s",
                # A peer that acknowledges nothing for this time counts as lost. Networks and switches may fail for seconds.
                "tcp": "30s",
            },
        },
    }
}


def merge(configurations: Iterable[Mapping[str, Any] | None]) -> dict[str, Any]:
    """Return one configuration, merged from several like in Dask. Later values replace earlier ones, also whole lists.

    Mappings are merged. A value that is not a mapping never replaces a mapping, so an empty section in a later configuration
    changes nothing. Hyphens and underscores in keys are equivalent.
    """
    merged: dict[str, Any] = {}
    for configuration in configurations:
        merged = _merge_two(merged, configuration or {})
    return merged


def _merge_two(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(old)
    names = {_canonical(key): key for key in old}
    for key, value in new.items():
        name = names.setdefault(_canonical(key), key)
        if isinstance(merged.get(name), dict):
            merged[name] = _merge_two(merged[name], value) if isinstance(value, dict) else merged[name]
        else:
            merged[name] = value
    return merged


def _canonical(key: object) -> str:
    return str(key).replace("_", "-")


@dataclass(frozen=True)
class Module:
    """A preload module or a module with HTTP routes: its name, its file on the controller (may be ""), and its arguments."""

    name: str
    file: str
    arguments: list[str]


def modules(entries: Iterable[Any]) -> list[Module]:
    """Return the modules in the value of a variable.

    An entry is the name of a module on the hosts, or a file on the controller (``.py``), which is copied to the hosts and
    imported by its name. An entry with arguments is a dictionary with ``name`` and ``arguments``.
    """
    found = []
    for entry in entries:
        about = {"name": entry} if isinstance(entry, str) else entry
        name = about["name"]
        is_file = name.endswith(".py") and "://" not in name
        found.append(
            Module(
                name=os.path.basename(name)[: -len(".py")] if is_file else name,
                file=os.path.realpath(os.path.expanduser(name)) if is_file else "",
                arguments=[str(argument) for argument in about.get("arguments", [])],
            )
        )
    return found


def scheduler_configuration(settings: Settings) -> dict[str, Any]:
    """Return the configuration of the scheduler."""
    chosen = merge([_links(settings), _chosen(settings, "scheduler", settings.scheduler_config)])
    section = {
        **_preloads("daskops_runtime.scheduler", modules(settings.scheduler_preloads)),
        "http": {
            "routes": [
                *(["daskops_runtime.summary"] if settings.summary_route else []),
                *(["daskops_runtime.worker_proxy"] if settings.worker_pages_route else []),
                *(["daskops_runtime.shutdown"] if settings.shutdown_token else []),
                *(module.name for module in modules(settings.scheduler_routes)),
                *_flat(chosen["distributed"]["scheduler"]["http"]["routes"]),
            ]
        },
    }
    return merge([chosen, {"distributed": {"scheduler": section}}])


def _links(settings: Settings) -> dict[str, Any]:
    """Return the form of the dashboard's URL, which the scheduler logs, if the dashboard is below a path."""
    if settings.dashboard_prefix == "/":
        return {}
    link = f"{{scheme}}://{{host}}:{{port}}/{settings.dashboard_prefix.strip('/')}/status"
    return {"distributed": {"dashboard": {"link": link}}}


def worker_configuration(settings: Settings) -> dict[str, Any]:
    """Return the configuration of workers and of their nannies."""
    chosen = _chosen(settings, "worker", settings.worker_config)
    section = {
        **_preloads("daskops_runtime.worker", modules(settings.worker_preloads)),
        "http": {
            "routes": [
                *(["daskops_runtime.shutdown"] if settings.shutdown_token else []),
                *(module.name for module in modules(settings.worker_routes)),
                *_flat(chosen["distributed"]["worker"]["http"]["routes"]),
            ]
        },
    }
    # The command line of a worker also has these modules. From the configuration, Dask reads only their arguments.
    nanny = _preloads("daskops_runtime.nanny", nanny_modules(settings))
    return merge([chosen, {"distributed": {"worker": section, "nanny": nanny}}])


def nanny_modules(settings: Settings) -> list[Module]:
    """Return the preload modules of nannies; none if no worker of the host has a nanny."""
    return modules(settings.nanny_preloads) if settings.has_nannies else []


def _chosen(settings: Settings, kind: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration of a kind of service without modules."""
    return merge([DEFAULTS, settings.config, config, _tls(settings.home, kind) if settings.tls else {}])


def _tls(home: str, kind: str) -> dict[str, Any]:
    """Return the section about certificates.

    A service uses its certificate for all connections, because services connect to each other, and tasks may create clients.
    The dashboard and the HTTP routes of scheduler and workers read the section ``scheduler.dashboard``.
    """
    file = f"{home}/tls/{kind}.pem"  # contains the certificate and the key
    certificate = {"cert": file, "key": file}
    return {
        "distributed": {
            "comm": {
                "require-encryption": True,
                "default-scheme": "tls",
                "tls": {
                    "ca-file": f"{home}/tls/ca.pem",
                    kind: certificate,
                    "client": certificate,
                },
            },
            "scheduler": {"dashboard": {"tls": certificate}},
        }
    }


def tls_choices(values: Mapping[str, Any], kind: str) -> tuple[dict[str, Any], list[str]]:
    """Return the versions and ciphers of TLS that a host's variables give a kind of service, and these variables."""
    found, variables = {}, []
    for variable in ("dask_config", f"dask_{kind}_config"):
        section = values[variable]
        for key in ("distributed", "comm", "tls"):
            section = section.get(key) if isinstance(section, Mapping) else None
        given = {key: section[key] for key in TLS_CHOICES if key in section} if isinstance(section, Mapping) else {}
        found.update(given)
        variables += [variable] if given else []
    return {key: value for key, value in found.items() if value is not None}, variables


def _preloads(ours: str, users: list[Module]) -> dict[str, Any]:
    """Return ``preload`` and ``preload-argv`` for the collection's module, which has no arguments, and for the user's."""
    return {
        "preload": [ours, *(module.name for module in users)],
        "preload-argv": [[], *(module.arguments for module in users)],
    }


def _flat(value: Any) -> Iterator[Any]:
    """Yield the routes in a configuration value, which is a list, a list of lists, or one name."""
    if isinstance(value, list):
        for inner in value:
            yield from _flat(inner)
    elif value:
        yield value
