# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client certificate that accounts get: of the controller's directory, or of the variable ``dask_tls_files``."""

import sys
import threading
import time

import pytest
from ansible_collections.daskops.cluster.plugins.action.client_files import client_certificate
from ansible_collections.daskops.cluster.plugins.plugin_utils.certificates import DAY, Directory, Unusable
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.settings import SETTINGS
from certificate_directories import changes, make, run, tree


def connection(path):
    return {
        "address": "tls://10.0.0.1:8786",
        "dashboard": "https://10.0.0.1:8787/status",
        "authorities": ["the CA"],
        "certificates": str(path),
        "days": 365,
        "warn_days": 30,
        **{"lock": "", "build": [], "cache": "", "interpreter": {}, "wheels": [], "requirements": "dask==1\n"},
    }


def authority(path, *more):
    return {name: (path / name).read_text() for name in ("ca.pem", "ca.key", *more)}


def test_certificate_of_the_directory_is_used(copy):
    before = tree(copy)
    assert client_certificate(connection(copy), {}, True) == (before["client.pem"], before["client.key"])
    assert tree(copy) == before


def test_certificate_of_the_variable_is_preferred(copy, tmp_path):
    files = authority(copy, "client.pem", "client.key")
    assert client_certificate(connection(tmp_path / "none"), files, True) == (files["client.pem"], files["client.key"])
    assert not (tmp_path / "none").exists()


def test_missing_certificate_is_named(copy):
    (copy / "client.key").unlink()
    with pytest.raises(Unusable, match=r"client\.key does not exist\. Run site\.yml, or set it in dask_tls_files\."):
        client_certificate(connection(copy), {}, True)


def test_other_controller_makes_its_own_certificate_once(copy, tmp_path):
    files, where = authority(copy), tmp_path / "other"
    assert client_certificate(connection(where), files, False) is None and not where.exists()
    first = client_certificate(connection(where), files, True)
    assert set(tree(where)) == {".gitignore", "client.pem", "client.key"}
    assert (
        client_certificate(connection(where), files, True)
        == first
        == client_certificate(connection(where), files, False)
    )
    directory = Directory(str(where), files)
    assert directory.check("client") == "" and directory.hosts("client") == {"client"}


def test_clients_in_parallel_get_the_same_certificate(copy, tmp_path):
    files, found = authority(copy), []
    threads = [
        threading.Thread(target=lambda: found.append(client_certificate(connection(tmp_path / "other"), files, True)))
        for dummy in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6 and len(set(found)) == 1


def test_certificate_that_expires_soon_is_made_again(tmp_path):
    make(tmp_path / "tls", now=time.time() - 340 * DAY)
    files = authority(tmp_path / "tls")
    before = tree(tmp_path / "tls")
    assert client_certificate(connection(tmp_path / "tls"), {}, True)[0] == before["client.pem"]
    assert client_certificate(connection(tmp_path / "tls"), files, True)[0] != before["client.pem"]


def test_ca_with_another_key_makes_no_certificate(copy, tmp_path):
    make(tmp_path / "stranger")
    files = {**authority(copy), "ca.key": (tmp_path / "stranger/ca.key").read_text()}
    with pytest.raises(Unusable, match="is not the key of ca.pem"):
        client_certificate(connection(tmp_path / "other"), files, True)


def test_role_writes_the_files_and_shows_no_key(copy, tmp_path):
    home = tmp_path / "home"
    play = {
        "hosts": "ada",
        "gather_facts": False,
        "vars": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable},
        "tasks": [
            {
                "daskops.cluster.client_files": {
                    "connection": "{{ connection }}",
                    "directory": str(home),
                    "preload": "pass\n",
                }
            }
        ],
    }
    files = authority(copy)
    where = tmp_path / "other"
    arguments = {"inventory": {"dask_clients": {"hosts": {"ada": {}}}}, "playbook": [play], "dask_tls_files": files}
    checked = run(tmp_path / "x", "--check", "-vvv", connection=connection(where), **arguments)
    assert changes(checked) == 1 and not where.exists() and not home.exists()
    done = run(tmp_path / "x", "-vvv", "--diff", connection=connection(where), **arguments)
    assert changes(done) == 1
    made = tree(where)
    assert (home / "daskops-client.pem").read_text() == made["client.pem"] + made["client.key"]
    for output in (checked, done):
        for key in (made["client.key"], files["ca.key"]):
            assert key.splitlines()[1] not in output.stdout + output.stderr
    assert changes(run(tmp_path / "x", connection=connection(where), **arguments)) == 0
    # An invalid value is reported without its content.
    arguments["dask_tls_files"] = {"ca.key": files["ca.key"].splitlines()[1]}
    done = run(tmp_path / "x", "-vvv", connection=connection(where), **arguments)
    assert done.returncode != 0 and "dask_tls_files['ca.key'] does not contain" in done.stdout + done.stderr
    assert files["ca.key"].splitlines()[1] not in done.stdout + done.stderr


def test_variable_is_secret():
    assert SETTINGS["dask_tls_files"].secret and SETTINGS["dask_tls_files"].scope == "cluster"
