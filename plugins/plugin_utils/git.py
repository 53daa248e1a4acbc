# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read references to commits of git repositories in locks, and check the commits out on the controller."""

from __future__ import annotations

import base64
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit, urlunsplit

from ansible_collections.daskops.cluster.plugins.plugin_utils.locks import (
    ENCODE,
    LockError,
    PackagesError,
    redacted,
    shown,
)

#: The transports of git that a reference may name. Others, such as ``ext``, run commands.
_TRANSPORTS = ("https", "http", "ssh", "file")

# Variables of a caller's repository: git would use that repository instead of the cloned one.
_OF_A_REPOSITORY = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR")


@dataclass(frozen=True)
class Reference:
    """A commit of a git repository.

    Parameters
    ----------
    repository : str
        URL of the repository; may contain a password.
    commit : str
        The full commit, 40 or 64 hexadecimal digits.
    subdirectory : str
        Directory of the project in the repository; empty for the whole.
    """

    repository: str
    commit: str
    subdirectory: str


def reference(name: str, url: str) -> Reference:
    """Return the commit that a URL such as ``git+https://host/repository@COMMIT#subdirectory=DIRECTORY`` names.

    Raises
    ------
    LockError
        If the URL names no full commit, or a transport or a directory that is not accepted.
    """
    try:
        parts = urlsplit(url.partition("+")[2])
    except ValueError:
        raise LockError(f"{name} has no valid URL. {ENCODE}") from None
    if parts.scheme not in _TRANSPORTS:
        raise LockError(
            f"{name} is locked as {shown(url)}, and only git+{', git+'.join(_TRANSPORTS)} are accepted. Write its address "
            "with one of these"
        )
    path, dummy, commit = parts.path.rpartition("@")
    repository = urlunsplit((parts.scheme, parts.netloc, path or commit, "", ""))
    if parts.scheme == "file":
        repository = f"file://{path or commit}"
        if not (path or commit).startswith("/"):
            raise LockError(
                f"{name} is locked as {shown(url)}, a relative path. Write git+file:// and an absolute path"
            )
    if not path or not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", commit):
        which = f"'{commit}', which may name another commit later" if path else "no commit"
        raise LockError(
            f"{name} is locked as {shown(url)}, with {which}. Write the full commit of 40 hexadecimal digits after @: git "
            f"ls-remote {redacted(repository)} {commit if path else 'HEAD'}"
        )
    fragment = parse_qs(parts.fragment)
    subdirectory = fragment.get("subdirectory", [""])[0]
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)*|", subdirectory) or ".." in subdirectory.split("/"):
        raise LockError(f"{name} is locked with the subdirectory '{subdirectory}'. Write a path in the repository")
    return Reference(repository, commit, subdirectory)


def check_out(name: str, commit: Reference, directory: str) -> str:
    """Clone a repository into a new directory, check the commit out, and return the directory of the project.

    The history and the tags are there, because many packages derive their version from them.

    Raises
    ------
    PackagesError
        If git is missing, does not reach the repository, or the repository does not have the commit.
    """
    repository, settings = _without_password(commit.repository)
    environment = {key: value for key, value in os.environ.items() if key not in _OF_A_REPOSITORY}
    environment.update(settings)
    # git and ssh must not ask for a password, because nothing can answer them.
    environment.update(
        GIT_TERMINAL_PROMPT="0", GIT_SSH_COMMAND=os.environ.get("GIT_SSH_COMMAND", "ssh -oBatchMode=yes")
    )

    def git(*arguments: str) -> str:
        try:
            done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False, env=environment)
        except FileNotFoundError:
            raise PackagesError(
                f"{name} is a commit of git, and the controller has no git: install git there"
            ) from None
        if done.returncode != 0:
            lines = [line for line in done.stderr.splitlines() if line.startswith(("fatal:", "error:", "remote:"))]
            why = redacted(" ".join(lines or done.stderr.split()))
            raise PackagesError(f"{name} could not be fetched from {redacted(repository)}: {why}")
        return done.stdout.strip()

    # Files are fetched when the commit is checked out, not those of the whole history.
    git("clone", "--quiet", "--no-checkout", "--filter=blob:none", "--", repository, directory)
    here = ("-C", directory)
    try:
        git(*here, "cat-file", "-e", f"{commit.commit}^{{commit}}")
    except PackagesError:  # no branch or tag contains the commit
        git(*here, "fetch", "--quiet", "origin", commit.commit)
    git(*here, "checkout", "--quiet", "--detach", commit.commit)
    git(*here, "submodule", "--quiet", "update", "--init", "--recursive")
    if git(*here, "rev-parse", "HEAD") != commit.commit:
        raise PackagesError(f"{name}: git checked out another commit than {commit.commit} of {redacted(repository)}")
    project = os.path.join(directory, commit.subdirectory)
    # A symbolic link in the repository could lead elsewhere.
    tree = os.path.realpath(directory)
    if os.path.commonpath([os.path.realpath(project), tree]) != tree or not os.path.isdir(project):
        raise PackagesError(f"{name}: {redacted(repository)} has no directory {commit.subdirectory} in {commit.commit}")
    return project


def _without_password(url: str) -> tuple[str, Mapping[str, str]]:
    """Return a repository's URL without its password, and the environment variables that give git the password.

    The URL is an argument of git and its helpers, which every user of the controller can list.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or "@" not in parts.netloc:
        return url, {}
    user, dummy, host = parts.netloc.rpartition("@")
    name, dummy, password = user.partition(":")
    token = base64.b64encode(f"{unquote(name)}:{unquote(password)}".encode()).decode()
    count = int(os.environ.get("GIT_CONFIG_COUNT", "0"))
    return urlunsplit(parts._replace(netloc=host)), {
        "GIT_CONFIG_COUNT": str(count + 1),
        f"GIT_CONFIG_KEY_{count}": f"http.{parts.scheme}://{host}/.extraHeader",
        f"GIT_CONFIG_VALUE_{count}": f"Authorization: Basic {token}",
    }
