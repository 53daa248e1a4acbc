# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates and keys in the variable ``dask_tls_files``, which messages must not show."""

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.certificates import Directory, Unusable, worker_name
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.tls_files import given_files, normalized
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.validate import problems
from ansible_collections.daskops.cluster.plugins.plugin_utils.handshakes import own_problems
from certificate_directories import DASHBOARD, Own, tree
from sentences import only

CANARY = "canary7f3a9c51e2d0"
PEM = f"-----BEGIN CERTIFICATE-----\n{CANARY}\n-----END CERTIFICATE-----\n"
KEY = f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----\n"


def wrong(value):
    """Return the problems of a value of ``dask_tls_files``, which must not contain the canary."""
    found = problems({"w1": ({"dask_tls_files": value}, {})}, ["w1"])
    assert CANARY not in str(found)
    return found


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"ca.pem": PEM, "ca.key": KEY},
        {"ca.pem": f"Certificate of\n  ada\n{PEM}{PEM}".replace("\n", "\r\n"), "previous-ca.pem": PEM.rstrip()},
        {"scheduler.key": KEY.replace("PRIVATE", "EC PRIVATE"), "cross-ca.pem": PEM},
        {f"{worker_name(host)}.key": KEY for host in ("node1", "rack/1", "nœud", "10.0.0.1")},
    ],
)
def test_valid_files_are_accepted(files):
    assert wrong(files) == []


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (KEY, "dask_tls_files, set for w1, is not a dictionary."),
        (["ca.pem"], "dask_tls_files, set for w1, is not a dictionary."),
        (None, "dask_tls_files, set for w1, is empty."),
        ({"ca.crt": PEM}, "has 'ca.crt', which is not a file of certificates. Use the names in dask_tls_directory"),
        ({"../ca.pem": PEM}, "has '../ca.pem', which is not a file"),
        ({"workers/../../x.pem": PEM}, "has 'workers/../../x.pem', which is not a file"),
        ({"workers/rack/1.pem": PEM}, "has 'workers/rack/1.pem', which is not a file"),
        ({KEY: "ca.key"}, "has a name that is not a file"),
        ({f"ca.pem{CANARY * 4}": PEM}, "has a name that is not a file"),
        ({1: PEM}, "has '1', which is not a file"),
        ({"ca.key": ""}, "dask_tls_files['ca.key'], set for w1, is empty. Give a private key in PEM format"),
        ({"ca.key": " \n"}, "['ca.key'], set for w1, is empty."),
        ({"ca.key": None}, "['ca.key'], set for w1, is empty."),
        ({"ca.key": [KEY]}, "['ca.key'], set for w1, is empty."),
        ({"ca.pem": CANARY}, "['ca.pem'], set for w1, does not contain certificates in PEM format. Give the whole text"),
        ({"ca.pem": PEM.replace("\n", "\\n")}, "['ca.pem'], set for w1, does not contain certificates"),
        ({"ca.pem": PEM.replace("\n", " ")}, "['ca.pem'], set for w1, does not contain certificates"),
        ({"ca.pem": f"{PEM}{KEY}"}, "['ca.pem'], set for w1, contains a private key. Put the key into the file with .key"),
        ({"ca.key": PEM}, "['ca.key'], set for w1, does not contain a private key"),
        ({"ca.key": KEY.replace("PRIVATE", "ENCRYPTED PRIVATE")}, "does not contain a private key in PEM format without a"),
        ({"ca.key": KEY.replace("END PRIVATE", "END EC PRIVATE")}, "does not contain a private key"),
    ],
)  # fmt: skip
def test_invalid_files_are_rejected_without_their_content(files, said):
    assert said in only(wrong(files))


def test_roles_without_the_validation_reject_invalid_files_too():
    with pytest.raises(Unusable) as caught:
        Directory("/nowhere", {"ca.key": CANARY, "x": KEY})
    assert "dask_tls_files['ca.key'] does not contain" in str(caught.value) and "'x'" in str(caught.value)
    assert CANARY not in str(caught.value)


def test_texts_of_secret_managers_become_those_of_files():
    assert normalized("a\r\nb\r\n\r\n") == normalized("\na\nb") == normalized("a\rb\r") == "a\nb\n"


def test_file_in_the_variable_replaces_that_of_the_directory(copy):
    before = tree(copy)
    directory = Directory(str(copy), {"client.pem": before["scheduler.pem"]})
    assert (
        directory.read("client.pem") == before["scheduler.pem"] and directory.read("client.key") == before["client.key"]
    )
    assert directory.shown("client.pem") == "dask_tls_files['client.pem']" and directory.shown("client.key").startswith(
        "/"
    )
    assert directory.is_given("client") and not directory.authority_is_given


def test_ca_in_the_variable_hides_that_of_the_directory(copy):
    """A controller that ran before has files of a rotation, which other controllers lack."""
    before = tree(copy)
    (copy / "previous-ca.pem").write_text(before["client.pem"])
    (copy / "cross-ca.pem").write_text("of another CA")
    directory = Directory(str(copy), {"ca.pem": before["ca.pem"]})
    assert directory.trusted() == before["ca.pem"] and not directory.has("ca.key") and not directory.has("cross-ca.pem")
    assert Directory(str(copy), {"ca.key": before["ca.key"]}).trusted() == before["ca.pem"] + before["client.pem"]


def test_own_certificates_can_all_come_from_the_variable(tmp_path):
    own = Own(tmp_path / "own", client={"days": 3})
    files = {name: text.rstrip() for name, text in tree(own.path).items()}
    directory = Directory(str(tmp_path / "none"), files)
    found, warnings = own_problems(directory, False, {}, DASHBOARD)
    assert found == [] and not (tmp_path / "none").exists()
    assert only(warnings).startswith("dask_tls_files['client.pem'] expires on ")
    for name in ("scheduler", "worker"):
        assert directory.bundle(name) == Directory(str(own.path)).bundle(name)
    del files["worker.key"]
    found = own_problems(Directory(str(tmp_path / "none"), files), False, {}, DASHBOARD)[0]
    assert only(found).startswith(f"{tmp_path}/none/worker.key does not exist")


def test_rejected_own_certificate_is_named_as_in_the_variable(tmp_path):
    own = Own(tmp_path / "own", scheduler={"usages": ["CLIENT_AUTH"]})
    found = own_problems(Directory(str(tmp_path / "none"), tree(own.path)), False, {}, DASHBOARD)[0]
    assert only(found).startswith("dask_tls_files['scheduler.pem'] is rejected as the certificate of a server")


def test_given_files_have_one_line_end():
    assert given_files({"ca.pem": f"{PEM}\n\n", "ca.key": KEY.rstrip()}) == {"ca.pem": PEM, "ca.key": KEY}
