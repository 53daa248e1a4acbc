# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The form of a validation error: where, what is wrong, what to do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Problem:
    """A validation error.

    Parameters
    ----------
    where : str
        The invalid variable, group or option, or the hosts. It is the subject of the sentence.
    wrong : str
        The rest of the sentence, without the full stop.
    remedy : str
        The remedy, in full sentences.
    """

    where: str
    wrong: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.where} {self.wrong}. {self.remedy}"
