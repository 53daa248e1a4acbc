# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""References to commits in locks, and real repositories of git on this machine."""

import base64
import functools
import http.server
import subprocess
import threading

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.git import Reference, check_out, reference
from ansible_collections.daskops.cluster.plugins.plugin_utils.locks import LockError, PackagesError
from sources import commit_all, git, write_project

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("url", "repository", "subdirectory"),
    [
        (f"git+https://a.example/x.git@{COMMIT}", "https://a.example/x.git", ""),
        (f"git+https://ada:pw@a.example:8443/x@{COMMIT}", "https://ada:pw@a.example:8443/x", ""),
        (f"git+ssh://git@a.example/x@{COMMIT}#egg=x&subdirectory=python/x", "ssh://git@a.example/x", "python/x"),
        (f"git+file:///srv/x@{COMMIT}", "file:///srv/x", ""),
        (f"git+file:/srv/x@{COMMIT}", "file:///srv/x", ""),
    ],
)
def test_reference_to_a_full_commit(url, repository, subdirectory):
    assert reference("x", url) == Reference(repository, COMMIT, subdirectory)


def test_commit_may_be_a_sha256():
    assert reference("x", f"git+https://a.example/x@{'a' * 64}").commit == "a" * 64


@pytest.mark.parametrize(
    "revision", ["main", "v1.0", COMMIT[:12], COMMIT.upper(), COMMIT + "0", "refs/heads/" + COMMIT]
)
def test_revision_that_can_move_is_rejected(revision):
    with pytest.raises(LockError) as error:
        reference("x", f"git+https://ada:canary@a.example/x@{revision}")
    assert f"with '{revision.rpartition('@')[2]}', which may name another commit later. Write the full commit" in str(
        error.value
    )
    assert f"git ls-remote https://****@a.example/x {revision}" in str(error.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (
            "git+https://a.example/x",
            "with no commit. Write the full commit of 40 hexadecimal digits after @: git ls-remote ",
        ),
        (f"git+https://ada:canary@[::1/x@{COMMIT}", "x has no valid URL. Correct it; in a password, write"),
        (f"git+ext::sh -c true@{COMMIT}", "only git+https, git+http, git+ssh, git+file are accepted"),
        (f"git+git@a.example:x@{COMMIT}", "only git+https, git+http, git+ssh, git+file are accepted"),
        (f"git+file:srv/x@{COMMIT}", "a relative path. Write git+file:// and an absolute path"),
        (
            f"git+https://a.example/x@{COMMIT}#subdirectory=../x",
            "the subdirectory '../x'. Write a path in the repository",
        ),
        (
            f"git+https://a.example/x@{COMMIT}#subdirectory=/etc",
            "the subdirectory '/etc'. Write a path in the repository",
        ),
    ],
)
def test_other_references_are_rejected(url, said):
    with pytest.raises(LockError) as error:
        reference("x", url)
    assert said in str(error.value)


@pytest.fixture
def repository(tmp_path):
    """Return the path of a repository, and its first and second commit."""
    path = write_project(tmp_path / "repository" / "python", "x").parent
    (path / "file").write_text("one")
    first = commit_all(path)
    (path / "file").write_text("two")
    return path, first, commit_all(path)


@pytest.fixture
def checked_out(repository, tmp_path):
    """Return a function that checks a commit out and returns the project's path."""

    def check(commit, subdirectory="", url=None):
        url = url or repository[0].as_uri()
        return tmp_path / check_out("x", Reference(url, commit, subdirectory), str(tmp_path / "tree"))

    return check


def test_commit_is_checked_out_with_its_history(repository, checked_out):
    path, first, dummy = repository
    git(path, "tag", "v1.0", first)
    tree = checked_out(first)
    assert (tree / "file").read_text() == "one"
    assert git(tree, "describe", "--tags") == "v1.0"


def test_project_in_a_subdirectory(repository, checked_out):
    assert (checked_out(repository[2], "python") / "pyproject.toml").exists()


def test_commit_without_a_branch_is_fetched(repository, checked_out):
    path, first, second = repository
    git(path, "reset", "--quiet", "--hard", first)
    git(path, "config", "uploadpack.allowAnySHA1InWant", "true")
    assert (checked_out(second) / "file").read_text() == "two"


def test_branch_with_the_name_of_a_commit_is_not_used(repository, checked_out):
    path, first, second = repository
    git(path, "update-ref", f"refs/heads/{first}", second)
    assert (checked_out(first) / "file").read_text() == "one"


def test_unknown_commit_is_reported(repository, checked_out):
    with pytest.raises(PackagesError, match=f"x could not be fetched from {repository[0].as_uri()}: .*{COMMIT}"):
        checked_out(COMMIT)


def test_missing_repository_is_reported(tmp_path, checked_out):
    with pytest.raises(PackagesError, match="x could not be fetched from file:.*/nowhere: fatal: .*git repository"):
        checked_out(COMMIT, url=(tmp_path / "nowhere").as_uri())


@pytest.mark.parametrize("subdirectory", ["nowhere", "file", "link"])
def test_missing_subdirectory_is_reported(repository, checked_out, subdirectory):
    path = repository[0]
    (path / "link").symlink_to("/tmp")
    with pytest.raises(PackagesError, match=f"has no directory {subdirectory} in "):
        checked_out(commit_all(path), subdirectory)


def test_missing_git_is_reported(repository, checked_out, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(PackagesError, match="x is a commit of git, and the controller has no git: install git there"):
        checked_out(repository[1])


def test_repository_of_the_caller_is_not_touched(repository, checked_out, monkeypatch, tmp_path):
    # Ansible may run in a hook of git.
    other = tmp_path / "other"
    other.mkdir()
    (other / "own").write_text("")
    before = commit_all(other)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    tree = checked_out(repository[1])
    monkeypatch.delenv("GIT_DIR")
    monkeypatch.delenv("GIT_WORK_TREE")
    assert (tree / "file").read_text() == "one"
    assert git(other, "rev-parse", "HEAD") == before and (other / "own").exists()


class Protected(http.server.SimpleHTTPRequestHandler):
    """A web server that wants a password."""

    def do_GET(self):
        wanted = "Basic " + base64.b64encode(b"ada:can/ary").decode()
        if self.headers.get("Authorization") == wanted:
            super().do_GET()
        else:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="x"')
            self.end_headers()

    def log_message(self, *dummy):
        pass


@pytest.fixture
def server(repository):
    """Return the host of a web server with the repository, which wants a password."""
    git(repository[0], "update-server-info")
    handler = functools.partial(Protected, directory=repository[0].parent)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{running.server_port}"
        running.shutdown()


@pytest.fixture(autouse=True)
def settings(monkeypatch):
    """Run git without the settings of this machine."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")


def test_password_is_used_and_in_no_command_line(repository, server, checked_out, monkeypatch):
    commands = []
    run = subprocess.run
    monkeypatch.setattr(
        subprocess, "run", lambda command, **options: commands.append(command) or run(command, **options)
    )
    tree = checked_out(repository[1], url=f"http://ada:can%2Fary@{server}/repository/.git")
    assert (tree / "file").read_text() == "one"
    assert len(commands) > 3 and "can" not in str(commands).replace("can-be", "")
    assert "can" not in (tree / ".git/config").read_text()


@pytest.mark.parametrize("credentials", ["", "ada:canary@"])
def test_wrong_password_is_reported_without_it(server, checked_out, credentials):
    with pytest.raises(PackagesError, match="x could not be fetched from http://127.0.0.1:.*fatal: ") as error:
        checked_out(COMMIT, url=f"http://{credentials}{server}/repository/.git")
    assert "canary" not in str(error.value)
