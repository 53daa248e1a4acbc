# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Suggestions for unknown variable names."""

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.names import MEANINGS, hint, instead, meant
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.settings import SETTINGS


def test_suggested_variables_exist():
    assert {name for name in MEANINGS if not name.startswith("ansible_")} <= set(SETTINGS)
    names = [name for names in MEANINGS.values() for name in names]
    assert len(names) == len(set(names))
    assert not {f"dask_{name}" for name in names} & set(SETTINGS)


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("dask_dashboard_port", "dask_scheduler_dashboard_port"),
        ("dask_scheduler_bokeh_port", "dask_scheduler_dashboard_port"),
        ("dask_worker_dashboard_address", "dask_worker_dashboard_port"),
        ("dask_nthreads", "dask_worker_threads"),
        ("dask_worker_nthreads", "dask_worker_threads"),
        ("dask_threads_per_worker", "dask_worker_threads"),
        ("dask_nprocs", "dask_worker_count"),
        ("dask_nworkers", "dask_worker_count"),
        ("dask_n_workers", "dask_worker_count"),
        ("dask_worker_replicas", "dask_worker_count"),
        ("dask_memory_limit", "dask_worker_memory"),
        ("dask_worker_memory_limit", "dask_worker_memory"),
        ("dask_local_directory", "dask_worker_scratch_directory"),
        ("dask_worker_local_directory", "dask_worker_scratch_directory"),
        ("dask_remote_python", "dask_python"),
        ("dask_port", "dask_scheduler_port"),
        ("dask_scheduler", "dask_scheduler_host"),
        ("dask_scheduler_ip", "dask_scheduler_host"),
        ("dask_version", "dask_environment_lock"),
        ("dask_extra_pip_packages", "dask_environment_lock"),
        ("dask_env", "dask_environment_variables"),
        ("dask_worker_env", "dask_worker_environment_variables"),
        ("dask_worker_extra_args", "dask_worker_arguments"),
        ("dask_worker_class", "dask_worker_command"),
        ("dask_remote_dask_worker", "dask_worker_command"),
        ("dask_ssh_username", "ansible_user"),
        # The same words in another form or order, or without `worker`.
        ("dask_worker_preload", "dask_worker_preloads"),
        ("dask_worker_path", "dask_worker_paths"),
        ("dask_threads_worker", "dask_worker_threads"),
        ("dask_threads", "dask_worker_threads"),
        ("dask_nanny", "dask_worker_nanny"),
        ("dask_resources", "dask_worker_resources"),
        ("dask_Worker_Memory", "dask_worker_memory"),
        # A similar spelling.
        ("dask_worker_treads", "dask_worker_threads"),
        ("dask_enviroment_lock", "dask_environment_lock"),
        ("dask_schedulerport", "dask_scheduler_port"),
        ("dask_scheduler_bind_address", "dask_bind_address"),
        ("dask_scheduler_ip_address", "dask_scheduler_host"),
        ("dask_scheduler_environment_variables", "dask_environment_variables"),
        ("dask_numa", "dask_worker_numa_node"),
        ("dask_batch", "dask_serial"),
        ("dask_firewall_enabled", "dask_firewall"),
        ("dask_ca", "dask_tls_certificates"),
        ("dask_adaptive", "dask_worker_scaling"),
        ("dask_min_workers", "dask_worker_minimum"),
        ("dask_max_workers", "dask_worker_maximum"),
        ("dask_tmpdir", "dask_worker_scratch_directory"),
        ("dask_jupyter", "dask_scheduler_arguments"),
        ("dask_prometheus", "dask_monitoring"),
        ("dask_cluster_name", "dask_monitoring_cluster"),
        ("dask_worker_plugins", "dask_worker_preloads"),
        # Only the part that all names have is similar.
        ("dask_log_file", ""),
        ("dask_logs", ""),
        ("dask_worker_image", ""),
        ("dask_secret", ""),
        ("dask_scheduler_restart_address", ""),
        ("dask_xyzzy_quux", ""),
    ],
)
def test_unknown_name_gives_a_suggestion(written, hint):
    assert meant(written, SETTINGS) == hint


def test_hint_names_one_name_or_lists_all():
    assert hint("treads", ["threads", "count"]) == "Did you mean threads?"
    assert hint("nprocs", ["threads", "count"], "count") == "Did you mean count?"
    assert hint("x", ["threads", "count"]) == "There are threads, count."
    assert hint("config", ["threads", "count"]) == "There are threads, count."
    assert hint("x", []) == "There are none."


@pytest.mark.parametrize("name", ["dask_log_dir", "dask_log_directory", "dask_log_file", "dask_logs"])
def test_what_no_variable_does_is_explained(name):
    assert instead(name) == "Services write to the journal: journalctl -u 'dask-*'."
    assert meant(name, SETTINGS) == instead("dask_xyzzy_quux") == ""
