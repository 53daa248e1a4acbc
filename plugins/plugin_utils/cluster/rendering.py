# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Render the templates of the roles into the files of a release.

Each run renders all files of all hosts to find changes. Jinja without Ansible's templating takes 2 ms a host, and with it
60 ms.
"""

from __future__ import annotations

import functools
import os
from typing import Any

import jinja2
import yaml

#: Directory of the collection.
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
    """Return the text of a rendered template of the roles config, scheduler or worker."""
    return _environment().get_template(template).render(**variables)


_CONFIGURATIONS: dict[str, str] = {}


def configuration_text(configuration: dict[str, Any]) -> str:
    """Return a configuration as YAML. Cached, because most hosts have the same one, and writing YAML takes 10 ms."""
    key = repr(configuration)
    if key not in _CONFIGURATIONS:
        text = yaml.safe_dump(configuration, indent=2, allow_unicode=True, default_flow_style=False)
        # Keep the empty line, because without it the release of every host would get another id.
        _CONFIGURATIONS[key] = f"{HEADER}{text}\n"
    return _CONFIGURATIONS[key]
