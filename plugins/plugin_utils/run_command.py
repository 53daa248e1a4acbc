# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the command line of ``ansible-playbook``."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from typing import Any


def command_line(options: Mapping[str, Any]) -> str:
    """Return the playbooks, tags and limit of a command, to show to other users. Omits extra variables, which may be secret.

    Parameters
    ----------
    options : mapping
        ``ansible.context.CLIARGS``.

    Returns
    -------
    str
        For example ``ansible-playbook site.yml --tags config --limit worker1``.
    """
    words = ["ansible-playbook", *(os.path.basename(str(path)) for path in options.get("args") or ())]
    tags = [tag for tag in options.get("tags") or () if tag != "all"]
    for flag, value in (("--tags", tags), ("--skip-tags", options.get("skip_tags") or ())):
        if value:
            words += [flag, ",".join(map(str, value))]
    if options.get("subset"):
        words += ["--limit", str(options["subset"])]
    return shlex.join(words)


def only_looks(options: Mapping[str, Any]) -> bool:
    """Return whether the tags of a run select only tasks that change nothing."""
    tags = {part for tag in options.get("tags") or () for part in str(tag).split(",")}
    return bool(tags) and tags <= {"health", "always"}
