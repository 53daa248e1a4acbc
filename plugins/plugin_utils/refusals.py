# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How an action plugin says no."""

from __future__ import annotations

#: Of inventory names that lead to the same machine.
SAME_MACHINE = (
    "{names} are one machine, and would fight over the same services. Keep one of the names; a host may be in both groups, "
    "and dask_worker_count says how many workers it has."
)


def refuse(result, problems):
    """``result``, failed if there are ``problems``, which become its message: a line each."""
    problems = list(problems)
    if problems:
        result.update(failed=True, msg="\n".join(problems))
    return result
