# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users' arguments of the commands of Dask: those that the collection sets itself are rejected with the variable to use."""

import click
import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.command_lines import (
    SCHEDULER_OPTIONS,
    WORKER_OPTIONS,
    bad_arguments,
    open_notebooks,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.release_contents import (
    scheduler_arguments,
    worker_arguments,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.settings import SETTINGS
from cluster_settings import settings
from distributed.cli import dask_scheduler, dask_worker

MANAGED = {"scheduler": SCHEDULER_OPTIONS, "worker": WORKER_OPTIONS}
COMMANDS = {"scheduler": dask_scheduler.main, "worker": dask_worker.main}
#: Options of `dask worker` and `dask scheduler` that users may set.
FREE = {
    "scheduler": {"--jupyter", "--no-jupyter", "--show", "--no-show", "--use-xheaders", "--version"},
    "worker": {
        *("--death-timeout", "--protocol", "--scheduler-sni", "--version", "--worker-class"),
    },
}


def only(sentences):
    (sentence,) = sentences
    return sentence


def test_plain_arguments_are_accepted():
    assert list(bad_arguments("dask_scheduler_arguments", ["--jupyter", "my.module"], SCHEDULER_OPTIONS)) == []
    assert list(bad_arguments("dask_worker_arguments", ["--death-timeout", 30, "--protocol=tls"], WORKER_OPTIONS)) == []


@pytest.mark.parametrize("argument", ["--listen-address tls://x", "$HOME", "%h", "it's", 'a"b', "a\\b", "a\nb", ""])
def test_argument_that_units_cannot_contain_is_rejected(argument):
    sentence = only(bad_arguments("dask_worker_arguments", [argument], WORKER_OPTIONS))
    assert sentence == (
        f"dask_worker_arguments: '{argument}' has spaces, or characters with a special meaning for systemd. Give an "
        "option and its value as two items."
    )


@pytest.mark.parametrize(
    ("kind", "argument", "variable"),
    [
        ("worker", "--nthreads", "dask_worker_threads"),
        ("worker", "--name=x", "dask_worker_pools"),
        ("worker", "--contact-address", "dask_worker_contact_host"),
        ("worker", "--listen-address=tls://:8800", "dask_worker_interface"),
        ("worker", "--no-lifetime-restart", "dask_worker_lifetime"),
        ("scheduler", "--host", "dask_bind_address"),
        ("scheduler", "--port=9000", "dask_scheduler_port"),
        ("scheduler", "--preload=x.py", "dask_scheduler_preloads"),
        ("scheduler", "--scheduler-file", "dask_scheduler_file"),
        ("scheduler", "--protocol", "dask_tls"),
        ("scheduler", "--idle-timeout", "distributed.scheduler.idle-timeout in dask_scheduler_config"),
    ],
)
def test_argument_of_the_collection_is_rejected_with_the_variable(kind, argument, variable):
    sentence = only(bad_arguments("dask_x_arguments", [argument, "x"], MANAGED[kind]))
    option = argument.partition("=")[0]
    assert sentence == f"dask_x_arguments: {option} is set by daskops.cluster itself. Use {variable}."


def test_pid_file_is_rejected():
    sentence = only(bad_arguments("dask_scheduler_arguments", ["--pid-file", "/run/x"], SCHEDULER_OPTIONS))
    assert sentence == "dask_scheduler_arguments: --pid-file does not work with systemd. Remove it."


@pytest.mark.parametrize("kind", MANAGED)
def test_every_option_of_dask_is_managed_or_free(kind):
    """A new option of Dask may contradict what the collection sets."""
    options = [one for one in COMMANDS[kind].params if isinstance(one, click.Option)]
    known = {name for one in options for name in [*one.opts, *one.secondary_opts]}
    assert known - MANAGED[kind].keys() - FREE[kind] == {"--pid-file"}
    assert set(MANAGED[kind]) <= known


def test_every_option_of_the_collections_command_lines_is_managed():
    worker = {
        "pool": "", "name": "w1-1", "threads": 1, "memory_limit": 1, "address": "10.0.0.1", "port": 1, "dashboard_port": 2,
        "nanny_port": 3, "contact_host": "",
    }  # fmt: skip
    nannies = {"": {**settings().pools[""], "nanny": True, "resources": {"GPU": 1}}}
    words = {
        "scheduler": scheduler_arguments(settings(scheduler_file="/srv/file"), "10.0.0.1"),
        "worker": [
            *worker_arguments(settings(pools=nannies), worker),
            *worker_arguments(settings(), {**worker, "contact_host": "gate"}),
        ],
    }
    for kind, given in words.items():
        set_here = {word for word in given if word.startswith("--")}
        # A worker's patience is a default that users may change.
        assert set_here - MANAGED[kind].keys() - {"--death-timeout"} == set()


@pytest.mark.parametrize("managed", MANAGED.values())
def test_messages_name_variables(managed):
    assert {name.split()[-1] for name in managed.values()} <= SETTINGS.keys()


def test_notebooks_need_a_token():
    token = {"JUPYTER_TOKEN": "0123456789abcdef"}
    for variables in (
        {},
        {"JUPYTER_TOKEN": "short"},
        {"JUPYTER_TOKEN": "0123456789 abcdef"},
        {"JUPYTER_TOKEN": "é" * 16},
    ):
        sentence = only(open_notebooks(["--jupyter"], variables))
        assert sentence.startswith("dask_scheduler_arguments has --jupyter, with which every account of the host, and")
        assert "Set JUPYTER_TOKEN in dask_environment_variables to at least 16" in sentence
        assert (
            list(open_notebooks(["--jupyter", "--no-jupyter"], variables)) == list(open_notebooks([], variables)) == []
        )
    assert list(open_notebooks(["--jupyter"], token)) == []
