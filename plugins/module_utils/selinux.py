# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Contexts of files on hosts with SELinux, by the host's own tools: Python's bindings may be missing."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule

#: Whether SELinux is enforced: 1. The file is missing on hosts without SELinux.
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
    """Return the type, such as ``bin_t``, that the policy has for a path, which need not exist.

    Empty if SELinux is not enforced, or if the host lacks the tool ``matchpathcon``.
    """
    tool = enforced() and module.get_bin_path("matchpathcon")
    if not tool:
        return ""
    status, output, dummy = module.run_command([tool, "-n", "-m", "file", path])
    parts = output.strip().split(":")
    return parts[2] if status == 0 and len(parts) > 2 else ""


def relabel(module: AnsibleModule, path: str) -> None:
    """Give a new directory and all files in it the contexts that the policy has for their paths.

    New files inherit the context of their directory, and systemd starts no program with the one of ``/opt``. The contexts
    are also set where SELinux only warns. A failure is a warning.
    """
    tool = _read(ENFORCE) and module.get_bin_path("restorecon")
    if not tool:
        return
    status, output, errors = module.run_command([tool, "-R", path])
    if status != 0:
        said = " ".join((errors or output).split())
        module.warn(f"The SELinux contexts of {path} could not be set, so services may not start: {said}")
