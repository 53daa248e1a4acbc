# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of variables in other tools, and the collection's variable that an unknown name probably means."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

PREFIX = "dask_"
# Minimum similarity of a name and a suggestion, from 0 to 1. With less, cache is suggested for batch.
SIMILAR = 0.75

# Names of the collection's variables in `dask-ssh`, SSHCluster, Dask's command line, Helm chart and configuration, and in
# other roles, without `dask_`. A name may also begin with `worker_`.
MEANINGS: dict[str, tuple[str, ...]] = {
    "dask_bind_address": (
        "bind_host",
        "host",
        "listen_address",
        "scheduler_bind",
        "scheduler_bind_address",
        "scheduler_listen",
        "scheduler_listen_address",
    ),
    "dask_client_directory": ("client_config_dir", "client_config_path"),
    "dask_client_scheduler_host": ("client_address", "external_host", "public_host", "scheduler_public_host"),
    "dask_config": ("conf", "configuration", "config_yaml", "log_level", "logging", "scheduler_options", "yaml"),
    "dask_dashboard_proxy_users": ("dashboard_password", "dashboard_user", "dashboard_users"),
    "dask_environment_index_url": ("extra_index_url", "index_url", "pip_index_url", "pypi_index_url"),
    "dask_environment_lock": (
        "conda_env",
        "conda_environment",
        "conda_packages",
        "distributed_version",
        "env_file",
        "environment_file",
        "extra_conda_packages",
        "extra_packages",
        "extra_pip_packages",
        "lock",
        "lock_file",
        "packages",
        "pip_packages",
        "python_packages",
        "requirements",
        "requirements_file",
        "version",
    ),
    "dask_environment_variables": (
        "env",
        "env_vars",
        "extra_env",
        "scheduler_env",
        "scheduler_env_vars",
        "scheduler_environment",
        "scheduler_environment_variables",
    ),
    "dask_firewall": ("enable_firewall", "firewall_backend", "firewall_enabled", "firewall_type"),
    "dask_home": (
        "base_dir",
        "dir",
        "directory",
        "install_dir",
        "install_path",
        "path",
        "prefix",
        "root",
        "venv",
        "virtualenv",
    ),
    "dask_interface": ("network_interface", "nic", "scheduler_interface"),
    "dask_monitoring": ("grafana", "metrics", "prometheus"),
    "dask_monitoring_cluster": ("cluster", "cluster_name"),
    "dask_python": (
        "interpreter",
        "python_executable",
        "python_interpreter",
        "python_path",
        "python_version",
        "remote_python",
    ),
    "dask_python_mirror": ("python_install_mirror", "uv_python_install_mirror"),
    "dask_release_label": (
        "build",
        "build_id",
        "build_number",
        "git_tag",
        "label",
        "release",
        "release_name",
        "release_tag",
        "release_version",
        "tag",
    ),
    "dask_scheduler_address": ("address", "scheduler_uri", "scheduler_url", "uri"),
    "dask_scheduler_dashboard_port": (
        "bokeh_port",
        "dashboard_address",
        "dashboard_port",
        "diagnostics_port",
        "http_port",
        "scheduler_bokeh_port",
        "scheduler_dashboard_address",
        "scheduler_http_port",
        "ui_port",
        "web_port",
    ),
    "dask_scheduler_arguments": ("jupyter", "scheduler_args", "scheduler_extra_args", "scheduler_jupyter"),
    "dask_scheduler_host": (
        "hostname",
        "master",
        "scheduler",
        "scheduler_hostname",
        "scheduler_ip",
        "scheduler_ip_address",
        "scheduler_name",
    ),
    "dask_scheduler_memory": ("scheduler_mem", "scheduler_memory_limit", "scheduler_memory_max"),
    "dask_scheduler_port": ("port", "scheduler_service_port", "scheduler_tcp_port"),
    "dask_scheduler_preloads": ("scheduler_plugins", "scheduler_preload"),
    "dask_scheduler_restart": ("force_restart", "restart"),
    "dask_serial": ("batch", "batch_size", "batches"),
    "dask_tls": (
        "encrypt",
        "encryption",
        "protocol",
        "require_encryption",
        "security",
        "ssl",
        "tls_enabled",
        "use_ssl",
        "use_tls",
    ),
    "dask_tls_certificates": (
        "ca",
        "ca_cert",
        "ca_file",
        "cert_file",
        "key_file",
        "tls_ca",
        "tls_ca_cert",
        "tls_ca_file",
        "tls_cert",
        "tls_key",
    ),
    "dask_tls_directory": ("cert_dir", "certs_dir", "tls_dir", "tls_path"),
    "dask_user": ("group", "service_user", "system_user", "username"),
    "dask_worker_arguments": ("args", "extra_args", "options"),
    "dask_worker_command": ("class", "remote_dask_worker"),
    "dask_worker_contact_host": ("contact_address", "contact_host", "external_address"),
    "dask_worker_count": (
        "n_workers",
        "nprocs",
        "num_workers",
        "number_of_workers",
        "nworkers",
        "processes",
        "procs",
        "replicas",
        "workers",
        "workers_per_host",
        "workers_per_node",
    ),
    "dask_worker_dashboard_port": ("worker_bokeh_port", "worker_dashboard_address", "worker_http_port"),
    "dask_worker_environment_variables": ("worker_env", "worker_env_vars", "worker_environment", "worker_extra_env"),
    "dask_worker_gpus": ("cuda", "cuda_visible_devices", "gpu", "num_gpus"),
    "dask_worker_hyperthreads": ("hyperthreading", "smt", "use_hyperthreads"),
    "dask_worker_maximum": ("max", "max_workers", "maximum_workers"),
    "dask_worker_memory": ("mem", "mem_limit", "memory_limit", "ram"),
    "dask_worker_minimum": ("min", "min_workers", "minimum_workers"),
    "dask_worker_numa_node": ("numa",),
    "dask_worker_port": ("tcp_port", "worker_port_range"),
    "dask_worker_preloads": ("plugins", "preload"),
    "dask_worker_scaling": ("adapt", "adaptive", "autoscaling", "scale"),
    "dask_worker_scratch_directory": (
        "local_dir",
        "local_directory",
        "local_storage",
        "scratch",
        "scratch_dir",
        "spill_directory",
        "temp_dir",
        "temporary_directory",
        "tmp_dir",
        "tmpdir",
        "work_dir",
        "working_directory",
    ),
    "dask_worker_threads": (
        "cores",
        "cpus_per_worker",
        "n_threads",
        "nthreads",
        "num_threads",
        "threads_per_process",
        "threads_per_worker",
    ),
    "dask_user_groups": ("extra_groups", "groups", "supplementary_groups"),
    "dask_worker_import_paths": ("import_path", "module_path", "pythonpath", "shared_code", "sys_path"),
    "ansible_port": ("ssh_port",),
    "ansible_ssh_private_key_file": ("ssh_key", "ssh_key_file", "ssh_private_key"),
    "ansible_user": ("remote_user", "ssh_user", "ssh_username"),
}
_BY_NAME = {name: ours for ours, names in MEANINGS.items() for name in names}

# What to know instead of a variable, by names in other tools for which there is none.
_JOURNAL = "Services write to the journal: journalctl -u 'dask-*'."
_INSTEAD = {
    "log_dir": _JOURNAL,
    "log_directory": _JOURNAL,
    "log_file": _JOURNAL,
    "log_path": _JOURNAL,
    "logs": _JOURNAL,
}


def _words(name: str) -> list[str]:
    """Return the words of a name without the prefix, each in the singular."""
    return [word.rstrip("s") for word in re.split(r"_+", name.lower().removeprefix(PREFIX))]


def _similarity(name: str, other: str) -> float:
    """Return how similar the words are that only one of two names has, from 0 to 1."""
    words, others = _words(name), _words(other)
    only = "".join(word for word in words if word not in others)
    other_only = "".join(word for word in others if word not in words)
    return difflib.SequenceMatcher(None, only, other_only).ratio()


def _plain(name: str) -> str:
    """Return a name in lower case without the prefix, with ``_`` for other characters."""
    return re.sub(r"\W", "_", name.lower()).removeprefix(PREFIX)


def meant(name: str, known: Iterable[str]) -> str:
    """Return the variable that an unknown name probably means. Compares names in other tools first, then the spelling.

    Parameters
    ----------
    name : str
        The unknown name, with the prefix.
    known : iterable of str
        The names of the variables.

    Returns
    -------
    str
        Name of the variable; empty if none is similar.
    """
    known = list(known)
    for ours in known:
        if sorted(_words(ours)) == sorted(_words(name)):
            return ours
    bare = _plain(name)
    if by_meaning := _BY_NAME.get(bare) or _BY_NAME.get(bare.removeprefix("worker_")):
        return by_meaning
    for whose in ("worker_", "scheduler_", "environment_"):
        if f"{PREFIX}{whose}{bare}" in known:
            return f"{PREFIX}{whose}{bare}"
    near = max(known, key=lambda ours: _similarity(name, ours), default="")
    return near if near and _similarity(name, near) >= SIMILAR else ""


def instead(name: str) -> str:
    """Return a sentence about what an unknown name stands for, if the collection has no variable for it; otherwise empty."""
    return _INSTEAD.get(_plain(name).removeprefix("worker_").removeprefix("scheduler_"), "")


def hint(name: str, known: Iterable[str], meaning: str = "") -> str:
    """Return a sentence with the name that an unknown name probably means, or with all known names.

    Parameters
    ----------
    name : str
        The unknown name.
    known : iterable of str
        The known names.
    meaning : str
        Result of `meant` for the unknown name. Empty to compare only the spelling.
    """
    known = list(known)
    near = meaning or next(iter(difflib.get_close_matches(str(name), known, 1, SIMILAR)), "")
    if near:
        return f"Did you mean {near}?"
    return f"There are {', '.join(known)}." if known else "There are none."
