# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a cluster does only with certain packages in its environment. Pure functions.

Dask goes on without these packages and tells nobody: without `prometheus-client`, for example, ``/metrics`` answers 200
with a comment.
"""

from __future__ import annotations

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

#: The least version that the dashboard works with, as ``distributed.versions.BOKEH_REQUIREMENT`` has it.
BOKEH = "3.1"

#: Packages of which one is needed, the first being the usual one, and what does not work without them.
ALWAYS = [
    (("prometheus-client",), "/metrics of the scheduler and the workers is empty, so there is nothing to monitor"),
    (("bokeh",), "the dashboard has no pages"),
    (("lz4", "python-snappy"), "workers write data that they spill to disk uncompressed"),
]
GPU = (("nvidia-ml-py", "pynvml"), "the dashboard and /metrics tell nothing of GPUs")


def lacking(packages, gpus=False):
    """A sentence for each feature in use whose package is missing.

    Parameters
    ----------
    packages : dict
        Version by package of an environment; the version may be empty where it is not known.
    gpus : bool
        Whether workers have GPUs.
    """
    versions = {canonicalize_name(name): version for name, version in packages.items()}
    for needed, loss in [*ALWAYS, *([GPU] if gpus else [])]:
        if not any(name in versions for name in needed):
            yield f"The environment has no {' or '.join(needed)}: {loss}. Add {needed[0]} to dask_environment_lock."
        elif needed == ("bokeh",) and _is_older(versions["bokeh"], BOKEH):
            yield (
                f"The environment has bokeh {versions['bokeh']}, which is older than {BOKEH}: {loss}. Take a newer one into "
                "dask_environment_lock."
            )


def _is_older(version, least):
    try:
        return Version(version) < Version(least)
    except (InvalidVersion, TypeError):
        return False


def lacking_in(environments, plans):
    """The sentences of `lacking`, each once, for environments and the workers that are planned for them, both by host."""
    found = {}
    for host, environment in environments.items():
        gpus = any(worker.get("gpu") for worker in plans.get(host, []))
        found.update(dict.fromkeys(lacking(environment["packages"], gpus)))
    return list(found)


def lacking_on(seen, plans, environments):
    """The sentences of `lacking` for hosts, each once.

    Parameters
    ----------
    seen, plans, environments : dict
        What `host_info` and `plan_host` returned and the environment that is planned, by host; nothing is planned in runs
        that only ask.
    """
    found = {}
    for host, info in seen.items():
        gpus = any(worker.get("gpu") for worker in plans.get(host, {}).get("workers", []))
        planned = environments.get(host, {}).get("packages")
        running = [about["packages"] for about in info.get("versions", []) if about["packages"]]
        for packages in [planned] if planned else running:
            found.update(dict.fromkeys(lacking(packages, gpus)))
    return list(found)
