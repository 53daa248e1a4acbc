# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services in a home that contains modules with the names that Python, Dask and the collection import."""

import contextlib
import json
import os
import signal
import subprocess
import sys

import pytest
from conftest import RUNTIME, wait_until
from distributed import Client

NAMES = [
    "asyncio", "click", "dask", "daskops_runtime", "distributed", "encodings", "importlib", "json", "logging",
    "multiprocessing", "os", "pickle", "re", "runpy", "signal", "sitecustomize", "socket", "threading", "usercustomize",
    "yaml",
]  # fmt: skip
LAUNCH = RUNTIME / "daskops_runtime/launch.py"

#: Options that run.sh gives to Python 3.11 and later, and to older versions.
WAYS = [["-s", "-P"], ["-s"]]


@pytest.fixture
def home(tmp_path):
    """Return a home with such modules in all import paths. A module that is imported fails the test."""
    minor = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    places = [".", "scratch/dask-scratch-space", f".local/lib/{minor}/site-packages"]
    for place in places:
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        for name in NAMES:
            text = f"open({str(tmp_path / 'imported')!r}, 'a').write('{place} {name} ')\nraise SystemExit(1)\n"
            (tmp_path / place / f"{name}.py").write_text(text)
    yield tmp_path
    assert not (tmp_path / "imported").exists(), (tmp_path / "imported").read_text()


def command(way, module, *arguments):
    return [sys.executable, *way, str(LAUNCH), module, *map(str, arguments)]


def variables(home):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DASK", "PYTHON"))}
    return {**kept, "HOME": str(home), "PYTHONPATH": str(RUNTIME), "DASK_CONFIG": os.devnull}


@contextlib.contextmanager
def running(home, way, module, *arguments):
    with subprocess.Popen(
        command(way, module, *arguments),
        cwd=home,
        env=variables(home),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def make_task():
    """Return a task as a closure, because services cannot import this file.

    The task runs a program that imports a module from the working directory, and returns the import paths of the worker.
    """

    def use(path):
        import subprocess
        import sys

        with open("executed.log", "w") as log:
            log.write(subprocess.check_output([sys.executable, "-c", "import own; own.say()"], text=True))
        return [one for one in sys.path if one == "" or one == path or "dask-scratch-space" in one]

    return use


@pytest.mark.parametrize("way, nanny", [(WAYS[0], False), (WAYS[0], True), (WAYS[1], True)])
def test_services_start_in_a_home_with_modules(home, way, nanny):
    local = ["--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0", "--no-dashboard"]
    file = home / "scheduler.json"
    scheduler = ["distributed.cli.dask_scheduler", *local, "--port", 0, "--scheduler-file", file]
    worker = ["distributed.cli.dask_worker", *local, "--scheduler-file", file, "--nthreads", 1, "--local-directory"]
    worker += [home / "scratch", "--preload", "daskops_runtime.worker"]
    worker += ["--nanny", "--preload-nanny", "daskops_runtime.nanny"] if nanny else ["--no-nanny"]
    with running(home, way, *scheduler, "--preload", "daskops_runtime.scheduler") as process:
        wait_until(lambda: process.poll() is not None or (file.exists() and file.read_text()))
        assert process.poll() is None, process.stderr.read()
        with running(home, way, *worker) as process:
            with Client(json.loads(file.read_text())["address"], set_as_default=False, timeout=20) as client:
                wait_until(lambda: process.poll() is not None or client.scheduler_info()["workers"])
                assert process.poll() is None, process.stderr.read()
                for name in NAMES:
                    (home / f"{name}.py").unlink()  # a user's own program may import from its directory
                (home / "own.py").write_text("def say():\n    print('said')\n")
                places = client.submit(make_task(), str(home)).result(timeout=20)
    assert (home / "executed.log").read_text() == "said\n"
    # The worker's own directory, for uploaded files, comes first; the scratch directory of all workers comes last.
    assert os.path.basename(places[0]).startswith("worker-")
    assert places[1:] == ([str(home / "scratch/dask-scratch-space")] if nanny else [])


@pytest.mark.parametrize("way", WAYS)
def test_stop_runs_in_a_home_with_modules(home, way):
    done = subprocess.run(
        command(way, "daskops_runtime.stop"), cwd=home, env=variables(home), capture_output=True, text=True, timeout=20
    )
    assert (done.returncode, done.stdout) == (
        1,
        "RUNTIME_DIRECTORY is not set. Run this program from ExecStop= of a worker's unit\n",
    )


def test_objects_of_dask_are_excluded_from_garbage_collection(tmp_path):
    (tmp_path / "own.py").write_text(
        "import gc, sys\nprint(gc.isenabled(), gc.get_freeze_count() > 10_000, 'distributed' in sys.modules)\n"
    )
    done = subprocess.run(
        command(WAYS[0], "own"), env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert done.stdout == "True True True\n", done.stderr


@pytest.mark.parametrize("way", WAYS)
def test_module_gets_its_arguments(tmp_path, way):
    (tmp_path / "own").mkdir()
    (tmp_path / "own/__main__.py").write_text("import sys\nprint(sys.argv, __name__, __spec__.name)\n")
    done = subprocess.run(
        command(way, "own", "a", "--b c"), env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.stdout == f"{[str(tmp_path / 'own/__main__.py'), 'a', '--b c']} __main__ own.__main__\n", done.stderr


@pytest.mark.parametrize("way", WAYS)
def test_import_paths_come_last(tmp_path, way):
    """A module of a user must not replace one of Python or of the environment."""
    for name in ("own", "more"):
        (tmp_path / name).mkdir()
    (tmp_path / "own/own.py").write_text(
        "import sys, click, json, shared\nprint(click.__file__, json.__file__, shared.__file__, *sys.path[-2:])\n"
    )
    for name in ("click", "json", "shared"):
        (tmp_path / f"more/{name}.py").touch()
    code = [str(tmp_path / "more"), "/not/there"]
    environment = {"PYTHONPATH": str(tmp_path / "own"), "DASKOPS_IMPORT_PATHS": ":".join(code)}
    done = subprocess.run(command(way, "own"), env=environment, capture_output=True, text=True)
    click, json_file, shared, *last = done.stdout.split()
    assert str(tmp_path) not in click and str(tmp_path) not in json_file, done.stderr
    assert (shared, last) == (f"{tmp_path}/more/shared.py", code)
