# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hints for unknown variables, and values without Ansible's own types."""

from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleUndefinedVariable
from ansible_collections.daskops.cluster.plugins.plugin_utils.variables import MEANINGS, evaluate, meant, plain

SPEC = Path(__file__).parents[2] / "roles/preflight/meta/argument_specs.yml"
OPTIONS = yaml.safe_load(SPEC.read_text())["argument_specs"]["main"]["options"]


def test_hints_name_variables_that_exist():
    assert {name for name in MEANINGS if not name.startswith("ansible_")} <= set(OPTIONS)
    names = [name for names in MEANINGS.values() for name in names]
    assert len(names) == len(set(names))
    assert not {f"dask_{name}" for name in names} & set(OPTIONS)


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
        ("dask_ssh_username", "ansible_user"),
        # The same words in another form or order, or without whose they are.
        ("dask_worker_preload", "dask_worker_preloads"),
        ("dask_worker_path", "dask_worker_paths"),
        ("dask_threads_worker", "dask_worker_threads"),
        ("dask_threads", "dask_worker_threads"),
        ("dask_nanny", "dask_worker_nanny"),
        ("dask_resources", "dask_worker_resources"),
        ("dask_Worker_Memory", "dask_worker_memory"),
        # By spelling alone.
        ("dask_worker_treads", "dask_worker_threads"),
        ("dask_enviroment_lock", "dask_environment_lock"),
        ("dask_xyzzy_quux", ""),
    ],
)
def test_a_name_of_others(written, hint):
    assert meant(written, OPTIONS) == hint


class Inventory(dict):
    """Variables of which some may not be read."""

    def __getitem__(self, name):
        value = super().__getitem__(name)
        if isinstance(value, Exception):
            raise value
        return value


def test_only_variables_of_ours_are_read():
    error = AnsibleUndefinedVariable("'x' is undefined")
    variables = Inventory(
        other=KeyError(), my_dask_x=KeyError(), dask_nothing=KeyError(), dask_tls=error, dask_home="/x"
    )
    assert evaluate(variables, OPTIONS) == ({"dask_nothing": None, "dask_home": "/x"}, {"dask_tls": error})


class Vaulted:
    """An inline ``!vault`` as ansible-core older than 2.19 has it: no text, but an object that is decrypted as one."""

    __ENCRYPTED__ = True

    def __str__(self):
        return "a text"


def test_a_vaulted_text_is_a_text():
    value = {"a": [Vaulted(), ("b",), 1, 0.5, None, True], "c": {"d": Vaulted()}}
    assert plain(value) == {"a": ["a text", ["b"], 1, 0.5, None, True], "c": {"d": "a text"}}
