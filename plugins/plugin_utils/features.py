# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find features of a cluster whose packages are missing from its environment. Pure functions.

Dask runs without these packages and reports no error. Without `prometheus-client`, for example, ``/metrics`` answers HTTP
200 with a comment.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils._packaging import (
    InvalidVersion,
    Version,
    canonicalize_name,
)

#: Oldest version of bokeh with which the dashboard works (``distributed.versions.BOKEH_REQUIREMENT``).
BOKEH = "3.1"

#: Alternative packages of a feature, starting with the usual one, and the effect of their absence.
ALWAYS = [
    (("prometheus-client",), "/metrics of the scheduler and the workers is empty, so monitoring does not work"),
    (("bokeh",), "the dashboard has no pages"),
    (("lz4", "python-snappy"), "workers write data that they spill to disk uncompressed"),
]
GPU = (("nvidia-ml-py", "pynvml"), "the dashboard and /metrics do not show GPUs")


def lacking(packages: Mapping[str, str | None], variable: str, gpus: bool = False) -> Iterator[str]:
    """Yield a sentence for each used feature whose package is missing.

    Parameters
    ----------
    packages : dict
        Version by package of an environment. An unknown version is empty.
    variable : str
        Name of the variable with the environment.
    gpus : bool
        Whether workers have GPUs.
    """
    versions: dict[str, str | None] = {canonicalize_name(name): version for name, version in packages.items()}
    for needed, loss in [*ALWAYS, *([GPU] if gpus else [])]:
        if not any(name in versions for name in needed):
            yield f"The environment has no {' or '.join(needed)}: {loss}. Add {needed[0]} to {variable}."
        elif needed == ("bokeh",) and _is_older(versions["bokeh"], BOKEH):
            yield (
                f"The environment has bokeh {versions['bokeh']}, which is older than {BOKEH}: {loss}. Use a newer version "
                f"in {variable}."
            )


def _is_older(version: str | None, least: str) -> bool:
    """Return whether a version is older than another; False if the version is not valid."""
    try:
        return Version(version or "") < Version(least)
    except InvalidVersion:
        return False


def lacking_in(
    environments: Mapping[str, Mapping[str, Any]], plans: Mapping[str, Iterable[Mapping[str, Any]]], variable: str
) -> list[str]:
    """Return the sentences of `lacking` for environments and planned workers by host, without duplicates."""
    gpus = {host: any(worker.get("gpu") for worker in plans.get(host, [])) for host in environments}
    return _sentences(((about["packages"], gpus[host]) for host, about in environments.items()), variable)


def lacking_on(
    infos: Mapping[str, Mapping[str, Any]],
    plans: Mapping[str, Mapping[str, Any]],
    environments: Mapping[str, Mapping[str, Any]],
    variable: str,
) -> list[str]:
    """Return the sentences of `lacking` for hosts, without duplicates.

    Parameters
    ----------
    infos, plans, environments : dict
        What `host_info` and `plan_host` returned, and the planned environment, by host. The last two are empty in runs
        that change nothing.
    variable : str
        Name of the variable with the environment.
    """
    used = []
    for host, info in infos.items():
        gpus = any(worker.get("gpu") for worker in plans.get(host, {}).get("workers", []))
        planned = environments.get(host, {}).get("packages")
        running = [about["packages"] for about in info.get("versions", []) if about["packages"]]
        used += [(packages, gpus) for packages in ([planned] if planned else running)]
    return _sentences(used, variable)


def _sentences(used: Iterable[tuple[Mapping[str, str | None], bool]], variable: str) -> list[str]:
    """Return the sentences of `lacking` without duplicates. Most hosts have the same packages, which are read once."""
    known: list[tuple[Mapping[str, str | None], bool]] = []
    found: dict[str, None] = {}
    for one in used:
        if one not in known:
            known.append(one)
            found.update(dict.fromkeys(lacking(one[0], variable, one[1])))
    return list(found)
