# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Call functions with the permissions of another user of the host."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import select
import signal
import struct
import time
from collections.abc import Callable, Iterable
from typing import Any

from ansible_collections.daskops.cluster.plugins.module_utils.directories import (
    NOBODY,
    become,
    group_number,
    set_ids,
)
from ansible_collections.daskops.cluster.plugins.module_utils.safe_paths import Step, first_changeable, steps

#: Bytes that a function may return as JSON.
LIMIT = 16 * 1024**2

#: Tags of entries in POSIX access control lists, which the kernel defines in linux/posix_acl.h.
ACL_USER, ACL_OWNING_GROUP, ACL_GROUP, ACL_MASK = 0x02, 0x04, 0x08, 0x10


def act_as(user: str | int, groups: Iterable[str] = (), effective: bool = False, primary: int | None = None) -> None:
    """Drop root's permissions for good and act as a user, or as ``nobody`` if the user does not exist yet.

    Parameters
    ----------
    user : str or int
        Name or id.
    groups : iterable of str
        Names or ids of additional groups of the process.
    effective : bool
        Whether to change only the effective ids; see `directories.set_ids`.
    primary : int, optional
        See `become`.
    """
    if os.geteuid() != 0:
        return
    try:
        become(pwd.getpwuid(user).pw_name if isinstance(user, int) else user, groups, effective, primary)
    except KeyError:
        os.setgroups([number for number in map(group_number, groups) if number is not None])
        set_ids(user if isinstance(user, int) else NOBODY, NOBODY, effective)


def _end(child: int) -> None:
    """Kill a child process, and wait for its end for at most a second.

    A process that waits for a dead file server or for a broken driver does not end. It is abandoned.
    """
    os.kill(child, signal.SIGKILL)
    deadline = time.monotonic() + 1.0
    while not os.waitpid(child, os.WNOHANG)[0] and time.monotonic() < deadline:
        time.sleep(0.001)


def _without_standard_files() -> None:
    """Detach this process from its standard files. Ansible waits until each process with its pipes has ended."""
    null = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)


def as_user(
    user: str | int,
    function: Callable[[], Any],
    timeout: float = 10.0,
    groups: Iterable[str] = (),
    effective: bool = False,
) -> Any:
    """Call a function in a child process that has the permissions of a user; see `in_child`.

    Parameters
    ----------
    user : str or int
        Name or id of the user.
    function : callable
        Takes no arguments. Its result must be serialisable as JSON.
    timeout : float
        Seconds that the function may take.
    groups : iterable of str
        Names or ids of additional groups of the child process.
    effective : bool
        Whether to change only the effective ids, so that processes of the user cannot stop or end the child process. For
        functions that run nothing of the user, and do not call `os.access`, which tests the real ids.
    """
    return in_child(function, timeout, lambda: act_as(user, groups, effective))


def in_child(function: Callable[[], Any], timeout: float, enter: Callable[[], Any] = lambda: None) -> Any:
    """Call a function in a child process, and return its result. The child is not waited for beyond its time.

    Parameters
    ----------
    function : callable
        Takes no arguments. Its result must be serialisable as JSON.
    timeout : float
        Seconds that the function may take.
    enter : callable
        Called in the child process before the function.

    Raises
    ------
    OSError
        If the function raises an OSError.
    TimeoutError
        If the function takes longer than ``timeout``.
    ValueError
        If the function raises a ValueError, or its result is longer than `LIMIT`.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(reading)
            _without_standard_files()
            enter()
            try:
                answer = {"returned": function()}
            except OSError as error:
                answer = {"errno": error.errno, "strerror": error.strerror or str(error)}
            except ValueError as error:
                answer = {"wrong": str(error)}
            with os.fdopen(writing, "wb") as file:
                file.write(json.dumps(answer).encode())
        finally:
            os._exit(0)
    os.close(writing)
    parts: list[bytes] = []
    size, deadline = 0, time.monotonic() + timeout
    try:
        while parts[-1:] != [b""]:
            if not select.select([reading], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise TimeoutError(f"no answer within {timeout:g} s")
            parts.append(os.read(reading, 65536))
            size += len(parts[-1])
            if size > LIMIT:
                raise ValueError(f"the answer is longer than {LIMIT} bytes")
    finally:
        os.close(reading)
        _end(child)
    answer = json.loads(b"".join(parts) or b"{}")
    if "strerror" in answer:
        raise OSError(*[one for one in (answer["errno"], answer["strerror"]) if one is not None])
    if "wrong" in answer:
        raise ValueError(answer["wrong"])
    if "returned" not in answer:
        raise ValueError("the child process ended without an answer")
    return answer["returned"]


def may_write(path: str, about: os.stat_result) -> bool:
    """Return whether the effective ids of this process, which does not own the path, have the permission to write to it.

    `os.access` can compare effective ids only since Linux 5.8 and glibc 2.33. Before, it answers for the real ones.
    """
    mine, groups = {os.getegid(), *os.getgroups()}, []
    try:
        entries = list(struct.iter_unpack("<HHI", os.getxattr(path, "system.posix_acl_access")[4:]))
    except OSError:  # there is no list
        groups += [about.st_mode >> 3] if about.st_gid in mine else []
    else:
        mask = next((bits for tag, bits, dummy in entries if tag == ACL_MASK), 7)
        users = [bits for tag, bits, number in entries if tag == ACL_USER and number == os.geteuid()]
        owning = [bits for tag, bits, dummy in entries if tag == ACL_OWNING_GROUP and about.st_gid in mine]
        named = [bits for tag, bits, number in entries if tag == ACL_GROUP and number in mine]
        groups += [bits & mask for bits in users or owning + named]
    return any(bits & 0o2 for bits in groups or [about.st_mode])


def changeable(user: str, path: str, groups: Iterable[str] = ()) -> str:
    """Return the first directory, link or file on the way to a path that a user can replace or write to.

    Parameters
    ----------
    user : str
        Name of the user. A user that does not exist yet counts as ``nobody``.
    path : str
        An absolute path, existing or not.
    groups : iterable of str
        Names or ids of additional groups of the user's processes.

    Returns
    -------
    str
        The path of this directory, link or file; empty if there is none.
    """

    def look() -> str:
        found = _steps(path)  # root may pass directories that the user cannot pass
        act_as(user, groups, effective=True)
        return (_changeable(found) or _changeable(_steps(path))) if os.geteuid() else ""

    return in_child(look, timeout=10.0)


def _steps(path: str) -> list[Step]:
    """Return the result of `safe_paths.steps` up to the first step that this process cannot reach."""
    found = []
    with contextlib.suppress(OSError):
        for step in steps(path):
            found.append(step)
    return found


def _changeable(found: Iterable[Step]) -> str:
    """Return the first of these steps that this process can replace or write to; empty if there is none."""
    return first_changeable(found, lambda about: about.st_uid == os.geteuid(), may_write)
