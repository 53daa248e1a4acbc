#!/usr/bin/python
# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: client_bundle
short_description: Write or remove the files with which an account connects to a cluster
version_added: "0.1.0"
description:
  - Writes files into the directory from which the account that runs the module reads its Dask configuration. C(Client())
    then connects to the cluster. Other uses of Dask by this account do not change.
  - Replaces the files of another cluster, and the files of an earlier version of this collection.
  - If root runs the module, fails if another user can change the directory.
author:
  - The daskops.cluster authors (@daskops)
extends_documentation_fragment:
  - daskops.cluster.attributes.linux
attributes:
  check_mode:
    support: full
    description: Reports what would change.
  diff_mode:
    support: full
    description: Shows the configuration file and the names of the other files.
options:
  directory:
    description: Directory of the files. Dask reads C(~/.config/dask) by default.
    type: path
    default: ~/.config/dask
  state:
    description:
      - V(present) writes the files.
      - V(absent) removes them, unless they are for a cluster at another address.
    type: str
    choices: [present, absent]
    default: present
  address:
    description: Address of the cluster's scheduler, such as V(tls://scheduler.example.org:8786).
    type: str
    required: true
  dashboard:
    description: URL of the cluster's dashboard. Required with O(state=present).
    type: str
  authorities:
    description: Certificates of the trusted CAs, in PEM format. Without them, the connection is not encrypted.
    type: list
    elements: str
    default: []
  certificate:
    description: Certificate of the client, in PEM format.
    type: str
    default: ""
  key:
    description: Private key of the client, in PEM format.
    type: str
    default: ""
  preload:
    description: Source code of the preload module that makes C(Client()) connect. Required with O(state=present).
    type: str
  lock:
    description:
      - Text of the lock of the cluster's environment. Required with O(state=present).
      - C(file:daskops-wheels) in the text is replaced by the URL of the directory with O(wheels).
    type: str
  wheels:
    description: Content of the wheels that the lock refers to, in base64, by file name.
    type: dict
    default: {}
seealso:
  - plugin: daskops.cluster.client_lock
    plugin_type: filter
    description: Returns the lock and the wheels for O(lock) and O(wheels).
"""

EXAMPLES = r"""
- name: Let ada connect to a cluster without TLS
  daskops.cluster.client_bundle:
    address: tcp://10.0.0.1:8786
    dashboard: http://10.0.0.1:8787/status
    preload: "{{ lookup('ansible.builtin.file', 'daskops_client.py') }}"
    lock: "{{ lookup('ansible.builtin.file', 'lock.txt') }}"

- name: Remove the files from ada's account
  daskops.cluster.client_bundle:
    state: absent
    address: tcp://10.0.0.1:8786
"""

RETURN = r"""
directory:
  description: Directory of the files, as an absolute path.
  type: str
  returned: success
  sample: /home/ada/.config/dask
files:
  description: Names of the files that were written or removed.
  type: list
  elements: str
  returned: success
  sample: [daskops-client.pem, daskops.yaml]
other:
  description: Address of the other cluster to which the files belong, so that they were not removed.
  type: str
  returned: with O(state=absent), if the files belong to another cluster
  sample: tls://10.0.9.1:8786
"""

import base64
import glob
import hashlib
import json
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.daskops.cluster.plugins.module_utils.safe_paths import changeable_by_others

HEADER = "# How to connect to a Dask cluster, written by daskops.cluster."
CONFIGURATION = "daskops.yaml"
AUTHORITIES = "daskops-ca.pem"
CERTIFICATE = "daskops-client.pem"
PRELOAD = "daskops_client.py"
LOCK = "daskops-environment.txt"
#: Mode of each file of a bundle. The configuration is written last, because it names the others.
FILES = {AUTHORITIES: 0o644, CERTIFICATE: 0o600, PRELOAD: 0o644, LOCK: 0o644, CONFIGURATION: 0o600}
#: Directory of the wheels that the lock names.
WHEELS = "daskops-wheels"
#: Bytecode of the preload.
BYTECODE = "__pycache__/daskops_client.*.pyc"


class Rejected(Exception):
    """The module must not write to the directory. The message has the reason and the remedy."""


def write_configuration(directory: str, address: str, dashboard: str, encrypted: bool) -> str:
    """Return the text of the configuration file.

    It contains the paths of certificates and not their text, because Dask passes its configuration to other processes, also
    on the command line.
    """
    security = None
    if encrypted:
        security = {
            "require_encryption": True,
            "tls_ca_file": os.path.join(directory, AUTHORITIES),
            "tls_client_cert": os.path.join(directory, CERTIFICATE),
            "tls_client_key": os.path.join(directory, CERTIFICATE),
        }
    client = {"address": address, "security": security}
    return (
        f"{HEADER}\n"
        "# The preload makes Client() connect to this cluster, and changes nothing else. Without the preload, write:\n"
        '# Client(**dask.config.get("daskops.client"))\n'
        "daskops:\n"
        f"  client: {json.dumps(client)}\n"
        f"  dashboard: {json.dumps(dashboard)}\n"
        "distributed:\n"
        "  client:\n"
        f"    preload: [{json.dumps(os.path.join(directory, PRELOAD))}]\n"
    )


def read_address(text: str) -> str | None:
    """Return the cluster's address in a configuration file of any version of this collection; None for other files."""
    if not text.startswith(HEADER):
        return None
    earlier = re.search(r"^scheduler-address: (\S+)$", text, re.MULTILINE)
    if earlier:
        return earlier[1]
    found = re.search(r"^  client: (\{.*\})$", text, re.MULTILINE)
    try:
        return json.loads(found[1])["address"] if found else None
    except (ValueError, KeyError, TypeError):
        return None


def check_owner(directory: str) -> None:
    """Raise Rejected if this runs as root and another user could replace the directory with a symbolic link."""
    if os.geteuid() == 0 and (path := changeable_by_others(directory)):
        raise Rejected(
            f"dask_client_directory {directory}: other users can change {path}, so root does not write there. Connect as"
            " the user to whom the directory belongs, such as with ansible_user on a host in the group dask_clients."
        )


def read(path: str) -> tuple[str, int] | tuple[None, None]:
    """Return the content and the mode of a file; None and None if it does not exist or is a symbolic link."""
    try:
        if os.path.islink(path):
            return None, None
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(), stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    except FileNotFoundError:
        return None, None


def write(path: str, content: bytes, mode: int) -> None:
    """Replace a file in one step, with its mode. A symbolic link is replaced, not followed."""
    new = f"{path}.{os.getpid()}.new"
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)
        os.replace(new, path)
    except OSError:
        if os.path.lexists(new):
            os.unlink(new)
        raise


def remove(path: str) -> None:
    """Remove a file if it exists."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def compare(directory: str, wanted: Mapping[str, str | None]) -> list[str]:
    """Return the names of files that differ from ``wanted`` (None: no file), in the order of `FILES`."""
    differing = []
    for name, mode in FILES.items():
        path = os.path.join(directory, name)
        text = wanted[name]
        if text is None and os.path.lexists(path) or text is not None and read(path) != (text, mode):
            differing.append(name)
    return differing


def compare_wheels(directory: str, given: Mapping[str, str]) -> dict[str, bytes | None]:
    """Return the content of new or changed wheels by file name, None for wheels that are no longer given."""
    contents = {os.path.basename(name): base64.b64decode(content) for name, content in given.items()}
    present = [] if os.path.islink(directory) or not os.path.isdir(directory) else os.listdir(directory)
    differing: dict[str, bytes | None] = {
        name: None for name in present if name.endswith(".whl") and name not in contents
    }
    for name, content in contents.items():
        path = os.path.join(directory, name)
        if name not in present or os.path.islink(path) or hash_of(path) != hashlib.sha256(content).hexdigest():
            differing[name] = content
    return differing


def hash_of(path: str) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def replace_wheels(directory: str, differing: Mapping[str, bytes | None]) -> None:
    """Write and remove wheels; removes the directory when it is empty."""
    if not differing:
        return
    if os.path.islink(directory):
        os.unlink(directory)
    os.makedirs(directory, exist_ok=True)
    for name, content in differing.items():
        path = os.path.join(directory, name)
        if content is None:
            remove(path)
        else:
            write(path, content, 0o644)
    if not os.listdir(directory):
        os.rmdir(directory)


def show(text: str | None) -> str:
    """Return a configuration without certificates and keys, for a diff. An earlier version held the private key."""
    return re.sub(r"-----BEGIN.*?-----END[^\n]*", "(a certificate or key)", text or "", flags=re.DOTALL)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "default": "~/.config/dask"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "address": {"type": "str", "required": True},
            "dashboard": {"type": "str"},
            "authorities": {"type": "list", "elements": "str", "default": []},
            "certificate": {"type": "str", "default": ""},
            "key": {"type": "str", "default": "", "no_log": True},
            "preload": {"type": "str"},
            "lock": {"type": "str"},
            "wheels": {"type": "dict", "default": {}},
        },
        required_if=[("state", "present", ("dashboard", "preload", "lock"))],
        supports_check_mode=True,
    )
    given = module.params
    directory = os.path.abspath(given["directory"])
    result = {"directory": directory}
    wanted: dict[str, str | None] = dict.fromkeys(FILES)
    try:
        check_owner(directory)
        before = read(os.path.join(directory, CONFIGURATION))[0]
        if given["state"] == "present":
            encrypted = bool(given["authorities"])
            if given["address"].startswith("tls://") and not encrypted:
                raise Rejected(
                    f"authorities is empty, but {given['address']} needs the certificate of its CA. Run site.yml, or correct"
                    " dask_tls_directory."
                )
            if encrypted:
                wanted[AUTHORITIES] = "".join(text.rstrip("\n") + "\n" for text in given["authorities"])
                wanted[CERTIFICATE] = given["certificate"].rstrip("\n") + "\n" + given["key"].rstrip("\n") + "\n"
            wanted[PRELOAD] = given["preload"]
            wanted[LOCK] = given["lock"].replace(f"file:{WHEELS}", Path(directory, WHEELS).as_uri())
            wanted[CONFIGURATION] = write_configuration(directory, given["address"], given["dashboard"], encrypted)
        elif before is not None and read_address(before) != given["address"]:
            module.exit_json(changed=False, files=[], other=read_address(before) or "", **result)
        names = compare(directory, wanted)
        wheels = compare_wheels(os.path.join(directory, WHEELS), given["wheels"])
        if (names or wheels) and not module.check_mode:
            os.makedirs(directory, exist_ok=True)
            replace_wheels(os.path.join(directory, WHEELS), wheels)
            # Remove in the opposite order: the configuration first.
            for name in names if given["state"] == "present" else reversed(names):
                path = os.path.join(directory, name)
                text = wanted[name]
                if text is None:
                    remove(path)
                else:
                    write(path, text.encode(), FILES[name])
        if given["state"] == "absent" and not module.check_mode:
            for path in glob.glob(os.path.join(glob.escape(directory), BYTECODE)):
                remove(path)
                if not os.listdir(os.path.dirname(path)):
                    os.rmdir(os.path.dirname(path))
    except Rejected as e:
        module.fail_json(msg=str(e))
    except OSError as e:
        module.fail_json(
            msg=f"dask_client_directory {directory}: {e.strerror}: {e.filename or directory}. Make the directory writable"
            " for the account that connects, or name another one."
        )
    after = wanted[CONFIGURATION]
    result["diff"] = [
        {"before_header": CONFIGURATION, "after_header": CONFIGURATION, "before": show(before), "after": after or ""},
        {"prepared": "".join(f"{'remove' if wanted[name] is None else 'write'} {name}\n" for name in names)},
    ]
    names += [f"{WHEELS}/{name}" for name in sorted(wheels)]
    module.exit_json(changed=bool(names), files=names, **result)


if __name__ == "__main__":
    main()
