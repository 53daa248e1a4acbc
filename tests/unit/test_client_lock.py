# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock of a cluster for the machines of its clients."""

import base64
import hashlib

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.daskops.cluster.plugins.filter.client_lock import client_lock
from ansible_collections.daskops.cluster.plugins.plugin_utils.locks import local_path, parse_lock
from wheels import build_wheel, lock_line


def test_lock_has_its_wheels_and_no_path_of_the_controller(tmp_path):
    wheel = build_wheel(tmp_path, "mycode")
    (tmp_path / "lock.txt").write_text(f"./{wheel.name} {lock_line(wheel).split(' ', 1)[1]}")
    found = client_lock(str(tmp_path / "lock.txt"))
    assert f"mycode @ file:daskops-wheels/{wheel.name}" in found["text"] and str(tmp_path) not in found["text"]
    assert base64.b64decode(found["wheels"][wheel.name]) == wheel.read_bytes() and len(found["wheels"]) == 1


def test_lock_has_the_wheels_of_the_application(tmp_path):
    (tmp_path / "lock.txt").write_text(f"dask==2026.8.0 --hash=sha256:{'0' * 64}")
    wheels = [build_wheel(tmp_path, "my_code"), build_wheel(tmp_path, "more", "2.0")]
    found = client_lock(str(tmp_path / "lock.txt"), map(str, wheels))
    assert found["text"].splitlines()[1:] == [
        f"{name} @ file:daskops-wheels/{wheel.name} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}"
        for name, wheel in zip(("my_code", "more"), wheels)
    ]
    assert {name: base64.b64decode(content) for name, content in found["wheels"].items()} == {
        wheel.name: wheel.read_bytes() for wheel in wheels
    }
    # A requirements file without hashes may have none at all.
    plain = client_lock("", map(str, wheels[:1]), "dask==2026.8.0\n")
    assert plain["text"] == f"dask==2026.8.0\nmy_code @ file:daskops-wheels/{wheels[0].name}\n"
    assert list(plain["wheels"]) == [wheels[0].name]
    # On the other machine it is a lock, whose wheels are looked up nowhere.
    locked = parse_lock(found["text"].replace("file:daskops-wheels", tmp_path.as_uri()))[0]
    assert [local_path(requirement) for requirement, dummy in locked] == [None, *map(str, wheels)]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "does not exist on the controller"),
        (b"\xff\xfe", "is not a text file in UTF-8"),
        (b"dask==2026.8.0\n", "'dask==2026.8.0' has no sha256 hash"),
        (b"./gone-1-py3-none-any.whl --hash=sha256:" + b"0" * 64, "No such file or directory"),
    ],
)
def test_unusable_lock_is_an_error_that_names_it(content, said, tmp_path):
    path = tmp_path / "lock.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(AnsibleFilterError) as error:
        client_lock(str(path))
    assert str(error.value).startswith(f"dask_environment_lock ({path})") and said in str(error.value)
