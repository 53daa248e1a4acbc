# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check that all hosts of a play have the same packages, on the controller."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.daskops.cluster.plugins.plugin_utils._action import Action
from ansible_collections.daskops.cluster.plugins.plugin_utils.planning import odd_ones_out
from ansible_collections.daskops.cluster.plugins.plugin_utils.refusals import refuse


def differences(environments: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Yield a sentence for each host whose packages differ from those of most. ``environments`` has packages by host."""
    common, odd = odd_ones_out({host: tuple(sorted(packages.items())) for host, packages in environments.items()})
    for host, packages in sorted(odd.items()):
        names = sorted({name for name, dummy in set(packages) ^ set(common)})
        versions = [
            f"{name} {dict(packages).get(name, 'missing')} (others: {dict(common).get(name, 'missing')})"
            for name in names
        ]
        yield (
            f"{host} has other packages than the other hosts: {', '.join(versions)}. Give every host the same architecture "
            "and Python, or a lock without markers that tell them apart."
        )


class ActionModule(Action):
    """See the documentation of the module of the same name."""

    _requires_connection = False

    def act(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        # In check mode an environment that does not exist yet has no packages to compare.
        packages = {host: about["packages"] for host, about in arguments["environments"].items() if about}
        return refuse({}, differences(packages))
