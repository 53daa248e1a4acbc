#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: stage_release
short_description: Write a release on a host
version_added: "0.1.0"
description:
  - Executed on the host by M(daskops.cluster.release).
  - Validates settings with the Dask of the environment, and writes the files of a release into one directory.
author:
  - The daskops.cluster authors (@daskops)
extends_documentation_fragment:
  - daskops.cluster.internal
  - daskops.cluster.attributes.linux
  - daskops.cluster.home
attributes:
  check_mode:
    support: full
    description: Reports whether the release would be written. Validates settings only if the environment is already built.
  diff_mode:
    support: full
    description: Shows the difference from the current release, by file.
options:
  manifest:
    description: Description of the release, with its C(id), C(environment) and C(application).
    type: dict
    required: true
  environment_built:
    description: Whether the run builds the environment. In check mode, a missing environment is then not an error.
    type: bool
    default: false
  staged:
    description: Time of the change, in seconds since the epoch by the controller's clock.
    type: int
    required: true
  files:
    description: Content of the release's files, by relative path.
    type: dict
    required: true
  secret_files:
    description: Content of the files that only root may read, by relative path.
    type: dict
    required: true
  user:
    description: Account that the services will run as.
    type: str
    required: true
  groups:
    description: Groups, by name or number, that the services will have in addition to those of O(user).
    type: list
    elements: str
    default: []
  check:
    description: Settings of the user to validate, for each kind of service.
    type: list
    elements: dict
    default: []
    suboptions:
      kind:
        description: Kind of the services.
        type: str
        choices: [scheduler, worker]
        required: true
      asked:
        description: Configuration of Dask, by variable.
        type: dict
        required: true
      namespaces:
        description: Namespaces of the configuration that belong to other packages than Dask.
        type: list
        elements: str
        default: []
      nanny:
        description: Whether settings of nannies have an effect.
        type: bool
        default: false
      error_monitor:
        description: Whether failed tasks are reported.
        type: bool
        default: false
      writable:
        description: Directories that the services can write to.
        type: list
        elements: path
        default: []
      pools:
        description: Settings of the pools of workers, by name.
        type: dict
        default: {}
      arguments:
        description: Additional arguments of the scheduler.
        type: list
        elements: str
        default: []
      import_paths:
        description: Directories from which the services import modules.
        type: list
        elements: path
        default: []
  variables:
    description: Environment variables of the services, in JSON. The module removes their values from messages.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Write the release
  daskops.cluster.stage_release:
    home: /opt/dask
    user: dask
    manifest: "{{ manifest }}"
    staged: 1792233600
    files: "{{ files }}"
    secret_files: "{{ secret_files }}"
"""

RETURN = r"""
msg:
  description: See RV(daskops.cluster.release#module:msg).
  type: str
  returned: failure
"""

import contextlib
import hashlib
import json
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from typing import Any, Iterable, Mapping

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.daskops.cluster.plugins.module_utils.applications import read_application
from ansible_collections.daskops.cluster.plugins.module_utils.directories import NOBODY, become
from ansible_collections.daskops.cluster.plugins.module_utils.history import (
    link_staged,
    note_change,
    take_over_history,
)
from ansible_collections.daskops.cluster.plugins.module_utils.releases import (
    VALIDATOR,
    is_secret,
    links_of,
    manifest_text,
    python_of,
    read_links,
    read_tree,
    replace_directory,
)
from ansible_collections.daskops.cluster.plugins.module_utils.system_errors import reported
from ansible_collections.daskops.cluster.plugins.module_utils.untrusted import printable
from ansible_collections.daskops.cluster.plugins.module_utils.user_programs import run, setup_problem, with_setup

#: Values of Dask's settings that are not secrets, because messages about these settings contain them.
NO_SECRETS = ("asyncio", "auto", "false", "none", "null", "snappy", "tornado", "true", "uvloop", "zlib", "zstd")
#: Seconds that importing the preload modules and routes may take. They should only define functions.
TIMEOUT = 60
#: Files of a release with dask_environment_setup.
SETUP = "setup.sh"
SETUP_LINES = "setup.lines"


def write_tree(directory: str, files: Mapping[str, str]) -> None:
    """Write files, given by relative path and content, below ``directory``. Only root can read those with secrets."""
    for path, content in files.items():
        full = os.path.join(directory, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(
            os.open(full, os.O_WRONLY | os.O_CREAT, 0o600 if is_secret(path) else 0o644), "w", encoding="utf-8"
        ) as file:
            file.write(content)


def make_links(directory: str, links: Mapping[str, str]) -> None:
    """Make the links of a release, with their targets by name."""
    for name, target in links.items():
        os.symlink(target, os.path.join(directory, name))


# Lines of a service's environment file that the collection sets and that contain no secrets.
PUBLIC = re.compile(r"(DASKOPS_(?!SHUTDOWN_TOKEN)\w+|DASK_CONFIG|DASK_ROOT_CONFIG)=|#|\Z")


def shown(path: str, text: str) -> str:
    """Return the text of a file for ``--diff``, without secrets."""
    if path == "manifest.json":
        try:
            return json.dumps({**json.loads(text), "files": "(shown separately)"}, indent=1) + "\n"
        except (TypeError, ValueError):  # the file was edited by hand
            return text
    if not is_secret(path):
        return text
    # splitlines() would also split a secret at a form feed.
    lines = text.rstrip("\n").split("\n")
    lines = [line if PUBLIC.match(line) else line.partition("=")[0] + "=(not shown)" for line in lines]
    # This line shows the difference between two files that differ only in hidden values.
    lines.append(f"(digest of all lines: {hashlib.sha256(text.encode()).hexdigest()[:12]})")
    return "\n".join(lines) + "\n"


#: Files of a release that come with the collection and do not depend on the inventory.
OWN = re.compile(r"(run|setup)\.sh|python/daskops_runtime/.*|.*\.release")


def own_version(files: Mapping[str, str]) -> str:
    """Return a digest of the collection's own files among ``files``; empty if there are none."""
    own = {path: text for path, text in files.items() if OWN.fullmatch(path) and path.endswith((".py", ".sh"))}
    return hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()[:12] if own else ""


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> list[dict[str, str]]:
    """Return the diff of two releases for ``--diff``.

    It has every changed file that depends on the inventory, except the units, which the module `change_services` shows. If
    any of the collection's own files differ, the diff has one entry for all of them.
    """
    versions = own_version(before), own_version(after)
    own = [
        {
            "before_header": "files of the collection",
            "after_header": "files of the collection",
            "before": f"version {versions[0]}\n",
            "after": f"version {versions[1]}\n",
        }
    ]
    return (own if versions[0] and versions[0] != versions[1] else []) + [
        {
            "before_header": path,
            "after_header": path,
            "before": shown(path, before[path]) if path in before else "",
            "after": shown(path, after[path]) if path in after else "",
        }
        for path in sorted({**before, **after})
        if before.get(path) != after.get(path) and not (path.startswith("systemd/") or OWN.fullmatch(path))
    ]


def check(module: AnsibleModule, files: Mapping[str, str], links: Mapping[str, str]) -> None:
    """Fail the module if the environment's Dask rejects a setting of ``files``, and issue its warnings."""
    environment = links["environment"]
    if not module.params["check"] and SETUP_LINES not in files:
        return
    try:
        user = pwd.getpwnam(module.params["user"])
    except KeyError:
        return  # check mode on a host without the account: nothing is installed yet
    variables = json.loads(module.params["variables"] or "{}")
    problems, warnings = {}, {}  # used as ordered sets, because both kinds of service may report the same problem
    # TMPDIR may be readable by root alone, so use a directory next to the environment.
    with tempfile.TemporaryDirectory(prefix=".check-", dir=os.path.dirname(environment)) as directory:
        os.chmod(directory, 0o755)
        write_tree(directory, {path: content for path, content in files.items() if not is_secret(path)})
        make_links(directory, links)
        if SETUP_LINES in files:
            try_setup(module, user, environment, directory, variables)
        for about in module.params["check"]:
            said = ask(module, user, environment, directory, {**about, "variables": variables})
            problems.update(dict.fromkeys(said["problems"]))
            warnings.update(dict.fromkeys(said["warnings"]))
    for warning in warnings:
        module.warn(without_secrets(warning, variables))
    if problems:
        sentences = ["Dask rejects the configuration of this host. Nothing was restarted.", *problems]
        module.fail_json(msg=without_secrets(" ".join(sentences), variables))


def without_secrets(said: str, variables: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a text without the values of the user's environment variables, which error messages may contain."""
    values = [
        str(value)
        for some in variables.values()
        for name, value in some.items()
        if not (name.startswith("DASK_") and str(value).lower() in NO_SECRETS)
    ]
    for value in sorted(values, key=len, reverse=True):
        said = said.replace(value, "********") if len(value) > 3 else said
    return said


def is_answer(answer: Any) -> bool:
    """Return whether the output of `validate_config`, which runs as another user, has two lists of strings."""
    return isinstance(answer, dict) and all(
        isinstance(answer.get(name), list) and all(isinstance(said, str) for said in answer[name])
        for name in ("problems", "warnings")
    )


def enter(user: pwd.struct_passwd, groups: Iterable[str]) -> None:
    """Act as a user with additional groups in a new process, and change to the user's home directory."""
    become(user.pw_name, groups, primary=NOBODY)
    with contextlib.suppress(OSError):  # the home directory does not exist, or the user may not enter it
        os.chdir(user.pw_dir)


def service_variables(user: pwd.struct_passwd, environment: str, variables: Mapping[str, Any]) -> dict[str, str]:
    """Return the environment variables of services, without the variables with Dask's configuration."""
    general = variables.get("dask_environment_variables", {})
    return {
        "PATH": os.environ["PATH"],
        "HOME": user.pw_dir,
        "USER": user.pw_name,
        "LOGNAME": user.pw_name,
        **{name: str(value) for name, value in general.items() if not name.startswith("DASK_")},
        "DASKOPS_ENVIRONMENT": os.path.dirname(os.path.dirname(python_of(environment))),
    }


def try_setup(
    module: AnsibleModule, user: pwd.struct_passwd, environment: str, release: str, variables: Mapping[str, Any]
) -> None:
    """Execute the lines of ``dask_environment_setup`` as the services' account, and fail the module if one fails."""
    command = with_setup(["/bin/echo"], os.path.join(release, SETUP), os.path.join(release, SETUP_LINES))
    try:
        finished = run(
            command,
            lambda: enter(user, module.params["groups"]),
            service_variables(user, environment, variables),
            timeout=TIMEOUT,
        )
        problem = setup_problem(finished)
        if not problem and not finished.output:
            problem = "dask_environment_setup: a line has replaced the shell. Do not use exec."
    except subprocess.TimeoutExpired:
        problem = f"dask_environment_setup did not end within {TIMEOUT} s. Remove the line that hangs."
    except OSError as error:
        problem = f"dask_environment_setup needs Bash (/bin/bash: {error.strerror}). Install it, or remove the lines."
    if problem:
        said = f"No service would start on this host, so nothing was restarted. {problem}"
        module.fail_json(msg=without_secrets(said, variables))


def ask(
    module: AnsibleModule, user: pwd.struct_passwd, environment: str, release: str, about: Mapping[str, Any]
) -> dict[str, list[str]]:
    """Return the problems and warnings of ``daskops_runtime.validate_config``, executed as the services' user."""
    launcher = os.path.join(release, "python", "daskops_runtime", "launch.py")
    library = ":".join([os.path.join(release, "python"), os.path.join(environment, VALIDATOR)])
    python = python_of(environment)
    # Like the environment of the services, but without their configuration: an invalid one would stop the validation.
    settings = {
        **service_variables(user, environment, about["variables"]),
        "DASK_ROOT_CONFIG": os.devnull,
        "DASK_CONFIG": os.devnull,
        "PYTHONPATH": library,
        "DASKOPS_IMPORT_PATHS": ":".join(about["import_paths"]),
    }
    configuration = os.path.join(release, about["kind"], "dask_configuration.yaml")
    # Like run.sh, import nothing from the working directory, in which tasks can write.
    command = [python, "-B", "-s", launcher, "daskops_runtime.validate_config"]
    lines = os.path.join(release, SETUP_LINES)
    if os.path.exists(lines):
        command = with_setup(command, os.path.join(release, SETUP), lines)
    said = ""
    try:
        asked = {name: value for name, value in about.items() if name != "import_paths"}
        question = json.dumps({**asked, "configuration": configuration})
        finished = run(command, lambda: enter(user, module.params["groups"]), settings, question, TIMEOUT)
        said = finished.errors
        answer = json.loads(finished.output)
        if is_answer(answer):
            return answer
    except subprocess.TimeoutExpired:
        said = f"the validation did not end within {TIMEOUT} s. Check what the preload modules and routes do on import"
    except OSError as error:
        said = (
            f"{user.pw_name} cannot run {os.path.realpath(python)} ({error.strerror}). Set dask_python to an interpreter "
            "that every user may run, such as /usr/bin/python3"
        )
    except (RecursionError, ValueError):
        pass
    said = printable(without_secrets(" ".join(said.strip().splitlines()[-3:]), about["variables"])).rstrip(".")
    return module.fail_json(
        msg=f"The configuration could not be validated on this host. Nothing was restarted: {said}."
    )


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "home": {"type": "path", "required": True},
            "manifest": {"type": "dict", "required": True},
            "environment_built": {"type": "bool", "default": False},
            "staged": {"type": "int", "required": True},
            "files": {"type": "dict", "required": True},
            "secret_files": {"type": "dict", "required": True, "no_log": True},
            "user": {"type": "str", "required": True},
            "groups": {"type": "list", "elements": "str", "default": []},
            "check": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "kind": {"type": "str", "choices": ["scheduler", "worker"], "required": True},
                    "asked": {"type": "dict", "required": True},
                    "namespaces": {"type": "list", "elements": "str", "default": []},
                    "nanny": {"type": "bool", "default": False},
                    "error_monitor": {"type": "bool", "default": False},
                    "writable": {"type": "list", "elements": "path", "default": []},
                    "pools": {"type": "dict", "default": {}},
                    "arguments": {"type": "list", "elements": "str", "default": []},
                    "import_paths": {"type": "list", "elements": "path", "default": []},
                },
            },
            "variables": {"type": "str", "default": "", "no_log": True},
        },
        supports_check_mode=True,
    )
    with reported(module, "staging the release; the services were not changed"):
        stage(module)


def stage(module: AnsibleModule) -> None:
    """Stage the release, and exit the module with the difference from the current one."""
    home, manifest = module.params["home"], module.params["manifest"]
    final = os.path.join(home, "releases", manifest["id"])
    files = {
        **module.params["files"],
        **module.params["secret_files"],
        "manifest.json": manifest_text(manifest),
    }
    links = links_of(home, manifest["environment"], manifest["application"])
    current = os.path.join(home, "current")
    if read_tree(final) == files and read_links(final) == links:
        if not module.check_mode:
            note_change(home, manifest["id"], module.params["staged"])
            link_staged(home, manifest["id"])
        module.exit_json(changed=False)
    if not os.path.exists(os.path.join(links["environment"], "environment.json")):
        if not (module.check_mode and module.params["environment_built"]):
            module.fail_json(
                msg=f"The environment {manifest['environment']}, which the release needs, is not on this host. Run site.yml "
                "without --tags, or with --tags environment first."
            )
        module.exit_json(changed=True, diff=differences(read_tree(current), files))
    if "application" in links and not read_application(links["application"]):
        if not module.check_mode:  # in which the application was not installed
            module.fail_json(
                msg=f"The application {manifest['application']}, which the release needs, is not on this host. Run site.yml."
            )
        module.exit_json(changed=True, diff=differences(read_tree(current), files))
    os.umask(0o022)
    check(module, files, links)
    if not module.check_mode:
        partial = os.path.join(home, "releases", f".partial-{manifest['id']}")
        # Remove the files of an interrupted run.
        shutil.rmtree(partial, ignore_errors=True)
        take_over_history(home)
        try:
            write_tree(partial, files)
            make_links(partial, links)
            os.sync()
            replace_directory(final, partial)
        except OSError:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        # If the run is interrupted before this, the next run repeats it, because the release has no change in the history.
        note_change(home, manifest["id"], module.params["staged"])
        link_staged(home, manifest["id"])
    module.exit_json(changed=True, diff=differences(read_tree(current), files))


if __name__ == "__main__":
    main()
