# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real builds of users' projects, and the sources that a new build depends on."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils import projects
from ansible_collections.daskops.cluster.plugins.plugin_utils.environments import TOOLS_LOCK
from ansible_collections.daskops.cluster.plugins.plugin_utils.lock_files import read_lock
from ansible_collections.daskops.cluster.plugins.plugin_utils.projects import (
    BUILD_LOCK,
    Builder,
    ProjectError,
    source_digest,
    wheel_of,
)
from conftest import ROOT
from sample_projects import CachedBuilder, write_project


def tree(directory):
    """Return the content of every file below a directory."""
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def counted(builder, monkeypatch):
    """Return a list that gets an entry with each build."""
    runs, run = [], builder._run
    monkeypatch.setattr(builder, "_run", lambda *arguments: runs.append(arguments[0]) or run(*arguments))
    return runs


# Builds


@pytest.mark.parametrize("backend", ["hatchling", "setuptools", "uv_build"])
def test_project_is_built(tmp_path, backend):
    project = write_project(tmp_path / "project", backend=backend)
    before = tree(project)
    wheel = CachedBuilder(tmp_path / "cache").wheel(str(project))
    assert Path(wheel).name.startswith("analysis-1.4-") and "analysis/__init__.py" in zipfile.ZipFile(wheel).namelist()
    # Only setuptools writes into the sources, as with any build.
    assert {name for name in tree(project).keys() - before.keys() if ".egg-info/" not in name} == set()
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == ["locks", "projects"]


def test_project_is_built_once_for_its_sources(tmp_path, monkeypatch):
    project = write_project(tmp_path / "project", backend="setuptools")
    builder = CachedBuilder(tmp_path / "cache")
    runs = counted(builder, monkeypatch)
    wheel = builder.wheel(str(project))
    assert builder.wheel(str(project)) == wheel and len(runs) == 1
    (project / "src/analysis/more.py").touch()
    other = builder.wheel(str(project))
    assert other != wheel and len(runs) == 2 and "analysis/more.py" in zipfile.ZipFile(other).namelist()
    (project / "src/analysis/more.py").unlink()
    assert builder.wheel(str(project)) == wheel and len(runs) == 2
    # A removed module is not in the next wheel.
    (project / "src/analysis/last.py").touch()
    assert "analysis/more.py" not in zipfile.ZipFile(builder.wheel(str(project))).namelist()


def test_build_uses_no_index(tmp_path, monkeypatch):
    """The build must not ask for a package, neither for one with the name of the project."""
    monkeypatch.setenv("UV_INDEX_URL", "http://127.0.0.1:9/")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9/")
    project = write_project(tmp_path / "project", requires=["no-such-package==1"])
    CachedBuilder(tmp_path / "tools").wheel(str(write_project(tmp_path / "other", "other")))
    assert CachedBuilder(tmp_path / "cache").wheel(str(project))


@pytest.mark.parametrize(
    ("requires", "needs"),
    [('["maturin>=1"]', "maturin>=1"), ('["setuptools==68.0"]', "setuptools==68.0")],
)
def test_build_with_packages_that_the_lock_lacks_is_rejected(tmp_path, requires, needs):
    project = write_project(tmp_path / "project", backend=f"[build-system]\nrequires = {requires}\n")
    with pytest.raises(ProjectError) as error:
        CachedBuilder(tmp_path / "cache").wheel(str(project))
    assert f"the build of {project} needs {needs}, which dask_application_build_lock does not have" in str(error.value)
    assert "Nothing was changed" in str(error.value) and "uv pip compile" in str(error.value)


def test_package_of_a_build_with_another_hash_is_rejected(tmp_path):
    wrong = tmp_path / "build.txt"
    wrong.write_text(re.sub("sha256:.{8}", "sha256:00000000", Path(BUILD_LOCK).read_text()))
    builder = Builder(read_lock(str(wrong))[0], read_lock(TOOLS_LOCK)[0], "", str(tmp_path / "cache"))
    with pytest.raises(ProjectError, match="dask_application_build_lock: .* does not match its hash in the lock"):
        wheel_of(str(write_project(tmp_path / "project")), lambda: builder)
    assert not list((tmp_path / "cache/projects").glob("*/*.whl"))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"setup.py": 'print("\x1b[31mhello\x1b[0m")\nraise SystemExit("this setup fails")\n'}, "this setup fails"),
        ({"pyproject.toml": '[project\nname = "x"\n'}, "TOML parse error at line 1"),
    ],
)
def test_failed_build_shows_its_last_lines(tmp_path, more, said):
    project = write_project(tmp_path / "project", backend="setuptools")
    for name, text in more.items():
        (project / name).write_text(text)
    with pytest.raises(ProjectError) as error:
        CachedBuilder(tmp_path / "cache").wheel(str(project))
    assert str(error.value).startswith(f"dask_application: {project} could not be built, and nothing was changed.")
    assert said in str(error.value) and "\x1b" not in str(error.value)
    assert len(str(error.value).splitlines()) <= projects.LINES + 1
    assert not list((tmp_path / "cache/projects").iterdir())


def test_hanging_build_ends_with_all_its_processes(tmp_path, monkeypatch):
    project = write_project(tmp_path / "project", backend="setuptools")
    pid = tmp_path / "pid"
    (project / "setup.py").write_text(
        f"import os, subprocess\nopen({str(pid)!r}, 'w').write(str(os.getpid()))\nsubprocess.run(['sleep', '600'])\n"
    )
    builder = CachedBuilder(tmp_path / "cache")
    builder._tools()  # may fetch packages
    monkeypatch.setattr(projects, "PATIENCE", 15)
    with pytest.raises(ProjectError, match="did not end within 15 s, and nothing was changed"):
        builder.wheel(str(project))
    status = Path(f"/proc/{pid.read_text()}/stat")
    deadline = time.monotonic() + 10
    while status.exists() and ") Z " not in status.read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not status.exists() or ") Z " in status.read_text()


def test_sources_that_change_during_the_build_are_built_again(tmp_path, monkeypatch):
    project = write_project(tmp_path / "project")
    builder = CachedBuilder(tmp_path / "cache")
    runs, run = [], builder._run

    def change(*arguments):
        runs.append(arguments)
        wheel = run(*arguments)
        if len(runs) < limit:
            (project / "src/analysis/more.py").write_text(f"number = {len(runs)}\n")
        return wheel

    monkeypatch.setattr(builder, "_run", change)
    limit = 2
    wheel = zipfile.ZipFile(builder.wheel(str(project)))
    assert len(runs) == 2 and wheel.read("analysis/more.py") == b"number = 1\n"
    runs.clear()
    limit = 100
    (project / "src/analysis/more.py").unlink()
    (project / "src/analysis/new.py").touch()
    with pytest.raises(ProjectError, match="changed while its wheel was built. Run again when they do not"):
        builder.wheel(str(project))
    assert len(runs) == projects.ATTEMPTS


def git(directory, *arguments):
    command = ["git", "-C", str(directory), "-c", "user.name=a", "-c", "user.email=a@example.org", *arguments]
    subprocess.run(command, check=True, capture_output=True)


def test_version_of_the_repository_is_that_of_the_wheel(tmp_path):
    backend = (
        '[build-system]\nrequires = ["hatchling", "hatch-vcs"]\nbuild-backend = "hatchling.build"\n'
        '[tool.hatch.version]\nsource = "vcs"\n[tool.hatch.build.hooks.vcs]\nversion-file = "src/analysis/_version.py"\n'
    )
    project = write_project(tmp_path / "project", backend=backend)
    text = (project / "pyproject.toml").read_text()
    (project / "pyproject.toml").write_text(text.replace('version = "1.4"', 'dynamic = ["version"]'))
    (project / ".gitignore").write_text("_version.py\n")
    git(project, "init", "--quiet")
    git(project, "add", ".")
    git(project, "commit", "--quiet", "--message=one")
    git(project, "tag", "v1.4")
    builder = CachedBuilder(tmp_path / "cache")
    # The build writes a file into the sources, so it runs twice.
    wheel = builder.wheel(str(project))
    assert "analysis-1.4-" in wheel
    assert builder.wheel(str(project)) == wheel
    git(project, "tag", "v1.5")
    git(project, "tag", "--delete", "v1.4")
    assert "analysis-1.5-" in builder.wheel(str(project))


# Sources


@pytest.fixture
def project(tmp_path):
    return write_project(tmp_path / "project")


@pytest.mark.parametrize(
    "change",
    [
        lambda project: (project / "src/analysis/__init__.py").write_text("answer = 43\n"),
        lambda project: (project / "src/analysis/new.py").touch(),
        lambda project: (project / "src/analysis/__init__.py").chmod(0o755),
        lambda project: (project / "src/analysis/__init__.py").rename(project / "src/analysis/other.py"),
        lambda project: (project / "pyproject.toml").unlink(),
        lambda project: (project / "link").symlink_to(project / "pyproject.toml"),
        lambda project: (project / "dangling").symlink_to("nowhere"),
    ],
)
def test_digest_depends_on_every_file(project, change):
    before = source_digest(str(project))
    assert source_digest(str(project)) == before
    change(project)
    assert source_digest(str(project)) != before


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: os.symlink("/dev/zero", path)])
def test_pipes_and_devices_in_a_project_are_not_read(project, make):
    before = source_digest(str(project))
    make(project / "odd")
    limited = "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (2 << 30,) * 2); sys.path.insert(0, {!r})"
    program = (
        f"{limited.format(str(ROOT / '.collections'))}\n"
        "from ansible_collections.daskops.cluster.plugins.plugin_utils.projects import source_digest\n"
        "print(source_digest(sys.argv[1]))"
    )
    command = [sys.executable, "-c", program, str(project)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() not in ("", before)


def test_digest_depends_on_linked_directories_and_large_files(project, tmp_path):
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared/one.py").touch()
    (project / "src/shared").symlink_to(tmp_path / "shared")
    (project / "src/circle").symlink_to(project)
    with open(project / "data.bin", "wb") as file:
        file.truncate(projects.LARGE + 1)
    digests = [source_digest(str(project))]
    (tmp_path / "shared/one.py").write_text("x = 1\n")
    digests.append(source_digest(str(project)))
    os.utime(project / "data.bin", (1, 1))
    digests.append(source_digest(str(project)))
    assert len(set(digests)) == 3


@pytest.mark.parametrize(
    "path",
    [
        ".git/index",
        "src/analysis/__pycache__/x.pyc",
        ".venv/lib/x.py",
        "env/pyvenv.cfg",
        "env/lib/x.py",
        "src/analysis.egg-info/PKG-INFO",
        ".mypy_cache/x",
    ],
)
def test_digest_ignores_files_of_tools(project, path):
    if path.startswith("env/"):
        (project / "env").mkdir()
        (project / "env/pyvenv.cfg").touch()
    before = source_digest(str(project))
    (project / path).parent.mkdir(parents=True, exist_ok=True)
    (project / path).write_text("changed")
    os.utime(project / "src/analysis/__init__.py", (1, 1))
    assert source_digest(str(project)) == before


# Entries


def unbuilt():
    raise AssertionError("nothing is to be built")


def test_wheel_is_taken_as_it_is(tmp_path):
    (tmp_path / "analysis-1.4-py3-none-any.whl").touch()
    path = str(tmp_path / "analysis-1.4-py3-none-any.whl")
    assert wheel_of(path, unbuilt) == (path, False)


def test_relative_path_starts_in_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "analysis-1.4-py3-none-any.whl").touch()
    monkeypatch.chdir(tmp_path)
    assert wheel_of("analysis-1.4-py3-none-any.whl", unbuilt)[0] == str(tmp_path / "analysis-1.4-py3-none-any.whl")
    with pytest.raises(ProjectError, match="other does not exist on the controller. A relative path starts where"):
        wheel_of("other", unbuilt)


@pytest.mark.parametrize("name", ["directory", "archive.tar.gz", "directory/setup.py"])
def test_other_files_are_rejected(tmp_path, name):
    (tmp_path / "directory").mkdir()
    (tmp_path / "directory/setup.py").touch()
    (tmp_path / "archive.tar.gz").touch()
    with pytest.raises(ProjectError, match="is neither a wheel .* nor a directory with a pyproject.toml"):
        wheel_of(str(tmp_path / name), unbuilt)
