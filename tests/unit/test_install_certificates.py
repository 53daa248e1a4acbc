# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificates that a host keeps or loses."""

import getpass

import pytest
from ansible_collections.daskops.cluster.plugins.module_utils.certificates import digest
from ansible_collections.daskops.cluster.plugins.modules import install_certificates
from module_runs import answer_of


@pytest.mark.parametrize("present", [True, False])
def test_kept_certificate_is_not_written(tmp_path, present):
    """The controller does not have its key, but still installs the CA."""
    arguments = {"home": str(tmp_path), "user": getpass.getuser()}
    certificates = {"worker": "certificate\n"} if present else {}
    answer = answer_of(install_certificates, **arguments, authorities="CA\n", certificates=certificates)
    assert answer["written"] == ["ca.pem", *(["worker.pem"] if present else [])]
    path = tmp_path / "tls/worker.pem"
    before = path.stat() if present else None
    new = "CA\nanother\n"
    answer = answer_of(install_certificates, **arguments, authorities=new, certificates={}, kept=["worker"])
    assert (answer["written"], answer["reloaded"]) == (["ca.pem"], [])
    assert (tmp_path / "tls/ca.pem").read_text() == new and path.exists() is present
    assert answer["current"] == ({"worker": digest(new, "certificate\n")} if present else {})
    if present:
        assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
        # Without `kept`, the module removes the file of a service that the host no longer has.
        answer = answer_of(install_certificates, **arguments, authorities=new, certificates={})
        assert answer["written"] == ["worker.pem"] and not path.exists()
