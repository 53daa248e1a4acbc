# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the wheels of users' projects on the controller, once for each content of their sources.

A build runs with the rights of the account that runs ``ansible-playbook``, and without a network: the packages that it needs
are fetched before, and each is checked against its hash in a lock.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from ansible_collections.daskops.cluster.plugins.module_utils.host_lock import HostLockError, locked
from ansible_collections.daskops.cluster.plugins.module_utils.untrusted import printable
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.manifest import digest
from ansible_collections.daskops.cluster.plugins.plugin_utils.environments import TOOLS_LOCK
from ansible_collections.daskops.cluster.plugins.plugin_utils.locks import Lock, PackagesError, select
from ansible_collections.daskops.cluster.plugins.plugin_utils.packages import download, own_python, unpack_uv
from ansible_collections.daskops.cluster.plugins.plugin_utils.progress import begins

#: The lock of packages that common builds need.
BUILD_LOCK = os.path.join(os.path.dirname(TOOLS_LOCK), "build.txt")

#: Part of the name of every built wheel. Increase it when the way projects are built changes.
RECIPE = 1

#: Seconds that a build may take, and that a run waits for the build of another run.
PATIENCE = 1800

#: Lines of a build's output in a message.
LINES = 12

#: How often a build is repeated if the sources change while it runs.
ATTEMPTS = 3

#: Files up to this size, in bytes, are compared by their content, and larger ones by their size and time.
LARGE = 1024**2

#: Directories that belong to tools, not to the sources. A build with setuptools writes `*.egg-info`.
TOOLS = re.compile(
    r"\.git|\.hg|\.svn|\.venv|\.tox|\.nox|\.cache|\.(mypy|ruff|pytest)_cache|\.hypothesis|\.idea|\.vscode|__pycache__|"
    r"node_modules|.*\.egg-info"
)

#: Files that show that a directory is an environment.
ENVIRONMENTS = ("pyvenv.cfg", "conda-meta")


class ProjectError(ValueError):
    """A project cannot be built. The message is a sentence about the variable, with the remedy."""


def source_digest(project: str) -> str:
    """Return a digest of the sources of a project, and of the version that its repository has."""
    sources = hashlib.sha256()
    for path, content in sorted(_sources(project)):
        sources.update(f"{path}\0{content}\0".encode("utf-8", "surrogateescape"))
    return digest([sources.hexdigest(), _revision(project)])


def _sources(project: str) -> Iterator[tuple[str, str]]:
    """Yield relative path and content of each file of a project. Links are followed, each directory once."""
    seen = set()
    for parent, directories, names in os.walk(project, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen or (parent != project and any(os.path.exists(os.path.join(parent, n)) for n in ENVIRONMENTS)):
            directories.clear()
            continue
        seen.add(real)
        directories[:] = sorted(name for name in directories if not TOOLS.fullmatch(name))
        for name in names:
            path = os.path.join(parent, name)
            yield os.path.relpath(path, project), _content(path)


def _content(path: str) -> str:
    """Return a text that differs if a file differs."""
    try:
        about = os.stat(path)
        if not stat.S_ISREG(about.st_mode):
            return "no file"
        if about.st_size > LARGE:
            return f"{about.st_size} {about.st_mtime_ns}"
        return f"{about.st_mode & 0o100} {hashlib.sha256(Path(path).read_bytes()).hexdigest()}"
    except OSError:  # a broken link, or a file that this account cannot read and the build hardly needs
        return "unreadable"


def _revision(project: str) -> str:
    """Return the revision of a project's git repository, because its version may depend on it; empty without one."""
    command = ["git", "-C", project, "describe", "--tags", "--always", "--long"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


class Builder:
    """Builds wheels of projects.

    Parameters
    ----------
    lock : Lock
        The lock of the packages that builds need.
    tools : Lock
        The lock of the collection's own tools, with uv.
    index_url : str
        Package index; empty for the index that pip is configured with.
    cache : str
        Directory on the controller for fetched packages and built wheels.

    Raises
    ------
    LockError
        If a lock is not for the controller's Python.
    """

    def __init__(self, lock: Lock, tools: Lock, index_url: str, cache: str) -> None:
        self.index_url = index_url
        self.cache = cache
        python = own_python()
        self.options = lock.options
        self.lines = select(lock, python)
        self.uv = [line for line in select(tools, python) if line.startswith("uv==")]
        self.id = digest([RECIPE, python, self.lines, self.uv])

    def wheel(self, project: str) -> str:
        """Return the path of a project's wheel, which is built if its sources are new.

        Raises
        ------
        PackagesError
            If a package that builds need cannot be fetched.
        ProjectError
            If the project cannot be built.
        """
        for dummy in range(ATTEMPTS):
            before = source_digest(project)
            built = os.path.join(self.cache, "projects", f"{self.id}-{before}")
            wheels = glob.glob(f"{glob.escape(built)}/*.whl")
            if not wheels:
                wheels = self._build(project, before, built)
            if wheels:
                return wheels[0]
        raise ProjectError(
            f"dask_application: the files of {project} changed while its wheel was built. Run again when they do not."
        )

    def _build(self, project: str, before: str, built: str) -> list[str]:
        """Build a wheel into the directory ``built``. Returns no path if the sources changed meanwhile."""
        os.makedirs(os.path.dirname(built), exist_ok=True)
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(locked("projects", PATIENCE, os.path.join(self.cache, "locks")))
            except HostLockError as error:
                raise ProjectError(str(error)) from None
            directory = stack.enter_context(tempfile.TemporaryDirectory(dir=os.path.dirname(built)))
            begins(f"building the wheel of {project}")
            wheel = self._run(project, directory)
            # A build may write files, such as one with the version, into the sources. The next one finds them.
            if source_digest(project) != before:
                return []
            os.makedirs(built, exist_ok=True)
            os.replace(wheel, os.path.join(built, os.path.basename(wheel)))
        return [os.path.join(built, os.path.basename(wheel))]

    def _run(self, project: str, directory: str) -> str:
        """Build a project in a temporary directory, and return the path of its wheel."""
        tools, output = self._tools(), os.path.join(directory, "output")
        settings = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON", "UV_"))}
        settings.update(UV_CACHE_DIR=os.path.join(directory, "cache"), UV_NO_CONFIG="1", NO_COLOR="1")
        # fmt: off
        command = [
            os.path.join(tools, "uv"), "build", "--offline", "--no-index", "--find-links", os.path.join(tools, "wheels"),
            "--build-constraints", os.path.join(tools, "build.txt"), "--require-hashes", "--no-python-downloads",
            "--python", sys.executable, "--no-create-gitignore", "--out-dir", output, project,
        ]
        # fmt: on
        log = os.path.join(directory, "log")
        status = _run(command, settings, log)
        if status is None:
            raise ProjectError(
                f"dask_application: the build of {project} did not end within {PATIENCE} s, and nothing was changed. Build "
                "its wheel yourself and name that instead."
            )
        wheels = glob.glob(f"{glob.escape(output)}/*.whl")
        if status != 0 or len(wheels) != 1:
            raise ProjectError(_reason(project, Path(log).read_text(encoding="utf-8", errors="replace")))
        return wheels[0]

    def _tools(self) -> str:
        """Return a directory with uv, the packages that builds need in ``wheels``, and their pins in ``build.txt``."""
        tools = os.path.join(self.cache, f"build-{self.id}")
        if not os.path.exists(tools):
            with tempfile.TemporaryDirectory(dir=self.cache) as directory:
                made = os.path.join(directory, "tools")
                os.mkdir(made)
                wheels = os.path.join(made, "wheels")
                download([*self.options, *self.lines], own_python(), wheels, self.index_url)
                uv = download(self.uv, own_python(), os.path.join(directory, "uv"), self.index_url)
                shutil.move(unpack_uv(uv, directory), os.path.join(made, "uv"))
                Path(made, "build.txt").write_text("\n".join([*self.lines, ""]), encoding="utf-8")
                os.rename(made, tools)
        return tools


def _run(command: Sequence[str], environment: Mapping[str, str], log: str) -> int | None:
    """Run a command, with its output in a file, and return its exit status; None if it takes longer than `PATIENCE`."""
    with open(log, "wb") as file:
        # In a session of its own, so that the processes that a build starts can be ended, too.
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        try:
            return process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            return None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _reason(project: str, output: str) -> str:
    """Return why a build failed, with the last lines of its output."""
    output = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", output)
    missing = re.search(r"No solution found when resolving: `([^`]+)`", output)
    if missing:
        return (
            f"dask_application: the build of {project} needs {missing[1]}, which dask_application_build_lock does not "
            "have. Nothing was changed. Make a lock of what the build needs (uv pip compile --universal "
            "--generate-hashes build.in -o build.txt) and set that variable to it, or name a wheel that you have built."
        )
    lines = [line for line in output.splitlines() if line.strip() and not line.startswith("hint:")]
    last = printable("\n".join(lines[-LINES:]))
    return (
        f"dask_application: {project} could not be built, and nothing was changed. 'uv build' shows the whole output; its "
        f"last lines here:\n{last}"
    )


def wheel_of(entry: str, builder: Callable[[], Builder]) -> tuple[str, bool]:
    """Return the path of the wheel of an entry of ``dask_application``, and whether it was built here.

    Parameters
    ----------
    entry : str
        Path of a wheel or of a project's directory on the controller.
    builder : callable
        Returns the `Builder` for a project.

    Raises
    ------
    ProjectError
        If there is no wheel or project at the path, or the project cannot be built.
    """
    path = os.path.abspath(os.path.expanduser(entry))
    if os.path.isfile(path) and path.endswith(".whl"):
        return path, False
    if os.path.isdir(path) and os.path.isfile(os.path.join(path, "pyproject.toml")):
        try:
            return builder().wheel(path), True
        except PackagesError as error:
            raise ProjectError(f"dask_application_build_lock: {error}.") from None
    if not os.path.exists(path):
        relative = (
            "" if os.path.isabs(os.path.expanduser(entry)) else " A relative path starts where ansible-playbook runs."
        )
        raise ProjectError(f"dask_application: {path} does not exist on the controller.{relative} Correct the path.")
    raise ProjectError(
        f"dask_application: {path} is neither a wheel (.whl) nor a directory with a pyproject.toml. Name one of these."
    )
