# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Explanations of errors of the operating system; modules leave no partly written files."""

import contextlib
import errno
import os
import pwd
import resource
import signal

import pytest
from ansible_collections.daskops.cluster.plugins.module_utils.system_errors import explain
from ansible_collections.daskops.cluster.plugins.modules import (
    build_environment,
    install_certificates,
    stage_release,
)
from module_runs import answer_of


@pytest.mark.parametrize(
    "error, said",
    [
        (OSError(errno.ENOSPC, "No space left on device", "/etc/x"), "/etc/x: No space left on device. Free space"),
        (OSError(errno.EROFS, "Read-only file system", b"/etc/x"), "/etc/x: Read-only file system. Mount the file"),
        (PermissionError(errno.EPERM, "Operation not permitted", "a", None, "b"), "b: Operation not permitted. Check"),
        (OSError(errno.EFBIG, "File too large"), "File too large. See dmesg"),
        (OSError("strange"), "strange. See dmesg"),
        (OSError(), "OSError. See dmesg"),
    ],
)
def test_explanation_has_path_reason_and_remedy(error, said):
    assert explain(error).startswith(said) and explain(error).endswith(", then run again.")


def certificates_of(home):
    user = pwd.getpwuid(os.getuid()).pw_name
    return {"home": home, "user": user, "authorities": "A\n", "certificates": {"worker": "key\n"}}


def release_of(home):
    environment = os.path.join(home, "environments/e")
    os.makedirs(environment)
    with open(os.path.join(environment, "environment.json"), "w", encoding="utf-8") as file:
        file.write('{"python": "3.11", "packages": {}}')
    manifest = {"id": "r", "environment": "e", "application": "", "services": {}}
    return {
        "home": home,
        "manifest": manifest,
        "staged": 1,
        "files": {"a": "a" * 10_000},
        "secret_files": {},
        "user": "x",
    }


@contextlib.contextmanager
def files_limited(size):
    """Limit the size of files. Larger ones fail as on a full disk, but with EFBIG."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_unwritable_release_is_reported_and_removed(tmp_path):
    arguments = release_of(str(tmp_path))
    with files_limited(5_000):
        answer = answer_of(stage_release, **arguments)
    assert "On this host staging the release failed (the services were not changed): " in answer["msg"]
    assert "File too large" in answer["msg"]
    assert os.listdir(tmp_path / "releases") == []
    assert not answer_of(stage_release, **arguments).get("failed")


def test_release_without_its_application_is_not_staged(tmp_path):
    arguments = release_of(str(tmp_path))
    arguments["manifest"]["application"] = "a1"
    answer = answer_of(stage_release, **arguments)
    assert answer["msg"] == "The application a1, which the release needs, is not on this host. Run site.yml."
    assert not (tmp_path / "releases").exists()
    (tmp_path / "applications/a1").mkdir(parents=True)
    (tmp_path / "applications/a1/application.json").write_text('{"id": "a1", "packages": {}}')
    assert not answer_of(stage_release, **arguments).get("failed")
    assert os.readlink(tmp_path / "releases/r/application") == str(tmp_path / "applications/a1")
    # A release whose link was removed is staged again.
    (tmp_path / "releases/r/application").unlink()
    assert answer_of(stage_release, **arguments)["changed"]
    assert not answer_of(stage_release, **arguments)["changed"]


def test_unwritable_certificates_leave_no_key_behind(tmp_path):
    arguments = certificates_of(str(tmp_path))
    arguments["certificates"]["worker"] = "key\n" * 5_000
    with files_limited(5_000):
        answer = answer_of(install_certificates, **arguments)
    assert "On this host installing the certificates failed" in answer["msg"] and "File too large" in answer["msg"]
    assert os.listdir(tmp_path / "tls") == ["ca.pem"]


@pytest.mark.parametrize(
    "module, arguments, obstacle",
    [
        (install_certificates, certificates_of, "tls"),
        (stage_release, release_of, "releases"),
        (
            build_environment,
            lambda home: {"home": home, "id": "e", "python": "x", "origin": {"lock": "x"}},
            "environments",
        ),
    ],
    ids=["certificates", "release", "environment"],
)
def test_file_in_place_of_a_directory_is_reported(tmp_path, module, arguments, obstacle):
    arguments = arguments(str(tmp_path))
    (tmp_path / obstacle).touch()
    answer = answer_of(module, **arguments)
    assert answer["failed"] and f"{tmp_path / obstacle}" in answer["msg"] and "move it away" in answer["msg"]
