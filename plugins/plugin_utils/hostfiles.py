# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read lists of hosts as ``dask ssh`` and batch systems have them."""

from __future__ import annotations

import ipaddress
import re

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
# A name of digits only is a number of slots, or a mistyped address.
_NAME = re.compile(rf"(?=.*[A-Za-z]){_LABEL}(?:\.{_LABEL})*\.?")

#: What else files of batch systems and MPI have, and what to do: a pattern for a word, and the remedy.
_OTHER_FORMS = (
    (r"\[[\w.]*:[\w.]*:.*\](:\d+)?", "Write an IPv6 address without brackets. ssh_port sets the port of SSH"),
    (
        r"\[[A-Za-z_][\w.-]*(:\w+)?\]",
        "If the file is an inventory of Ansible, use it without this plugin (-i FILE), else remove the line",
    ),
    (r".*\[.*\].*", "'scontrol show hostnames' writes the names of such a list, one on a line"),
    (r".*=.*|\d+", "The file must have only names. Keep the first word of each line: awk '{print $1}'"),
    (r"[^@]+@.*", "Set ssh_username to the user, and write only the name of the host"),
    (
        r"[^:]+:\d+",
        "Write only the name of the host. ssh_port sets the port of SSH, and nworkers the number of workers",
    ),
)


class HostfileError(Exception):
    """The file has something else than names of hosts. The message is a sentence with the line and the remedy."""


def is_host(word: str) -> bool:
    """Return whether a word is the name or the address of a host."""
    try:
        ipaddress.ip_address(word)
    except ValueError:
        return _NAME.fullmatch(word) is not None and len(word) <= 253
    return True


def read_hosts(text: str) -> list[str]:
    """Return the hosts of a file in its order, each of them once, because batch systems write a line for each slot.

    Parameters
    ----------
    text : str
        Names or addresses, separated by white space. The rest of a line after ``#`` is a comment.

    Raises
    ------
    HostfileError
        If a word is something else, or if there is no host.
    """
    hosts: dict[str, None] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        for word in line.partition("#")[0].split():
            if not is_host(word):
                remedy = next(
                    (remedy for pattern, remedy in _OTHER_FORMS if re.fullmatch(pattern, word)),
                    "Write the names or addresses of hosts, one on a line",
                )
                raise HostfileError(f"line {number} has {word!r}, which is not the name of a host. {remedy}.")
            hosts[word] = None
    if not hosts:
        raise HostfileError("has no hosts. Write their names or addresses, one on a line.")
    return list(hosts)


def divide(hosts: list[str], scheduler: str, works: bool) -> tuple[str, list[str]]:
    """Return the scheduler's host and the hosts of workers.

    Parameters
    ----------
    hosts : list of str
        All hosts.
    scheduler : str
        The scheduler's host, which need not be one of them; empty for the first one.
    works : bool
        Whether the scheduler's host has workers although there are other hosts.
    """
    first = scheduler or hosts[0]
    others = [host for host in hosts if host != first]
    return first, [first, *others] if works or not others else others
