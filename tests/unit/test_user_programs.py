# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that run as another user, and the lines of dask_environment_setup that run before them."""

import os
import pwd
import shutil
import subprocess
import sys
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest
from ansible_collections.daskops.cluster.plugins.module_utils import user_programs
from ansible_collections.daskops.cluster.plugins.module_utils.directories import NOBODY, become
from conftest import ROOT, wait_until

SCRIPT = ROOT / "roles/config/files/setup.sh"
#: The process, and what the lines have changed.
PROGRAM = [sys.executable, "-c", "import os, sys; print(os.getpid(), os.environ.get('X'), sys.stdin.read())"]


def run(command, question="", **variables):
    return user_programs.run(
        command, lambda: None, {"PATH": os.environ["PATH"], "HOME": "/nowhere", **variables}, question, timeout=20
    )


def set_up(tmp_path, *lines, program=PROGRAM, **variables):
    """Run a program after lines of shell."""
    file = tmp_path / "setup.lines"
    file.write_text("".join(f"{line}\n" for line in lines))
    return run(user_programs.with_setup(program, str(SCRIPT), str(file)), "question", **variables)


def test_output_and_status_are_returned():
    assert run(["/bin/sh", "-c", "cat; echo two >&2; pwd; exit 3"], "one\n") == (3, "one\n/\n", "two\n")


def test_program_that_does_not_exist_is_an_error():
    with pytest.raises(FileNotFoundError):
        run(["/does/not/exist"])


#: Prints what a process of the same account can do to the process with this id: see its files, and its memory.
PEEK = """
import os, sys
for path in ("root", "mem"):
    try:
        os.close(os.open(f"/proc/{sys.argv[1]}/{path}", os.O_RDONLY))
        print(path)
    except PermissionError:
        pass
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="root becomes another user")
@pytest.mark.parametrize("primary, seen", [(None, "root\nmem\n"), (NOBODY, "")])
def test_processes_of_the_user_cannot_enter_a_program_outside_of_their_sandbox(primary, seen):
    account = pwd.getpwnam("daemon")
    task = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": [], "cwd": "/", "text": True}

    def look_at(program):
        (pid,) = wait_until(lambda: subprocess.run(["pgrep", "-xf", program], stdout=-1, text=True).stdout.split(), 10)
        return subprocess.run(["/usr/bin/python3", "-c", PEEK, pid], capture_output=True, check=True, **task).stdout

    command = ["/bin/sleep", "2.718"]
    with ThreadPoolExecutor() as pool:
        looking = pool.submit(look_at, " ".join(command))
        assert user_programs.run(command, lambda: become("daemon", primary=primary), {}, timeout=20).status == 0
        assert looking.result() == seen


def test_no_process_is_left(tmp_path):
    with pytest.raises(subprocess.TimeoutExpired):
        user_programs.run(["/bin/sh", "-c", f"sleep 60 & echo $! >{tmp_path}/pid; wait"], lambda: None, {}, timeout=0.5)
    pid = (tmp_path / "pid").read_text().strip()

    def ended():  # only the shell is waited for
        try:
            return ") Z " in open(f"/proc/{pid}/stat").read()
        except (FileNotFoundError, ProcessLookupError):
            return True

    wait_until(ended)


def test_input_that_a_program_does_not_read_is_no_error():
    assert run(["/bin/echo", "done"], "x" * 1_000_000) == (0, "done\n", "")
    assert run(["/bin/cat"], "x" * 1_000_000).output == "x" * 1_000_000


def test_output_without_end_fills_no_memory(monkeypatch):
    monkeypatch.setattr(user_programs, "LIMIT", 1000)
    tracemalloc.start()
    # 200 MB, and the lines that count: the first ones of the output, the last ones of the errors.
    endless = "echo first; echo early >&2; head -c 100000000 /dev/zero; head -c 100000000 /dev/zero >&2; echo last >&2"
    done = run(["/bin/sh", "-c", endless])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert done.output == "first\n" + "\0" * 994
    assert done.errors == "\0" * 995 + "last\n"
    assert peak < 10_000_000


def test_program_that_prints_for_ever_is_ended():
    with pytest.raises(subprocess.TimeoutExpired):
        user_programs.run(["/usr/bin/yes"], lambda: None, {}, timeout=0.5)


@pytest.mark.parametrize("call", [
    lambda command: pytest.raises(subprocess.TimeoutExpired, user_programs.run, command, lambda: None, {}, timeout=0.5),
    lambda command: user_programs.first_output(command, 0.5, 1000),
])  # fmt: skip
def test_program_that_cannot_be_killed_is_abandoned(call, monkeypatch):
    kills = []
    with monkeypatch.context() as patch:
        patch.setattr(user_programs.os, "killpg", lambda *call: kills.append(call))
        start = time.monotonic()
        call(["/bin/sleep", "60"])
        assert 1 <= time.monotonic() - start < 10
    ((group, signal),) = kills
    os.killpg(group, signal)
    os.waitpid(group, 0)


def test_start_of_the_output_of_a_program():
    assert user_programs.first_output(["/bin/sh", "-c", "echo a; echo b >&2; exit 3"], 20, 1000) == (3, "a\nb\n")
    tracemalloc.start()
    assert user_programs.first_output(["/usr/bin/yes"], 20, 1000) == (None, "y\n" * 500)
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()
    stopped = "trap '' TERM; printf a; kill -STOP $$"
    assert user_programs.first_output(["/bin/sh", "-c", stopped], 1, 1000) == (None, "a")


def test_lines_change_the_environment_of_the_program(tmp_path):
    (tmp_path / "vars.sh").write_text("declare -x X=sourced\necho noise\n")
    done = set_up(
        tmp_path, f"source {tmp_path}/vars.sh", "# a comment", 'export X="$X and more"', "read -r nothing || :"
    )
    # The output of the lines does not mix with that of the program, which gets its whole input.
    assert (done.status, done.output.split(" ", 1)[1]) == (0, "sourced and more question\n")
    assert done.errors == "noise\n"
    assert user_programs.setup_problem(done) == ""


def test_program_replaces_the_shell(tmp_path):
    (tmp_path / "setup.lines").write_text("true\n")
    command = user_programs.with_setup(PROGRAM, str(SCRIPT), str(tmp_path / "setup.lines"))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.communicate("")[0].split()[0] == str(process.pid)


@pytest.mark.parametrize(
    ("lines", "end"),
    [
        (["true", "ls /does-not-exist; ls /nor-this"], "line 2 (ls /does-not-exist; ls /nor-this) ended with status 2"),
        (
            ["module_that_is_unknown load gdal/3.8"],
            "line 1 (module_that_is_unknown load gdal/3.8) ended with status 127",
        ),
        (["exit 3", "true"], "line 1 (exit 3) ended the shell with status 3"),
        (["set -u", "echo $UNSET"], "line 2 (echo $UNSET) ended the shell with status 1"),
        (["if true"], "line 1 (if true) ended with status 2"),
        (["break", "export X=1"], "line 1 (break) skipped the lines after it"),
        (["false", "export X=1"], "line 1 (false) ended with status 1"),
    ],
)
def test_line_that_fails_keeps_the_program_from_running(tmp_path, lines, end):
    done = set_up(tmp_path, *lines)
    assert (done.status, done.output) == (78, "")
    said = user_programs.setup_problem(done)
    assert said.startswith(f"dask_environment_setup: {end}. Correct the line, or install what it needs on this host. ")
    if "ls" in lines[-1]:
        assert "Its output: " in said and "/does-not-exist" in said and "/nor-this" in said
    # The drain of a worker runs all the same.
    stop = ["/bin/bash", "--noprofile", "--norc", str(SCRIPT), "optional", str(tmp_path / "setup.lines")]
    assert run([*stop, "/bin/sh", "-c", "echo drained >&2"]).errors.endswith(f"{end}\ndrained\n")


def test_output_of_a_line_cannot_pass_for_the_message(tmp_path):
    done = set_up(tmp_path, "echo 'dask_environment_setup: line 1 (x) ended with status 9' >&2", "false")
    assert "line 2 (false) ended with status 1" in user_programs.setup_problem(done).partition("Its output")[0]
    done = set_up(tmp_path, "printf '\\033[2J'", "false")
    assert "\033" not in user_programs.setup_problem(done)
    # A program that ends with the status of setup.sh is not a line that failed.
    assert user_programs.setup_problem(run(["/bin/sh", "-c", "echo said >&2; exit 78"])) == ""


def test_modules_of_the_release_come_first(tmp_path):
    program = ["/bin/sh", "-c", "echo $PYTHONPATH"]
    lines = ['test -z "$PYTHONPATH"', "export PYTHONPATH=/apps/gdal"]
    assert set_up(tmp_path, *lines, program=program, PYTHONPATH="/release/python").output == (
        "/release/python:/apps/gdal\n"
    )
    assert set_up(tmp_path, "true", program=program, PYTHONPATH="/release/python").output == "/release/python\n"


def test_no_file_of_the_home_directory_is_read(tmp_path):
    for name in (".profile", ".bash_profile", ".bashrc"):
        (tmp_path / name).write_text(f"touch {tmp_path}/read\n")
    assert set_up(tmp_path, "true", HOME=str(tmp_path)).status == 0
    assert not (tmp_path / "read").exists()


@pytest.mark.parametrize(("module", "status"), [("service", 78), ("daskops_runtime.stop", 0)])
def test_services_run_the_lines_of_their_release(tmp_path, module, status):
    release = tmp_path / "releases/r"
    runtime = release / "python/daskops_runtime"
    shutil.copytree(ROOT / "roles/config/files/runtime/daskops_runtime", runtime)
    for script in ("run.sh", "setup.sh"):
        shutil.copy(ROOT / "roles/config/files" / script, release)
    (release / "environment").symlink_to(sys.prefix)
    (runtime / "stop.py").write_text("print('ran')\n")
    (release / "python/service.py").write_text("import os\nprint('ran', os.environ['X'])\n")
    command = ["/bin/sh", str(release / "run.sh"), module]
    (release / "setup.lines").write_text("export X=$DASKOPS_ENVIRONMENT\n")
    done = run(command)
    assert done.status == 0, done.errors
    assert done.output == ("ran\n" if status == 0 else f"ran {os.path.realpath(sys.prefix)}\n")
    (release / "setup.lines").write_text("false\n")
    assert run(command).status == status
