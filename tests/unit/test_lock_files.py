# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lock files of all forms, unreadable ones, and locks for other machines."""

import hashlib
import shutil

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.daskops.cluster.plugins.filter.client_lock import client_lock
from ansible_collections.daskops.cluster.plugins.plugin_utils.lock_files import parse_lock, portable_lock, read_lock
from ansible_collections.daskops.cluster.plugins.plugin_utils.locks import LockError, check_local_wheels
from conftest import ROOT
from wheels import build_wheel, hash_of

LOCKS = ROOT / "tests/unit/locks"
A, B = (f"sha256:{digit * 64}" for digit in "ab")
COMMIT = "0123456789abcdef0123456789abcdef01234567"
PLAIN = f"# By a tool\ndask==1 \\\n    --hash={A}\n    # via x\n"


@pytest.mark.parametrize(
    ("name", "packages"),
    [("pip-compile.txt", 3), ("uv-pip-compile.txt", 4), ("uv-pylock.toml", 6), ("poetry-pylock.toml", 1)],
)
def test_form_of_a_lock_is_recognized(name, packages):
    assert len(parse_lock((LOCKS / name).read_text(), str(LOCKS)).packages) == packages


@pytest.mark.parametrize("name", ["uv.lock", "poetry.lock", "Pipfile.lock"])
def test_lock_of_another_tool_is_rejected(name):
    with pytest.raises(LockError, match=f"it is a {name}. Export it: "):
        parse_lock((LOCKS / name).read_text())


def test_sha256_of_a_lock_covers_the_files_that_it_includes(tmp_path):
    lock, base = tmp_path / "lock.txt", tmp_path / "base.txt"
    lock.write_text(PLAIN)
    assert read_lock(str(lock))[1] == hashlib.sha256(lock.read_bytes()).hexdigest()
    lock.write_text(f"-r base.txt\n{PLAIN}")
    base.write_text(f"toolz==1 --hash={A}\n")
    assert read_lock(str(lock))[1] == hashlib.sha256(lock.read_bytes() + base.read_bytes()).hexdigest()


# Unreadable locks


def unreadable(path):
    with pytest.raises(AnsibleFilterError) as raised:
        client_lock(path)
    return str(raised.value)


def test_unreadable_lock_is_an_error_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    says = "dask_environment_lock (/x/lock.txt) does not exist on the controller. Correct the path."
    assert unreadable("/x/lock.txt") == says
    assert unreadable("locks/lock.txt") == (
        "dask_environment_lock (locks/lock.txt) does not exist on the controller. The path is relative to "
        f"{tmp_path}, the working directory of ansible-playbook. Correct the path."
    )
    (tmp_path / "lock.txt").write_bytes("# für".encode("latin-1"))
    assert unreadable("lock.txt").startswith(
        "dask_environment_lock (lock.txt) is not a text file in UTF-8. Make it with: uv pip compile "
    )
    assert unreadable(".").startswith(
        "dask_environment_lock (.) cannot be read on the controller: Is a directory. Set it to a "
    )


def test_packed_environment_leads_to_its_variable(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("x")
    for kind in ("gztar", "bztar", "zip"):
        shutil.make_archive(kind, kind, tmp_path, "file")
    (tmp_path / "zst").write_bytes(b"\x28\xb5\x2f\xfd\x24")
    for path in ("gztar.tar.gz", "bztar.tar.bz2", "zip.zip", "zst"):
        assert unreadable(path) == (
            f"dask_environment_lock ({path}) is an archive. If it is a packed environment, set dask_environment_archive to "
            "it, and remove dask_environment_lock."
        )


# Locks for other machines


def portable(text, directory, **built):
    return portable_lock(text, parse_lock(text, str(directory)), {name: str(path) for name, path in built.items()})


@pytest.mark.parametrize("line", ["./wheels/{name} ; python_version > '3'", "--find-links wheels\nmycode==1.0"])
def test_portable_lock_includes_its_wheels(own, tmp_path, line):
    lock = f"--index-url https://a.example\n{line.format(name=own.name)} --hash={hash_of(own)}\ndask==2026.8.0 --hash={A}\n"
    text, wheels = portable(lock, tmp_path)
    assert wheels == [str(own)]
    assert str(tmp_path) not in text
    other = tmp_path / "other"
    other.mkdir()
    own.rename(other / own.name)
    again = parse_lock(text.replace("file:daskops-wheels", other.as_uri()))
    assert {locked.requirement.name: locked.hashes for locked in again.packages} == {
        "mycode": [hash_of(other / own.name)],
        "dask": [A],
    }
    check_local_wheels(again)


def test_portable_lock_without_local_wheels_is_unchanged(tmp_path):
    assert portable(PLAIN, tmp_path) == (PLAIN, [])


def test_portable_lock_has_no_passwords(tmp_path, monkeypatch):
    monkeypatch.setenv("TOKEN", "canary")
    text = (
        "--index-url https://ada:canary@a.example/simple\n--extra-index-url https://${TOKEN}@b.example\n"
        f"x @ https://ada:canary@c.example/x-1-py3-none-any.whl --hash={A}\n"
        f"y @ git+https://${{TOKEN}}@d.example/y@{COMMIT}\nz @ git+ssh://git@e.example/z@{COMMIT}\n"
    )
    found, wheels = portable(text, tmp_path)
    assert (found, wheels) == (
        "--index-url https://a.example/simple\n--extra-index-url https://b.example\n"
        f"x @ https://c.example/x-1-py3-none-any.whl \\\n    --hash={A}\n"
        f"y @ git+https://d.example/y@{COMMIT}\nz @ git+ssh://git@e.example/z@{COMMIT}\n",
        [],
    )
    one = f"x @ https://ada:canary@c.example/x-1-py3-none-any.whl --hash={A}\n"
    assert "canary" not in portable(one, tmp_path)[0]


def test_portable_lock_contains_the_files_that_the_lock_includes(tmp_path):
    (tmp_path / "base.txt").write_text(f"toolz==1 --hash={A}\n")
    found, dummy = portable(f"-r base.txt\n-c constraints.txt\ndask==1 --hash={A}\n", tmp_path)
    assert found == f"toolz==1 \\\n    --hash={A}\ndask==1 \\\n    --hash={A}\n"


def test_portable_lock_of_a_pylock():
    text, wheels = portable((LOCKS / "uv-pylock.toml").read_text(), LOCKS)
    lines = text.replace(" \\\n   ", "").splitlines()
    assert lines[0] == "--index-url https://index.example/simple" and wheels == []
    assert [line.split(" --hash")[0] for line in lines[1:]] == [
        'colorama==0.4.6 ; sys_platform == "win32"',
        "docopt==0.6.2",
        "gitpkg @ git+file:///srv/git/gitpkg@d305b05396abe2d87de13d9d8cc51ceb8940699f",
        "lz4==4.4.5",
        "tblib==3.2.2",
        "toolz==1.2.0",
    ]
    # Users have other platforms than the hosts.
    assert lines[4].count("--hash=") == 6


@pytest.mark.parametrize("tag", ["py3-none-any", "cp311-cp311-linux_x86_64"])
def test_wheel_that_was_built_is_used_beside_the_source_of_an_index(tmp_path, tag):
    wheel = build_wheel(tmp_path, "mycode", tag=tag)
    text, wheels = portable(f"mycode==1.0 ; os_name == 'posix' --hash={A}\n", tmp_path, mycode=wheel)
    assert wheels == [str(wheel)]
    assert text == (
        "--find-links file:daskops-wheels\n"
        f'mycode==1.0 ; os_name == "posix" \\\n    --hash={A} \\\n    --hash={hash_of(wheel)}\n'
    )


@pytest.mark.parametrize(
    "line", [f"mycode @ git+https://a.example/mycode@{COMMIT}", f"mycode @ https://a.example/mycode-1.0.zip --hash={A}"]
)
def test_wheel_that_was_built_replaces_a_source_with_a_url(tmp_path, line):
    wheel = build_wheel(tmp_path, "mycode")
    text, wheels = portable(f"{line}\n", tmp_path, mycode=wheel)
    assert wheels == [str(wheel)]
    assert f"mycode @ file:daskops-wheels/{wheel.name} \\\n    --hash={hash_of(wheel)}\n" in text
    # Users with another platform build the source themselves.
    compiled = build_wheel(tmp_path, "mycode", tag="cp311-cp311-linux_x86_64")
    assert portable(f"{line}\n", tmp_path, mycode=compiled) == (f"{line}\n", [])


def test_source_on_the_controller_needs_its_wheel(tmp_path):
    wheel = build_wheel(tmp_path, "mycode", tag="cp311-cp311-linux_x86_64")
    text = f"./mycode-1.0.tar.gz --hash={A}\n"
    assert portable(text, tmp_path, mycode=wheel)[1] == [str(wheel)]
    with pytest.raises(
        LockError, match="mycode is the source .*mycode-1.0.tar.gz, whose wheel this controller has not"
    ):
        portable(text, tmp_path)


def test_wheels_beside_a_pylock_are_copied(own, tmp_path):
    one = hash_of(own).partition(":")[2]
    text = (
        'lock-version = "1.0"\ncreated-by = "x"\n[[packages]]\nname = "mycode"\nversion = "1.0"\n'
        f'wheels = [{{ path = "wheels/{own.name}", hashes = {{ sha256 = "{one}" }} }}]\n'
    )
    found, wheels = portable(text, tmp_path)
    assert wheels == [str(own)] and str(tmp_path) not in found
    assert found == f"--find-links file:daskops-wheels\nmycode==1.0 \\\n    --hash={hash_of(own)}\n"
