# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at pages in a real Chromium, for tests and for the pictures of the documentation."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

#: Widths of the window in CSS pixels: a phone and a desktop.
PHONE, DESKTOP = 390, 1280
#: `make test` may install an engine for containers at the same time.
LOCK_TIMEOUT = "--option=DPkg::Lock::Timeout=300"


def chromium() -> str:
    """Return the path of Chromium. Installs Debian's package if it is missing, which takes Debian and root.

    Raises
    ------
    FileNotFoundError
        If there is no Chromium and it cannot be installed. The message has the reason.
    """
    found = shutil.which("chromium")
    if found:
        return found
    if os.geteuid() != 0 or not Path("/etc/debian_version").exists():
        raise FileNotFoundError("chromium is not installed; installing it takes Debian and root")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "--yes", "--no-install-recommends", LOCK_TIMEOUT, "chromium"]):
        done = subprocess.run(["apt-get", "--quiet", *command], env=environment, capture_output=True, text=True)
        if done.returncode:
            raise FileNotFoundError(f"chromium cannot be installed: apt-get {command[0]}: {done.stderr[-300:]}")
    return str(shutil.which("chromium"))


@contextlib.contextmanager
def browser() -> Iterator[Any]:
    """Start Chromium, and return it as a ``Browser`` of Playwright. Certificates of test clusters are not verified."""
    from playwright.sync_api import sync_playwright

    path = chromium()
    with sync_playwright() as playwright:
        # Chromium as root, as in a container of CI, has no sandbox. The pages are our own.
        one = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield one
        finally:
            one.close()


@contextlib.contextmanager
def window(one: Any, width: int, height: int = 844, **options: Any) -> Iterator[Any]:
    """Open a window of a browser, and return its ``Page``."""
    context = one.new_context(viewport={"width": width, "height": height}, ignore_https_errors=True, **options)
    try:
        yield context.new_page()
    finally:
        context.close()
