# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules that the scheduler, the workers and the nannies of a `daskops.cluster` cluster load in addition to Dask.

`scheduler`, `worker` and `nanny` are preload modules. `summary`, `worker_proxy` and `shutdown` are modules with HTTP
routes. The other modules are parts of these. No module does anything on import, because Dask imports a preload module up
to three times.
"""
