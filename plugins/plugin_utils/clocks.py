# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare the clocks of hosts with each other and with the controller's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

#: Seconds by which clocks may differ. A host without time synchronization drifts less in a week, and TLS does not reject a
#: certificate because of this difference.
TOLERANCE = 5.0


def bounds(before: float, after: float, started: float, ended: float) -> list[float]:
    """Return the bounds of the difference between a host's clock and the controller's, in seconds. Positive means ahead.

    Parameters
    ----------
    before, after : float
        Time of the controller's clock before and after the execution of the module, in seconds since the epoch.
    started, ended : float
        Two times of the host's clock during the execution, in seconds since the epoch.
    """
    return [round(ended - after, 3), round(started - before, 3)]


def certain_difference(clock: Sequence[float] | None) -> float:
    """Return the smallest possible difference in seconds, negative if the clock is behind. ``clock`` is from `bounds`."""
    least, greatest = clock or (0, 0)
    return max(least, 0) or min(greatest, 0)


def readable(difference: float) -> str:
    """Return a difference as part of a sentence, such as ``12 s behind``."""
    seconds = abs(difference)
    amount = (
        f"{seconds:.0f} s"
        if seconds < 600
        else f"{seconds / 60:.0f} min"
        if seconds < 36000
        else f"{seconds / 3600:.0f} h"
    )
    return f"{amount} {'ahead of' if difference > 0 else 'behind'}"


def apart(clocks: Mapping[str, Sequence[float]]) -> tuple[str, str, float]:
    """Return the hosts whose clocks are the first and the last, and the smallest possible difference in seconds."""
    first, last = min(clocks, key=lambda host: clocks[host][1]), max(clocks, key=lambda host: clocks[host][0])
    return first, last, clocks[last][0] - clocks[first][1]


def differing(clocks: Mapping[str, Sequence[float]]) -> Iterator[str]:
    """Yield a sentence if the clocks of hosts differ from the controller's or from each other.

    Parameters
    ----------
    clocks : dict
        Result of `bounds`, by host.
    """
    away = {host: certain_difference(clock) for host, clock in clocks.items()}
    away = {host: seconds for host, seconds in away.items() if abs(seconds) > TOLERANCE}
    remedy = "Synchronize the clocks, for example with chrony or systemd-timesyncd."
    if away:
        named = sorted(away, key=lambda host: -abs(away[host]))
        shown = "; ".join(f"{host} is {readable(away[host])} the controller" for host in named[:10])
        more = f"; and {len(named) - 10} more hosts" if len(named) > 10 else ""
        if len(away) == len(clocks) > 1 and max(away.values()) - min(away.values()) <= TOLERANCE:
            remedy = "All hosts agree, so the controller's clock is probably wrong. Synchronize it."
        yield f"Clocks differ: {shown}{more}. {remedy}"
    elif clocks:
        first, last, seconds = apart(clocks)
        if seconds > TOLERANCE:
            yield f"Clocks differ: {last} is {readable(seconds)} {first}. {remedy}"
