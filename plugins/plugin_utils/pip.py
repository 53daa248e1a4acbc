# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run pip on the controller."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from ansible_collections.daskops.cluster.plugins.plugin_utils.locks import PackagesError


def run_pip(
    arguments: Sequence[str], index_url: str, settings: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command of pip that fetches packages, and return its output, also if it fails.

    Parameters
    ----------
    arguments : list of str
        The command and its options.
    index_url : str
        URL of the package index. Empty for the index in pip's own configuration.
    settings : dict of str, optional
        More environment variables.

    Raises
    ------
    PackagesError
        If the controller's Python has no pip.
    """
    command = [sys.executable, "-m", "pip", *arguments, "--no-input", "--disable-pip-version-check"]
    environment = {**os.environ, **(settings or {})}
    if index_url:
        # The URL may contain a password, which must not appear in the list of processes.
        environment["PIP_INDEX_URL"] = index_url
        if index_url.startswith("http:"):
            # pip ignores an index without TLS unless its host is trusted. The hashes verify the packages.
            command.append(f"--trusted-host={urlsplit(index_url).hostname}")
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if "No module named pip" in done.stderr:
        raise PackagesError(
            f"the controller's Python ({sys.executable}) has no pip, which fetches packages: install pip there"
        )
    return done
