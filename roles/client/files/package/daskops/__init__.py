# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Dask cluster that daskops.cluster provisioned, as Dask's own ``Cluster``."""

from __future__ import annotations

from daskops.cluster import Adaptive, Cluster

__all__ = ["Adaptive", "Cluster"]
