# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's own code: its versions in a diff, its modules that services would not import, and those they import."""

import os
import shutil
import subprocess
import sys

import pytest
from ansible_collections.daskops.cluster.plugins.action.application import versions
from conftest import RUNTIME
from daskops_runtime.application import find_hidden


def test_diff_names_a_wheel_that_changed_without_its_version():
    one, two = (versions({"id": name, "packages": {"analysis": "1.4"}}) for name in ("a1", "a2"))
    assert (one, two) == ({"analysis": "1.4 (in a1)"}, {"analysis": "1.4 (in a2)"}) and versions({}) == {}


def write(directory, *paths):
    for path in paths:
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).touch()
    return str(directory)


@pytest.mark.parametrize(
    ("own", "others", "hidden"),
    [
        (["analysis/__init__.py", "tools.py"], ["dask/__init__.py"], {}),
        (["dask/__init__.py"], ["dask/__init__.py"], {"dask": "dask"}),
        (["dask.py"], ["dask/__init__.py"], {"dask": "dask"}),
        (["lz4/__init__.py"], ["lz4.cpython-311-x86_64-linux-gnu.so"], {"lz4": "lz4.cpython-311-x86_64-linux-gnu.so"}),
        (["json.py"], [], {"json": ""}),
        # Several distributions may have parts of a package without __init__.py.
        (["company/analysis/__init__.py"], ["company/core/__init__.py"], {}),
        (["company/core/x.py"], ["company/core/__init__.py"], {"company.core": "company/core"}),
        (["company/core/x.py"], ["company/core/y.py"], {}),
        (["company/core/x.py"], ["company/core/x.py"], {"company.core.x": "company/core/x.py"}),
        # A package with __init__.py hides such parts in earlier directories.
        (["company/__init__.py"], ["company/core/x.py"], {"company": "company"}),
        (["docs/__init__.py"], ["docs/index.txt"], {}),
        (["data/x.txt"], ["data/__init__.py"], {"data": "data"}),
        (["analysis-1.0.dist-info/METADATA", "__pycache__/x.pyc", "README.txt"], ["README.txt"], {}),
    ],
)
def test_hidden_modules_are_found(tmp_path, own, others, hidden):
    directory = write(tmp_path / "own", *own)
    environment = write(tmp_path / "environment", *others)
    found = dict(find_hidden(directory, [str(tmp_path / "missing"), environment]))
    assert found == {name: place and f"{environment}/{place}" for name, place in hidden.items()}


def test_processes_import_the_application_of_their_release(tmp_path):
    """As `run.sh` starts them: the link leads to another application after `current` changes, which must not matter."""
    release = tmp_path / "release"
    shutil.copytree(RUNTIME, release / "python")
    for name in ("one", "two"):
        write(tmp_path / name, "modules/analysis/__init__.py")
        (tmp_path / name / "modules/analysis/__init__.py").write_text(f"name = '{name}'\n")
        (tmp_path / name / "modules/analysis/late.py").write_text(f"name = '{name}'\n")
    (release / "application").symlink_to(tmp_path / "one")
    (release / "python/service.py").write_text(
        "import analysis\nprint(analysis.name, flush=True)\ninput()\nimport analysis.late\nprint(analysis.late.name)\n"
    )
    command = [sys.executable, "-s", str(release / "python/daskops_runtime/launch.py"), "service"]
    environment = {"PYTHONPATH": str(release / "python"), "DASK_CONFIG": os.devnull}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout.readline() == "one\n"
        (release / "application").unlink()
        (release / "application").symlink_to(tmp_path / "two")
        assert process.communicate("\n", timeout=60)[0] == "one\n"
