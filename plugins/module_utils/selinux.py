# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Contexts of files on hosts with SELinux. Uses the host's own tools, because Python's bindings may be missing."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule

#: This file contains 1 if SELinux is enforced. It does not exist on hosts without SELinux.
ENFORCE = "/sys/fs/selinux/enforce"


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except (OSError, ValueError):
        return ""


def enforced() -> bool:
    """Return whether SELinux is enforced."""
    return _read(ENFORCE) == "1"


def type_of(module: AnsibleModule, path: str) -> str:
    """Return the SELinux type of a path by the host's policy, such as ``bin_t``. The path need not exist.

    Empty if SELinux is not enforced, or if the host lacks the program ``matchpathcon``.
    """
    tool = enforced() and module.get_bin_path("matchpathcon")
    if not tool:
        return ""
    status, output, dummy = module.run_command([tool, "-n", "-m", "file", path])
    parts = output.strip().split(":")
    return parts[2] if status == 0 and len(parts) > 2 else ""


def relabel(module: AnsibleModule, path: str) -> None:
    """Set the SELinux contexts of a new directory and all files in it to those of the host's policy for their paths.

    New files inherit the context of their directory, and systemd does not start programs with the context of ``/opt``. The
    contexts are also set if SELinux is permissive. A failure causes only a warning.
    """
    tool = _read(ENFORCE) and module.get_bin_path("restorecon")
    if not tool:
        return
    status, output, errors = module.run_command([tool, "-R", path])
    if status != 0:
        said = " ".join((errors or output).split())
        module.warn(
            f"The SELinux contexts of {path} could not be set, so services may not start: {said}. Run this on the host: "
            f"restorecon -R {path}"
        )
