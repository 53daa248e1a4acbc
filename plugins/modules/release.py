#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The action plugin of the same name does the work; this is its documentation.

from __future__ import annotations

DOCUMENTATION = r"""
module: release
short_description: Stage a release of a host's Dask services
version_added: "0.1.0"
description:
  - Renders the files of a release on the controller, and writes them into one directory on the host, in one execution.
  - A release is immutable and named by its content. Staging a release does not change services. To change the services to
    it, use M(daskops.cluster.services).
  - Validates the user's settings with the Dask of the environment before it stages the release. Fails and stages nothing if
    Dask rejects a setting, or if a preload module or a module with routes cannot be imported.
  - Warns about settings without effect, such as settings of nannies for workers without a nanny.
  - Nothing is executed on a host that runs the release already, according to the plan.
author:
  - The daskops.cluster authors (@daskops)
extends_documentation_fragment:
  - daskops.cluster.internal
  - daskops.cluster.attributes.linux
attributes:
  check_mode:
    support: full
    description: Reports whether the release would be written. Validates settings only if the environment is already built.
  diff_mode:
    support: full
    description: Shows the difference from the current release, by file.
options:
  plan:
    description:
      - What M(daskops.cluster.plan) returned. The release is rendered from the variables of the collection, and rejected if
        it is not the planned one.
      - The lines of C(dask_environment_setup) are executed as the services' account. Nothing is staged if one of them fails.
      - The environment's own Dask is asked about the user's settings before the release is staged. Nothing is staged if Dask
        rejects one of them, or if a preload module or a module with routes cannot be imported. Settings that change nothing,
        such as those of nannies where there are none, give a warning.
      - In check mode nothing is validated while the environment is not built.
    type: dict
    required: true
  environment_built:
    description:
      - Whether the run builds the environment.
      - In check mode, a missing environment is then not an error, because a real run would have built it.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Stage the release
  daskops.cluster.release:
    plan: "{{ plan }}"
"""

RETURN = r"""
msg:
  description: The settings that the Dask of the environment rejects, or another reason why the release was not staged.
  type: str
  returned: failure
"""
