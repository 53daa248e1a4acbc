# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Close the ways to Jupyter and its kernels that need neither a token nor a certificate (``dask scheduler --jupyter``)."""

from __future__ import annotations

import importlib
import os
import sys
from importlib.util import find_spec
from typing import Any

import dask.config
from distributed import Scheduler

#: Environment variable with the token that users of Jupyter must give. Dask's own settings override Jupyter's use of it.
TOKEN = "JUPYTER_TOKEN"


def start() -> None:
    """Protect the Jupyter that a scheduler will serve. Called before the scheduler is created, which opens its ports."""
    if find_spec("jupyter_server"):  # else Dask reports that it is missing
        require_token()
        require_encryption()


def require_token() -> None:
    """Let Jupyter require the token in the environment, if there is one. Ends the process if Jupyter ignores it."""
    ServerApp = importlib.import_module("jupyter_server.serverapp").ServerApp
    initialize = ServerApp.initialize

    def initialize_with_token(self: Any, *args: Any, **options: Any) -> None:
        initialize(self, *args, **options)
        token = os.environ.get(TOKEN, "")
        if token:
            provider = getattr(self, "identity_provider", None)
            if provider is not None:
                provider.token = token
            if not getattr(provider, "auth_enabled", False):
                sys.exit(f"This Jupyter ignores {TOKEN}. Put jupyter-server 2 or newer into the lock.")

    ServerApp.initialize = initialize_with_token


def require_encryption() -> None:
    """Let the scheduler open no port without encryption, if its configuration requires encryption.

    Dask opens one on localhost for the kernels of Jupyter, with which every account of the host could run code. Kernels do
    not need it, because they inherit the scheduler's configuration with its certificate.
    """
    listen = Scheduler.listen

    async def listen_encrypted(self: Scheduler, address: Any = None, *args: Any, **options: Any) -> None:
        plain = isinstance(address, str) and address.startswith("tcp:")
        if not (plain and dask.config.get("distributed.comm.require-encryption")):
            await listen(self, address, *args, **options)

    Scheduler.listen = listen_encrypted  # type: ignore[assignment,method-assign]
