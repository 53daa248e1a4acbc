# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of sentences for users."""


def only(sentences):
    """Return the only sentence."""
    (sentence,) = sentences
    return sentence


def says(sentence, *parts):
    """Return whether a sentence contains all parts."""
    return all(part in sentence for part in parts)
