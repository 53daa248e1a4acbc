#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The action plugin of the same name does the work; this is its documentation.

from __future__ import annotations

DOCUMENTATION = r"""
module: trial
short_description: Start a staged release beside the running services, as a trial
version_added: "0.1.0"
description:
  - Starts the scheduler of a release, and one worker of each pool, which connects to this scheduler. They use the units of
    the release with its user and sandbox, but listen on free ports of C(127.0.0.1) and have separate directories.
  - Waits until every service has reported readiness to systemd, and the scheduler has answered C(/status) and C(/health).
    Then stops and removes the services, even if the module fails or is interrupted. If the module is killed, its services
    end half a minute after O(timeout).
  - Fails with the last lines of the journal and with the variable that is the probable cause. Does not change the running
    services.
  - Requires a release that M(daskops.cluster.release) staged.
author:
  - The daskops.cluster authors (@daskops)
extends_documentation_fragment:
  - daskops.cluster.internal
  - daskops.cluster.attributes.linux
attributes:
  check_mode:
    support: full
    description: Starts nothing, and reports the services that would be started.
  diff_mode:
    support: none
    description: The module changes nothing.
options:
  plan:
    description:
      - Result of M(daskops.cluster.plan), which contains the services of the trial.
      - If the scheduler is not one of them, the workers connect to a scheduler without a configuration. It runs in the
        sandbox of the first worker.
    type: dict
    required: true
  timeout:
    description: Seconds to wait until all services have started.
    type: int
    default: 120
"""

EXAMPLES = r"""
- name: Try the release beside the running services
  daskops.cluster.trial:
    plan: "{{ plan }}"
"""

RETURN = r"""
msg:
  description: The services that the trial started. In check mode, the services that it would start.
  type: str
  returned: always
seconds:
  description: Duration of the trial, in seconds.
  type: float
  returned: success, unless in check mode
unit:
  description: The service that does not start.
  type: str
  returned: failure of a service
"""
