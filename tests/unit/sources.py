# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write tiny projects that build without other packages, as source archives and in git repositories."""

import hashlib
import os
import subprocess
import tarfile
from pathlib import Path

# A build backend (PEP 517) in the project itself. It writes a module with the environment variable BUILT, and counts builds.
_BACKEND = """
import os, zipfile

def _info():
    metadata = "Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n" + {metadata!r}
    return {{"METADATA": metadata, "WHEEL": "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: {tag}\\n"}}

def build_wheel(directory, config_settings=None, metadata_directory=None):
    {action}
    with open(os.environ.get("BUILD_LOG", os.devnull), "a") as log:
        log.write("{name}\\n")
    file = "{wheel_name}-{version}-{tag}.whl"
    with zipfile.ZipFile(os.path.join(directory, file), "w") as wheel:
        wheel.writestr("{name}.py", "built = " + repr(os.environ.get("BUILT", "")) + "\\n" + {source!r})
        for name, text in _info().items():
            wheel.writestr("{wheel_name}-{version}.dist-info/" + name, text)
        wheel.writestr("{wheel_name}-{version}.dist-info/RECORD", "")
    return file
"""


def write_project(
    directory,
    name="mycode",
    version="1.0",
    tag="py3-none-any",
    action="pass",
    metadata="",
    requires=(),
    wheel_name=None,
    source="",
):
    """Write a project. Its build runs the statement ``action``, and makes a wheel with the tag."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "pyproject.toml").write_text(
        f"[build-system]\nrequires = {list(requires)}\nbuild-backend = 'backend'\nbackend-path = ['.']\n"
        f"[project]\nname = '{name}'\nversion = '{version}'\n"
    )
    about = {"name": name, "version": version, "tag": tag, "action": action, "metadata": metadata, "source": source}
    (directory / "backend.py").write_text(_BACKEND.format(wheel_name=wheel_name or name, **about))
    (directory / "PKG-INFO").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return directory


def write_sdist(directory, name="mycode", version="1.0", **about):
    """Write a source archive and return its path."""
    project = write_project(directory / f"project-{name}", name, version, **about)
    path = directory / f"{name}-{version}.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        tar.add(project, f"{name}-{version}")
    return path


def hash_of(path, algorithm="sha256"):
    return f"{algorithm}:{hashlib.new(algorithm, Path(path).read_bytes()).hexdigest()}"


def git(directory, *arguments):
    """Run a command of git in a repository, and return its output."""
    own = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    for role in ("AUTHOR", "COMMITTER"):
        own.update({f"GIT_{role}_NAME": "Ada", f"GIT_{role}_EMAIL": "ada@a.example"})
    command = ["git", "-C", str(directory), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **own}).stdout.strip()


def commit_all(directory, message="Change"):
    """Commit all files of a directory into its repository, which is made if it does not exist, and return the commit."""
    if not (directory / ".git").exists():
        git(directory, "init", "--quiet", "--initial-branch=main", ".")
    git(directory, "add", "--all")
    git(directory, "commit", "--quiet", "--message", message)
    return git(directory, "rev-parse", "HEAD")
