# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The archive for someone who helps has no secrets, wherever they are."""

import io
import json
import re
import tarfile
import time

import pytest
import yaml
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.host_settings import complete
from ansible_collections.daskops.cluster.plugins.plugin_utils.support_bundle import (
    MASK,
    Masker,
    archive,
    contents,
    versions,
)
from playbook_runs import ROOT
from settled_hosts import GROUPS, SETTLED
from test_doctor import facts

KEY = "-----BEGIN PRIVATE KEY-----\nhiddenKEYline1\nhiddenKEYline2==\n-----END PRIVATE KEY-----\n"
VARIABLES = {
    "dask_shutdown_token": "hidden-shutdown",
    "dask_environment_variables": {"PLAIN": "hidden-plain", "SENTRY_DSN": "https://hiddenuser@sentry.example.org/1"},
    "dask_worker_environment_variables": {"WORD": "hidden-word"},
    "dask_dashboard_proxy_users": {"ada": "hidden-password"},
    "dask_environment_index_url": "https://u:hidden-index@pypi.example.org/simple",
    "dask_python_mirror": "https://u:hidden-mirror@example.org",
    "dask_tls_files": {"ca.key": KEY, "ca.pem": "hidden-pem-in-a-secret-variable"},
    "dask_worker_pools": {"a": {"profile": "io", "environment_variables": {"X": "hidden-pool", "N": 1234567}}},
    "dask_worker_pool_overrides": {"a": {"environment_variables": {"X": "hidden-override"}}},
    "dask_config": {"jobqueue": {"api-token": "hidden-config", "nested": [{"Password": ["hidden-list"]}]}},
    "dask_worker_import_paths": ["/shared"],
}
TEXT = f"""
{KEY}
a line with hidden-plain and hidden-pool, then 1234567
hiddenKEYline2==
password=hidden-a --token hidden-b --api-key=hidden-c "secret": "hidden-d" AWS_SECRET_ACCESS_KEY=hidden-e
Authorization: Bearer hidden-f-123456
a bearer hidden-f-123456 and https://ada:hidden-g@example.org/ and my_password: 'hidden-h'
{{\\"token\\": \\"hidden-i\\"}} DB_PASSWD='hidden-j'
-----BEGIN RSA PRIVATE KEY-----\\nhidden-k
"""


def everything():
    """Return the files of an archive for hosts whose every part has secrets."""
    values = {host: complete(VARIABLES) for host in SETTLED}
    told = {host: {**facts(host), "journal": TEXT} for host in SETTLED}
    told["w1"]["leftovers"]["processes"] = [
        {"pid": 1, "user": "a", "command": "dask-worker --password hidden-l tcp://a"}
    ]
    told["w2"] = {"msg": f"failed: {TEXT}"}
    infos = {**SETTLED, "w2": {"unreachable": True, "msg": TEXT}}
    plan = {"problems": [TEXT], "hosts": {"w1": {"environment_variables": {"A": "hidden-m"}}}, "hidden-plain": 1}
    lines = ["error [blocked] w1: hidden-plain", TEXT]
    return contents({**GROUPS, "others": ["hidden-n"]}, values, plan, infos, told, lines)


def test_no_file_has_a_secret_and_all_are_there():
    files = everything()
    hosts = {f"hosts/{host}/{name}" for host in SETTLED for name in
             ("variables.json", "host_info.json", "doctor_info.json", "journal.txt")}  # fmt: skip
    assert set(files) == {"findings.txt", "versions.json", "groups.json", "plan.json", *hosts}
    for name, text in files.items():
        assert "hidden" not in text, (name, text[max(0, text.find("hidden") - 80) :][:200])
        assert "1234567" not in text
        if name.endswith(".json"):
            json.loads(text)


def test_other_values_are_kept():
    files = everything()
    variables = json.loads(files["hosts/w1/variables.json"])
    assert variables["dask_shutdown_token"] == MASK and variables["dask_worker_import_paths"] == ["/shared"]
    assert variables["dask_environment_variables"] == {"PLAIN": MASK, "SENTRY_DSN": MASK}
    assert variables["dask_worker_pools"] == {"a": {"profile": "io", "environment_variables": {"X": MASK, "N": MASK}}}
    assert variables["dask_worker_profile"] == "numeric" and variables["dask_tls_files"].keys() == {"ca.key", "ca.pem"}
    told = json.loads(files["hosts/w1/doctor_info.json"])
    assert told["limits"] == facts("w1")["limits"] and told["leftovers"]["processes"][0]["command"].startswith(
        "dask-worker"
    )
    assert json.loads(files["hosts/w1/host_info.json"])["python"]["version"] == SETTLED["w1"]["python"]["version"]
    assert files["findings.txt"].startswith(f"error [blocked] w1: {MASK}\n")
    assert f"a line with {MASK} and {MASK}, then {MASK}" in files["hosts/s1/journal.txt"]
    assert f"https://{MASK}@example.org/" in files["hosts/s1/journal.txt"]
    assert json.loads(files["groups.json"]) == GROUPS and json.loads(files["versions.json"]) == versions()


@pytest.mark.parametrize(
    "text",
    [
        "3 tasks, no passwords here",
        "Run site.yml again. https://10.0.0.1:8787/status",
        "tls://10.0.0.1:8786, ada@example.org",
        "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----",
        "the worker is 1 of 2",
        "the password of the account is wrong, and the first pass of 2 ended; a key of the index",
        "Basic configuration of the scheduler: no cookie, no token, and no password was given",
        "2026-11-29T22:37:56+0000 w1 systemd[1]: dask-worker@1.service: Main process exited, code=exited, status=1/FAILURE",
        "distributed.worker - INFO - Starting Worker plugin secretary",
        "design: signal 9, a sig of 3; 'authorization' and \"cookies\" are words",
        "Authorizations and credentials\nof two lines: kept",
    ],
)
def test_texts_without_secrets_are_kept(text):
    assert Masker([{"dask_environment_variables": {"A": "1", "B": True, "C": ""}}]).text(text) == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("password='correct hidden battery' was given", f"password={MASK} was given"),
        ('"password": "correct \\"hidden\\" battery", "a": 1', f'"password": {MASK}, "a": 1'),
        ("password='it'\\''s hidden'", f"password={MASK}"),
        ("password='correct hidden", f"password={MASK}"),
        ("password=ab,hidden;hidden hidden\nnext", f"password={MASK}\nnext"),
        ("password=[ab]hidden hidden", f"password={MASK}"),
        ("'account_key': 'hidden'}", f"'account_key': {MASK}}}"),
        ("AccountName=a;AccountKey=hidden;Suffix=b", f"AccountName=a;AccountKey={MASK}"),
        ("connection_string: hidden", f"connection_string: {MASK}"),
        ("ENCRYPTION_KEY=hidden", f"ENCRYPTION_KEY={MASK}"),
        ("pass=hidden", f"pass={MASK}"),
        ("machine a login b password hidden", f"machine a login b password {MASK}"),
        ("with ghp_0123456789abcdef, next", f"with ghp_{MASK}, next"),
        ("https://hooks.slack.com/services/T0/B0/hidden next", f"https://hooks.slack.com/services/{MASK} next"),
        ("token: [abc, hidden] next", f"token: {MASK} next"),
        ("token: {a: hidden} next", f"token: {MASK} next"),
        ('os.environ["TOKEN"] = "a hidden"', f'os.environ["TOKEN"] = {MASK}'),
        ("Authorization: Token hidden", f"Authorization: {MASK}"),
        ("Proxy-Authorization: Basic aGlkZGVu", f"Proxy-Authorization: {MASK}"),
        ("with Basic aGlkZGVu next", f"with Basic {MASK} next"),
        ("https://user:hidden/hidden@host/a next", f"https://{MASK}@host/a next"),
        ("https://u:hidden@hidden://hidden@host/a", f"https://{MASK}@host/a"),
        ("u:p@hidden/hidden@host", f"{MASK}@host"),
        ("passwd\thidden hidden", f"passwd\t{MASK}"),
        ("pwd=hidden", f"pwd={MASK}"),
        ("DB_PWD=hidden", f"DB_PWD={MASK}"),
        ("https://host/a?b=1&sig=hidden&c=hidden", f"https://host/a?b=1&sig={MASK}"),
        ("cookie: session=hidden; b=hidden", f"cookie: {MASK}"),
        ("Set-Cookie: session=hidden", f"Set-Cookie: {MASK}"),
        ("--password 'a hidden' --next", f"--password {MASK} --next"),
        (f"{'a' * 200}password=hidden", f"{'a' * 200}password={MASK}"),
        (f"{'a ' * 1995}password=hidden{'b' * 100}", f"{'a ' * 1995}password={MASK}"),
        (f"{'a ' * 1990}https://u:hidden{'b' * 100}@host", f"{'a ' * 1990}https://{MASK}@host"),
    ],
)
def test_whole_secret_is_masked(text, left):
    assert Masker([]).text(text) == left


@pytest.mark.parametrize("text", ["a", "-", "0123456789abcdef", "token", "token ", "--a", "://", "a:", "'", "password='\\'",
                                  "basic ", " ", "\t", "\\", "-----BEGIN ", "sig=["])  # fmt: skip
def test_long_lines_are_masked_in_seconds(text):
    masker = Masker([{"dask_shutdown_token": f"{text * 10}b"}])
    whole = text * (1024**2 // len(text))
    started = time.monotonic()
    masker.text(whole)
    masker.text(re.sub("(.{3999})", r"\1\n", whole))
    assert time.monotonic() - started < 20


def test_variable_that_is_not_set_is_shown_as_empty():
    assert Masker([]).value({"dask_shutdown_token": "", "dask_tls_files": {}, "x": None}) == {
        "dask_shutdown_token": "",
        "dask_tls_files": {},
        "x": None,
    }


def test_archive_is_one_directory_that_only_its_owner_can_read():
    files = {"findings.txt": "a\n", "hosts/w%2F1/journal.txt": "ü\ud800"}
    with tarfile.open(fileobj=io.BytesIO(archive(files, 1795986775.0))) as tar:
        members = tar.getmembers()
        top = "dask-support-20261129T211255Z"
        assert [member.name for member in members] == [f"{top}/{name}" for name in files]
        assert {member.mode for member in members} == {0o600}
        assert tar.extractfile(members[0]).read() == b"a\n" and tar.extractfile(members[1]).read() == "ü?".encode()


def test_versions_have_that_of_the_collection():
    assert versions()["collection"] == yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"]


def test_name_of_a_host_is_no_path():
    files = contents({}, {"../../x": complete({})}, {}, {}, {}, [])
    assert {name.partition("/")[2].partition("/")[0] for name in files if "/" in name} == {"..%2F..%2Fx"}
