# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Preload of a nanny: ``--preload-nanny daskops_runtime.nanny``. Dask's command line ignores the setting for this."""

from __future__ import annotations

import os

from distributed import Nanny

from daskops_runtime import certificates, registration, shutdown, systemd


async def dask_setup(nanny: Nanny) -> None:
    certificates.start(nanny, systemd.notify)
    await systemd.start(nanny)
    registration.start(nanny)


async def dask_teardown(nanny: Nanny) -> None:
    shutdown.stay_down_if_marked(os.environ.get("RUNTIME_DIRECTORY"))
    systemd.stop(nanny)
    certificates.stop(nanny)
