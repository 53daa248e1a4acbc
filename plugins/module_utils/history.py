# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The history of a host's releases: the file ``history.json`` in the collection's directory on the host (``home``).

The link ``current`` leads to the release that the host runs, because systemd starts services through it. The history records
the rest: the change to which a release belongs, the release before it, and the kinds of service that have served with it or
were tried with it. The file looks like this::

    {
     "releases": {
      "3f2a91c04d5e": {"staged": 1800000000, "previous": "0c5e9a7b1d3f", "served": {"worker": 1800000060}, "tried": {}}
     },
     "switch": {"release": "3f2a91c04d5e", "previous": "0c5e9a7b1d3f"}
    }

``staged`` is the start of the change by the controller's clock. The times in ``served`` and ``tried`` are by the host's
clock. All are in seconds since the epoch. ``switch`` is written before ``current`` changes, and becomes valid when
``current`` leads to its release. So a run that is interrupted before that does not change the history.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import time
from typing import Any, Callable, Iterator, TypeVar

from ansible_collections.daskops.cluster.plugins.module_utils.replacement import Replacement, sync
from ansible_collections.daskops.cluster.plugins.module_utils.takeover import old_history
from ansible_collections.daskops.cluster.plugins.module_utils.untrusted import read_text

NAME = "history.json"

#: Link to the release that the host is to run, for the metrics of services, which cannot read the history. It differs from
#: ``current`` between staging and switching, so also while a scheduler is pending.
STAGED = "staged"

#: Largest size of the file that is read, in bytes. An entry has about 200 bytes, and a host keeps a few releases.
LIMIT = 1024**2

Item = TypeVar("Item")


@dataclasses.dataclass
class Entry:
    """The history of one release."""

    staged: int = 0
    previous: str = ""
    served: dict[str, int] = dataclasses.field(default_factory=dict)
    tried: dict[str, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Switch:
    """A change of ``current`` from ``previous`` to ``release``."""

    release: str
    previous: str


@dataclasses.dataclass
class History:
    """The entries of a host's releases by id, and the latest switch if the entries do not contain it yet."""

    releases: dict[str, Entry] = dataclasses.field(default_factory=dict)
    switch: Switch | None = None

    def entry(self, release: str) -> Entry:
        """Return the entry of a release. Adds a new one if there is none."""
        return self.releases.setdefault(release, Entry())


def read_history(home: str) -> History:
    """Return the history of a host.

    If the file does not exist, the history is read from the state that an earlier version of the collection kept. A damaged
    file counts as empty. Services are not affected by that, but a rollback does not know its target.
    """
    try:
        history = _parse(read_text(os.path.join(home, NAME), LIMIT))
    except FileNotFoundError:
        history = _parse(json.dumps({"releases": old_history(home), "switch": None}))
    except (OSError, RecursionError, TypeError, ValueError):
        history = History()
    switch = history.switch
    if switch and switch.release == current_release(home):
        history.entry(switch.release).previous = switch.previous
        history.switch = None
    return history


def update_history(home: str, change: Callable[[History], None]) -> None:
    """Read the history, apply ``change`` to it, and replace the file if its content differs.

    Raises
    ------
    OSError
        If the file cannot be written. Then it is not changed.
    """
    path = os.path.join(home, NAME)
    if _content(path) == _updated(home, change):
        return
    with _locked(path + ".new") as descriptor:
        os.ftruncate(descriptor, 0)  # left by an interrupted run
        rest = _updated(home, change).encode()
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
        os.replace(path + ".new", path)
        sync(home)


def take_over_history(home: str) -> None:
    """Write the file if it does not exist, before this run changes the earlier version's state, from which it is read."""
    update_history(home, lambda history: None)


def note_change(home: str, release: str, began: int) -> None:
    """Record that a change needs a release that is on the host.

    Parameters
    ----------
    home : str
    release : str
    began : int
        Start of the change, in seconds since the epoch by the controller's clock.
    """
    update_history(home, lambda history: assign_change(history, current_release(home), release, began))


def assign_change(history: History, current: str, release: str, began: int) -> None:
    """Modify a history so that ``release`` belongs to a change, unless it already does.

    A release that was staged after the current one comes from an interrupted run, which this change continues. If the change
    needs the current release, the releases that were staged after it are no longer needed.
    """
    limit = history.releases[current].staged if current in history.releases else 0
    if release == current:
        for entry in history.releases.values():
            entry.staged = min(entry.staged, limit)
    elif history.entry(release).staged <= limit:
        history.entry(release).staged = began


def current_release(home: str) -> str:
    """Return the id of the release that ``current`` leads to; empty if there is none."""
    link = os.path.join(home, "current")
    return os.path.basename(os.path.realpath(link)) if os.path.islink(link) else ""


def link_staged(home: str, release: str) -> None:
    """Make the link `STAGED` lead to a release, unless it already does."""
    link, target = os.path.join(home, STAGED), os.path.join(home, "releases", release)
    if os.path.realpath(link) == os.path.realpath(target):
        return
    replacement = Replacement()
    replacement.link(link, target)
    try:
        replacement.prepare()
        replacement.commit()
    finally:
        replacement.discard()


def note_switch(home: str, release: str, previous: str) -> None:
    """Record that ``current`` will lead to ``release``, which replaces ``previous`` (empty if ``release`` is restored)."""

    def change(history: History) -> None:
        history.switch = Switch(release, previous) if previous else None

    update_history(home, change)


def note_use(home: str, release: str, kind: str, use: str) -> None:
    """Record that services of a kind have ``served`` or were ``tried`` with a release. Only the first time is recorded."""

    def change(history: History) -> None:
        getattr(history.entry(release), use).setdefault(kind, int(time.time()))

    update_history(home, change)


def _updated(home: str, change: Callable[[History], None]) -> str:
    """Return the content of the file after a change."""
    history = read_history(home)
    change(history)
    return json.dumps(dataclasses.asdict(history), indent=1, sort_keys=True) + "\n"


def forget_removed(home: str) -> None:
    """Remove the entries of releases that are no longer on the host."""

    def change(history: History) -> None:
        for name in list(history.releases):
            if not os.path.isdir(os.path.join(home, "releases", name)):
                del history.releases[name]

    update_history(home, change)


def _parse(text: str) -> History:
    """Return the history in a JSON text; raise TypeError or ValueError if a value has another type."""
    document = _typed(json.loads(text), dict)
    history = History()
    for name, entry in _typed(document.get("releases"), dict).items():
        entry = _typed(entry, dict)
        history.releases[name] = Entry(
            staged=_time(entry.get("staged")),
            previous=_typed(entry.get("previous"), str),
            served={kind: _time(when) for kind, when in _typed(entry.get("served"), dict).items()},
            tried={kind: _time(when) for kind, when in _typed(entry.get("tried"), dict).items()},
        )
    switch = document.get("switch")
    if switch is not None:
        switch = _typed(switch, dict)
        history.switch = Switch(_typed(switch.get("release"), str), _typed(switch.get("previous"), str))
    return history


def _typed(value: Any, kind: type[Item]) -> Item:
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is not of the type {kind.__name__}")
    return value


def _time(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise TypeError(f"{value!r} is not a time")
    return value


def _content(path: str) -> str | None:
    try:
        return read_text(path, LIMIT)
    except (OSError, ValueError):
        return None


@contextlib.contextmanager
def _locked(path: str) -> Iterator[int]:
    """Open the new file with an exclusive lock; on an error, remove it.

    The module of an interrupted run may still be draining workers, and can write at any time. The lock is on the new file
    itself. Only root can open this file, so no other user can hold the lock.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            try:
                mine = os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False))
            except FileNotFoundError:
                mine = False
            if not mine:  # another process has renamed the file in the meantime
                continue
            try:
                yield descriptor
            except OSError:
                with contextlib.suppress(OSError):
                    os.unlink(path)
                raise
            return
        finally:
            os.close(descriptor)
