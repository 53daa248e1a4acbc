# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kind of environment that variables ask for."""

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.environment_kinds import (
    kind_of,
    variable_of,
    wrong_environment,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.host_settings import complete

ARCHIVE = {"dask_environment_archive": "env.tar.gz", "dask_environment_archive_sha256": "aB" * 32}


def problems(**variables):
    return list(map(str, wrong_environment(complete(variables))))


@pytest.mark.parametrize(
    ("variables", "kind"),
    [
        ({}, "lock"),
        ({"dask_environment_lock": "own.txt", "dask_environment_source": "index"}, "lock"),
        (ARCHIVE, "archive"),
        ({"dask_environment_path": "/nfs/env"}, "path"),
        ({**ARCHIVE, "dask_environment_lock": "default"}, "archive"),
    ],
)
def test_kind_of_the_environment(variables, kind):
    assert kind_of(complete(variables)) == kind and variable_of(complete(variables)) == f"dask_environment_{kind}"
    assert problems(**variables) == []


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        (
            {**ARCHIVE, "dask_environment_lock": "own.txt"},
            "dask_environment_lock and dask_environment_archive both set the environment. Keep one of them "
            "('default' sets dask_environment_lock aside).",
        ),
        (
            {**ARCHIVE, "dask_environment_path": "/nfs/env"},
            "dask_environment_archive and dask_environment_path both set the environment. Keep one of them.",
        ),
        (
            {**ARCHIVE, "dask_environment_path": "/nfs/env", "dask_environment_lock": "own.txt"},
            "dask_environment_lock and dask_environment_archive and dask_environment_path all set the environment. "
            "Keep one of them ('default' sets dask_environment_lock aside).",
        ),
        (
            {"dask_environment_path": "/nfs/env", "dask_environment_archive_sha256": "ab" * 32},
            "dask_environment_archive_sha256 is set, but dask_environment_archive is not. Set dask_environment_archive, or "
            "remove the variable.",
        ),
        (
            {**ARCHIVE, "dask_environment_source": "index"},
            "dask_environment_source is 'index', which is for a lock, but dask_environment_archive is set. Remove one of "
            "them.",
        ),
        (
            {"dask_environment_archive": "env.tar.gz"},
            "dask_environment_archive_sha256 is not set, so another archive of the same name could replace yours. Set it "
            "to the SHA-256 of dask_environment_archive. sha256sum prints it on the machine that made the archive.",
        ),
        (
            {**ARCHIVE, "dask_environment_archive_sha256": "abc"},
            "dask_environment_archive_sha256 is 'abc'. Give 64 hexadecimal digits.",
        ),
        (
            {"dask_environment_archive_sha256": "ab" * 32},
            "dask_environment_archive_sha256 is set, but dask_environment_archive is not. Set dask_environment_archive, "
            "or "
            "remove the variable.",
        ),
    ],
)
def test_contradictions_are_rejected(variables, said):
    assert problems(**variables) == [said]
