# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Complete configuration files of other projects as dask_config: the problems and warnings of each."""

from pathlib import Path

import dask
import pytest
import yaml
from daskops_runtime import validate_config

FILES = Path(__file__).parent / "configurations"

OWN = "is set by daskops.cluster itself. Remove it, and use"
NANNY = "has no effect, because there is no nanny. Set dask_worker_nanny to true, or remove the setting:"
TERMINATE = f"distributed.worker.memory.terminate {NANNY} the unit's MemoryMax ends a worker that uses too much memory."
OTHERS = "No service of this cluster reads it. Remove it."

# The problems and the warnings for each file on worker hosts.
SAID = {
    "dask_2": (
        [
            f"distributed.worker.preload {OWN} dask_worker_preloads instead.",
            f"distributed.comm.default-scheme {OWN} dask_tls instead.",
            f"distributed.comm.require-encryption {OWN} dask_tls instead.",
            f"distributed.comm.tls.ca-file {OWN} dask_tls_certificates instead.",
            f"distributed.comm.tls.scheduler.cert {OWN} dask_tls_certificates instead.",
            "distributed.logging has the level chatty for distributed. Use one of debug, info, warning, error, critical.",
            "distributed.scheduler.transition-log-length was renamed to distributed.admin.low-level-log-length.",
            f"distributed.scheduler.pickle is not a setting of Dask {dask.__version__}. Correct or remove it.",
            "distributed.comm.recent-messages-log-length was renamed to distributed.admin.low-level-log-length.",
        ],
        [
            "repeats Dask's defaults for 11 settings of daskops.cluster, such as distributed.comm.tls.client.cert. These "
            "have no effect. Its other settings replace those of daskops.cluster. Remove the settings that you do not "
            "want to change."
        ],
    ),
    "gateway": ([], [f"gateway is for dask-gateway. {OTHERS}", f"labextension is for dask-labextension. {OTHERS}"]),
    "jobqueue": (
        [
            f"distributed.worker.lifetime.duration {OWN} dask_worker_lifetime instead. Dask's own lifetime does not "
            "wait for running tasks.",
            f"distributed.worker.lifetime.stagger {OWN} dask_worker_lifetime_stagger instead.",
            f"distributed.worker.lifetime.restart {OWN} dask_worker_lifetime instead.",
            f"temporary-directory {OWN} dask_worker_scratch_directory instead. For the temporary files of tasks, set "
            "TMPDIR in dask_environment_variables.",
        ],
        [f"jobqueue is for dask-jobqueue. {OTHERS}"],
    ),
    "kubernetes": (
        [],
        [
            f"kubernetes is for dask-kubernetes. {OTHERS}",
            "distributed.scheduler.idle-timeout closes an idle scheduler. systemd then restarts it and all workers. "
            "Remove it to keep the cluster running.",
        ],
    ),
    "laptop": (
        [],
        [TERMINATE, f"distributed.nanny.environ {NANNY} environment variables belong in dask_environment_variables."],
    ),
    "rapids": ([], [TERMINATE]),
}


def read(name):
    return yaml.safe_load((FILES / f"{name}.yaml").read_text())


def ask(name, kind):
    """Return the problems and warnings of a file, without the configuration that the collection adds."""
    about = {"asked": {"dask_config": read(name)}, "variables": {}, "nanny": kind == "scheduler"}
    problems = validate_config.find_problems(kind, read(name), **about, namespaces=[], error_monitor=False, pools={})
    return problems, validate_config.find_warnings(kind, **about)


@pytest.mark.parametrize("name", SAID)
def test_problems_and_warnings_of_a_configuration_file(name):
    problems, warnings = ask(name, "worker")
    expected = [f"dask_config{' ' if said.startswith('repeats') else ': '}{said}" for said in SAID[name][1]]
    assert (problems, warnings) == ([f"dask_config: {said}" for said in SAID[name][0]], expected)
    # On the scheduler's host, the warnings about nannies are missing: only worker hosts know whether they have nannies.
    of_scheduler = [said for said in warnings if "there is no nanny" not in said]
    assert ask(name, "scheduler") == (problems, of_scheduler)


def test_all_configuration_files_are_tested():
    assert {path.stem for path in FILES.iterdir()} == set(SAID)
