# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compute pi on a cluster with the Monte Carlo method, in several hundred tasks."""

import time

import dask.array as da
from distributed import Client


def main():
    with Client() as client:
        start = time.perf_counter()
        x, y = (da.random.default_rng(seed).random(20_000_000, chunks=100_000) for seed in (1, 2))
        inside = (x**2 + y**2 <= 1).mean()
        pi = 4 * inside.compute()
        seconds = time.perf_counter() - start
        tasks = len(inside.__dask_graph__())
        print(f"pi is about {pi:.4f}: {tasks} tasks on {len(client.nthreads())} workers in {seconds:.1f} s")


if __name__ == "__main__":
    main()
