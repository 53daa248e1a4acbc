# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of modules in the process of a test."""

import contextlib
import io
import json

import pytest
from ansible.module_utils.testing import patch_module_args


def answer_of(module, **arguments):
    """Run a module with arguments, and return its result."""
    output = io.StringIO()
    with patch_module_args(arguments), contextlib.redirect_stdout(output), pytest.raises(SystemExit):
        module.main()
    return json.loads(output.getvalue())
