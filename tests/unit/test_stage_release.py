# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The check of a release's configuration, and the release that a process reports."""

import glob
import json
import os
import pwd
import signal
import sys
import time

import pytest
from ansible_collections.daskops.cluster.plugins.modules import stage_release
from conftest import ROOT, RUNTIME

CHECK = {
    "import_paths": [],
    "kind": "worker",
    "asked": {"dask_config": {}},
    "namespaces": [],
    "nanny": False,
    "error_monitor": False,
    "pools": {},
}


class Failed(Exception):
    """Raised in place of the module's failure."""


class Module:
    def __init__(self, user, **asked):
        self.params = {"check": [{**CHECK, **asked}], "user": user, "groups": [], "variables": "{}"}

        self.warnings = []

    def warn(self, warning):
        self.warnings.append(warning)

    def fail_json(self, msg):
        raise Failed(msg)


def children():
    """Return the pids of this process's children, which include those of other tests' fixtures."""
    return {pid for path in glob.glob("/proc/self/task/*/children") for pid in open(path).read().split()}


@pytest.fixture
def host(tmp_path, monkeypatch):
    """Return a function that validates a configuration on a host where the user's home contains modules to import."""
    account = pwd.getpwuid(os.geteuid())
    home, environment, closed = tmp_path / "home", tmp_path / "environments/e1", tmp_path / "closed"
    environment.parent.mkdir()
    environment.symlink_to(sys.prefix)
    home.mkdir()
    for name in ("click", "difflib", "json", "re", "runpy", "yaml", "daskops_runtime"):
        (home / f"{name}.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'a').write('{name}')")
    closed.mkdir(mode=0o700)
    monkeypatch.setenv("TMPDIR", str(closed))
    monkeypatch.setattr(stage_release.tempfile, "tempdir", None)
    monkeypatch.setattr(
        stage_release.pwd,
        "getpwnam",
        lambda dummy: pwd.struct_passwd((*account[:5], str(home), account.pw_shell)),
    )
    files = {
        f"python/daskops_runtime/{os.path.basename(path)}": open(path).read()
        for path in glob.glob(f"{RUNTIME}/daskops_runtime/*.py")
    }
    files["worker/dask_configuration.yaml"] = "distributed: {worker: {preload: [], preload-argv: []}}"
    files["setup.sh"] = (ROOT / "roles/config/files/setup.sh").read_text()

    def check(more=None, application="", **asked):
        links = {"application": application} if application else {}
        module = Module(account.pw_name, **asked)
        stage_release.check(module, {**files, **(more or {})}, {"environment": str(environment), **links})
        return module.warnings

    yield check
    assert not (tmp_path / "imported").exists(), (tmp_path / "imported").read_text()
    assert not list(closed.iterdir()) and [path.name for path in (tmp_path / "environments").iterdir()] == ["e1"]


def test_configuration_is_checked_in_a_home_with_modules(host):
    host()
    with pytest.raises(Failed, match="distributed.worker.memory.targt is not a setting of Dask"):
        host(asked={"dask_config": {"distributed": {"worker": {"memory": {"targt": 1}}}}})


def test_setting_without_effect_causes_a_warning(host):
    assert host() == []
    (warning,) = host(asked={"dask_config": {"distributed": {"nanny": {"environ": {"A": 1}}}}})
    assert "distributed.nanny.environ has no effect, because there is no nanny" in warning


def test_preload_modules_may_be_in_the_import_paths(host, tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code/shared_preload.py").write_text("def dask_setup(worker):\n    pass\n")
    preload = {"distributed": {"worker": {"preload": ["shared_preload"], "preload-argv": [[]]}}}
    more = {"worker/dask_configuration.yaml": json.dumps(preload)}
    with pytest.raises(Failed, match="preload module shared_preload cannot be imported"):
        host(more)
    assert host(more, import_paths=[str(tmp_path / "code")]) == []


def test_preload_modules_may_be_in_the_application(host, tmp_path):
    (tmp_path / "a1/modules/analysis").mkdir(parents=True)
    (tmp_path / "a1/modules/analysis/__init__.py").touch()
    (tmp_path / "a1/modules/analysis/monitor.py").write_text("def dask_setup(worker):\n    pass\n")
    preload = {"distributed": {"worker": {"preload": ["analysis.monitor"], "preload-argv": [[]]}}}
    more = {"worker/dask_configuration.yaml": json.dumps(preload)}
    with pytest.raises(
        Failed, match="preload module analysis.monitor cannot be imported: .* No module named 'analysis'"
    ):
        host(more)
    assert host(more, application=str(tmp_path / "a1")) == []


@pytest.mark.parametrize("name", ["click", "json"])
def test_module_of_the_application_that_others_hide_is_rejected(host, tmp_path, name):
    (tmp_path / "a1/modules").mkdir(parents=True)
    (tmp_path / f"a1/modules/{name}.py").touch()
    with pytest.raises(
        Failed, match=f"dask_application has a module {name}, which .*: services import only one of them"
    ):
        host(application=str(tmp_path / "a1"))


@pytest.mark.parametrize(
    "answer",
    ["{}", "[" * 100_000, "[]", "[1]", "null", "nothing", "", '{"problems": [1], "warnings": []}', '{"problems": []}'],
)
def test_invalid_answer_is_an_error(host, answer):
    text = f"import sys; print({answer!r}); sys.stderr.buffer.write(b'caf\\xe9 \\x1b[2J')"
    with pytest.raises(Failed) as failed:
        host({"python/daskops_runtime/validate_config.py": text})
    assert "could not be validated on this host. Nothing was restarted: caf" in str(failed.value)
    assert "\x1b" not in str(failed.value)


def test_check_has_a_time_limit_and_leaves_no_process(host, monkeypatch, tmp_path):
    monkeypatch.setattr(stage_release, "TIMEOUT", 1)
    pid = tmp_path / "pid"
    text = (
        f"import subprocess; child = subprocess.Popen(['sleep', '60']); open({str(pid)!r}, 'w').write(str(child.pid))"
    )
    with pytest.raises(Failed, match="did not end within 1 s"):
        host({"python/daskops_runtime/validate_config.py": f"{text}\nimport time\ntime.sleep(60)"})
    deadline = time.monotonic() + 5
    while os.path.exists(f"/proc/{pid.read_text()}") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not os.path.exists(f"/proc/{pid.read_text()}") or "Z" in open(f"/proc/{pid.read_text()}/stat").read()


def test_check_stopped_by_the_user_does_not_block_the_run(host, monkeypatch):
    monkeypatch.setattr(stage_release, "TIMEOUT", 1)
    # After the check changes to the user, any process of that user can send it SIGSTOP.
    monkeypatch.setattr(stage_release, "become", lambda *dummy, **_dummy: os.kill(os.getpid(), signal.SIGSTOP))
    before = children()
    with pytest.raises(Failed, match="did not end within 1 s"):
        host()
    assert children() == before


def test_line_of_shell_that_fails_is_rejected(host):
    with pytest.raises(Failed) as failed:
        host({"setup.lines": "true\necho what is wrong; ls /does-not-exist\n"})
    said = str(failed.value)
    assert said.startswith(
        "No service would start on this host, so nothing was restarted. dask_environment_setup: line 2 "
    )
    assert "(echo what is wrong; ls /does-not-exist) ended with status 2." in said
    assert "Its output: what is wrong" in said


def test_line_of_shell_that_replaces_the_shell_is_rejected(host):
    with pytest.raises(Failed, match="a line has replaced the shell. Do not use exec."):
        host({"setup.lines": "exec true\n"})


def test_line_of_shell_that_waits_is_rejected(host, monkeypatch):
    monkeypatch.setattr(stage_release, "TIMEOUT", 1)
    with pytest.raises(Failed, match="dask_environment_setup did not end within 1 s. Remove the line that hangs."):
        host({"setup.lines": "sleep 60\n"})


def test_configuration_is_checked_after_the_lines_of_shell(host):
    preload = {"python/uses.py": "import os\nassert os.environ['LOADED'] == 'yes'\n"}
    configuration = "distributed: {worker: {preload: [uses], preload-argv: [[]]}}"
    files = {**preload, "worker/dask_configuration.yaml": configuration}
    with pytest.raises(Failed, match="preload module uses cannot be imported"):
        host(files)
    # The output of a line does not mix with the answer of the check.
    host({**files, "setup.lines": "export LOADED=yes; echo loaded\n"})


def test_interpreter_the_user_cannot_run_is_an_error(host, tmp_path):
    (tmp_path / "environments/e1").unlink()
    (tmp_path / "environments/e1/bin").mkdir(parents=True)
    (tmp_path / "environments/e1/bin/python").write_text(json.dumps({}))
    with pytest.raises(Failed, match=r"cannot run .*/python \(Permission denied\). Set dask_python to an interpreter"):
        host()
