# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock of a cluster for the machines of its clients."""

import base64
from pathlib import Path

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.daskops.cluster.plugins.filter.client_lock import client_lock
from ansible_collections.daskops.cluster.plugins.plugin_utils.builds import build_wheel as make_wheel
from ansible_collections.daskops.cluster.plugins.plugin_utils.packages import own_python
from sources import hash_of, write_sdist
from wheels import build_wheel, lock_line


def test_lock_has_its_wheels_and_no_path_of_the_controller(tmp_path):
    wheel = build_wheel(tmp_path, "mycode")
    (tmp_path / "lock.txt").write_text(f"./{wheel.name} {lock_line(wheel).split(' ', 1)[1]}")
    found = client_lock(str(tmp_path / "lock.txt"))
    assert f"mycode @ file:daskops-wheels/{wheel.name}" in found["text"] and str(tmp_path) not in found["text"]
    assert base64.b64decode(found["wheels"][wheel.name]) == wheel.read_bytes() and len(found["wheels"]) == 1


def test_wheels_that_the_controller_built_are_copied(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    sdist = write_sdist(tmp_path, "MyCode")
    (tmp_path / "lock.txt").write_text(f"./{sdist.name} --hash={hash_of(sdist)}\n")
    cache, own = str(tmp_path / "cache"), own_python()
    with pytest.raises(
        AnsibleFilterError, match="mycode is the source .*, whose wheel this controller has not built. Run"
    ):
        client_lock(str(tmp_path / "lock.txt"), ["mycode"], cache, own)
    wheel = make_wheel(f"mycode @ {sdist.as_uri()} --hash={hash_of(sdist)}", [], cache, "", own, own)
    found = client_lock(str(tmp_path / "lock.txt"), ["MyCode"], cache, own)
    assert base64.b64decode(found["wheels"]["MyCode-1.0-py3-none-any.whl"]) == Path(wheel).read_bytes()
    assert "mycode @ file:daskops-wheels/MyCode-1.0-py3-none-any.whl" in found["text"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "does not exist on the controller"),
        (b"\xff\xfe", "is not a text file in UTF-8"),
        (b"dask==2026.8.0\n", "'dask==2026.8.0' has no sha256, sha384 or sha512 hash"),
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
