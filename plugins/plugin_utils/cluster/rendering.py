# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text of the files of a release, from the templates of the roles.

Jinja alone renders them, without Ansible: a run renders every file of every host to find out whether anything changes, and
with Ansible's templating that takes 60 ms a host instead of 2.
"""

from __future__ import annotations

import functools
import os
from typing import Any

import jinja2
import yaml

#: The collection's own directory.
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

HEADER = "# Written by daskops.cluster for this release; change dask_config in the inventory instead.\n"


@functools.cache
def _environment() -> jinja2.Environment:
    directories = [os.path.join(ROOT, "roles", role, "templates") for role in ("config", "scheduler", "worker")]
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(directories),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )


def render(template: str, **variables: Any) -> str:
    """The text of a template, by its name in the directories of the roles config, scheduler and worker."""
    return _environment().get_template(template).render(**variables)


_CONFIGURATIONS: dict[str, str] = {}


def configuration_text(configuration: dict[str, Any]) -> str:
    """A configuration as YAML. Hosts mostly have the same one, and YAML takes 10 ms to write."""
    key = repr(configuration)
    if key not in _CONFIGURATIONS:
        text = yaml.safe_dump(configuration, indent=2, allow_unicode=True, default_flow_style=False)
        # The empty line has always been there; without it every host's release would get another name.
        _CONFIGURATIONS[key] = f"{HEADER}{text}\n"
    return _CONFIGURATIONS[key]
