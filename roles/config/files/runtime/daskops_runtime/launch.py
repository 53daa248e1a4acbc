# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a module like ``python -m``, but do not import files that a task may have written.

``run.sh`` starts all programs as ``python launch.py MODULE ARGUMENTS``. The working directory is the home of the services'
account, in which tasks can write. ``python -m`` and ``python -c`` import from the working directory first, so a ``click.py``
in it would prevent every service from starting. Python 3.11 and newer have the option ``-P`` against this.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import runpy
import sys
from collections.abc import Iterator, Sequence

#: Directory that Dask creates in the scratch directory for all workers. Dask puts it first in the `sys.path` of nannies and
#: their workers.
SCRATCH = "dask-scratch-space"


def is_scratch(path: str) -> bool:
    """Return whether a path is the directory that workers with the same scratch directory share."""
    return os.path.basename(path.rstrip("/")) == SCRATCH


class Nothing:
    """A finder that finds no module."""

    @staticmethod
    def find_spec(name: str, target: object = None) -> None:
        return None


def find_nothing_in_scratch(path: str) -> Nothing:
    """Return a finder that finds no module, for the scratch directory. A hook of `sys.path_hooks`.

    Raises ImportError for any other path.
    """
    if is_scratch(path):
        return Nothing()
    raise ImportError


@contextlib.contextmanager
def elsewhere() -> Iterator[None]:
    """Change the working directory to /, in which only root can write, in a ``with`` block."""
    before = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    os.chdir("/")
    try:
        yield
    finally:
        os.fchdir(before)
        os.close(before)


def protect_children() -> None:
    """Apply the same rules to processes that `multiprocessing` spawns, such as a nanny's worker."""
    from multiprocessing import spawn, util

    prepare, start = spawn.get_preparation_data, util.spawnv_passfds

    def get_preparation_data(name: str) -> dict[str, object]:
        data = prepare(name)
        # Put the scratch directory last. A worker can import modules that a client has uploaded (`UploadDirectory`), but the
        # modules of the environment come first.
        data["sys_path"] = sorted(data.get("sys_path", []), key=is_scratch)
        return data

    def spawnv_passfds(path: bytes, args: Sequence, passfds: Sequence[int]) -> int:
        # The child imports from its working directory once, then changes to the directory of `get_preparation_data`.
        with elsewhere():
            return start(path, args, passfds)

    spawn.get_preparation_data = get_preparation_data
    if not getattr(sys.flags, "safe_path", False):  # with -P, children get the option as well
        util.spawnv_passfds = spawnv_passfds


def application_modules() -> str:
    """Return the directory of the modules of the application of the release with this file; empty if it has none."""
    release = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    link = os.path.join(release, "application")
    return os.path.join(os.path.realpath(link), "modules") if os.path.islink(link) else ""


def add_import_paths() -> None:
    """Add the user's directories to the import path of the process and its children.

    They come last, so that a module in them cannot replace a module of Python, the environment or the collection.
    """
    paths = [application_modules(), *os.environ.get("DASKOPS_IMPORT_PATHS", "").split(":")]
    sys.path += [path for path in paths if path and path not in sys.path]


def import_dask() -> None:
    """Import Dask without garbage collection, and exclude its objects from later collections.

    Garbage collections take a tenth of the import time and free no memory.
    """
    gc.disable()
    try:
        importlib.import_module("distributed")
    finally:
        gc.freeze()
        gc.enable()


def wait_if_on_standby() -> None:
    """Wait outside of the hours of this unit's worker, and while the scheduler does not want the worker.

    ``DASKOPS_STANDBY`` has the scheduler's address. Only units of workers have it.
    """
    address = os.environ.pop("DASKOPS_STANDBY", "")
    if address and (os.environ.get("DASKOPS_SCALING") or os.path.lexists(os.environ.get("DASKOPS_HOURS", ""))):
        importlib.import_module("daskops_runtime.standby").wait_until_wanted(address, sys.argv)


def main() -> None:
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if path not in ("", here)]
    del sys.argv[0]
    add_import_paths()
    sys.path_hooks.insert(0, find_nothing_in_scratch)
    if not sys.argv[0].startswith("daskops_runtime."):  # `stop` starts no children
        if os.environ.get("NOTIFY_SOCKET"):
            importlib.import_module("daskops_runtime.restart_count").start()
        wait_if_on_standby()
        protect_children()
        import_dask()
        if any("[" in word for word in sys.argv):  # an IPv6 address
            importlib.import_module("daskops_runtime.ipv6").start()
        if "--jupyter" in sys.argv:
            importlib.import_module("daskops_runtime.notebooks").start()
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
