# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a module as ``python -m`` does, but import nothing that a task may have written.

``run.sh`` starts everything as ``python launch.py MODULE ARGUMENTS``. The working directory is the home of the services'
user, where tasks write. ``python -m`` and ``python -c`` import from it first: a ``click.py`` there, as in a project that a
task has unpacked, would keep every service from starting. Python 3.11 has the option ``-P`` for that.
"""

from __future__ import annotations

import contextlib
import os
import runpy
import sys
from collections.abc import Iterator, Sequence

#: Directory in a scratch directory, for all workers. Dask puts it in front of a nanny's `sys.path` and so of its worker's.
SCRATCH = "dask-scratch-space"


def is_scratch(path: str) -> bool:
    """Whether a directory is the one that all workers with the same scratch directory share."""
    return os.path.basename(path.rstrip("/")) == SCRATCH


class Nothing:
    """A finder that finds no module."""

    @staticmethod
    def find_spec(name: str, target: object = None) -> None:
        return None


def find_nothing_in_scratch(path: str) -> Nothing:
    """Handle the scratch directory as a hook of `sys.path_hooks`; raises ImportError for any other."""
    if is_scratch(path):
        return Nothing()
    raise ImportError


@contextlib.contextmanager
def elsewhere() -> Iterator[None]:
    """Be in the root directory for a moment, in which nobody but root can write."""
    before = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    os.chdir("/")
    try:
        yield
    finally:
        os.fchdir(before)
        os.close(before)


def protect_children() -> None:
    """Keep processes that `multiprocessing` spawns, such as a nanny's worker, to the same."""
    from multiprocessing import spawn, util

    prepare, start = spawn.get_preparation_data, util.spawnv_passfds

    def get_preparation_data(name: str) -> dict[str, object]:
        data = prepare(name)
        # The scratch directory goes last: a worker may import from there what a client has uploaded (`UploadDirectory`), but
        # nothing that the environment has.
        data["sys_path"] = sorted(data.get("sys_path", []), key=is_scratch)
        return data

    def spawnv_passfds(path: bytes, args: Sequence, passfds: Sequence[int]) -> int:
        # The child's first import is from its working directory. Then it goes where `get_preparation_data` says.
        with elsewhere():
            return start(path, args, passfds)

    spawn.get_preparation_data = get_preparation_data
    if not getattr(sys.flags, "safe_path", False):  # children have -P where their parent has it
        util.spawnv_passfds = spawnv_passfds


def main() -> None:
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if path not in ("", here)]
    del sys.argv[0]
    sys.path_hooks.insert(0, find_nothing_in_scratch)
    if not sys.argv[0].startswith("daskops_runtime."):  # what stops a service has no children
        protect_children()
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
