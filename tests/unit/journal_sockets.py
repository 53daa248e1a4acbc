# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries of a host's journal, and a socket that serves them like the one of systemd."""

import json
import queue
import socket
import threading


def entry(message, unit, field="_SYSTEMD_UNIT", time="1700000000123456"):
    """Return a line of ``journalctl --output=json`` with the fields that the service asks for."""
    return (
        json.dumps({"MESSAGE": message, field: unit, "__REALTIME_TIMESTAMP": time, "__CURSOR": "s=1"}).encode() + b"\n"
    )


class JournalSocket:
    """The socket of the workers in a directory. A context manager.

    Attributes
    ----------
    connections : int
        How many connections were answered.
    """

    def __init__(self, directory):
        self.connections = 0
        self.answers = queue.Queue()
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(str(directory / "dask-worker-journal.sock"))
        self.listening.listen()
        self.thread = threading.Thread(target=self.serve)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *dummy):
        self.answers.put(None)
        self.listening.shutdown(socket.SHUT_RDWR)  # ends a wait for a connection
        self.thread.join()
        self.listening.close()

    def answer(self, *entries, close=True):
        """Answer one more connection with entries."""
        self.answers.put((b"".join(entries), close))

    def serve(self):
        while one := self.answers.get():
            content, close = one
            try:
                connection, dummy = self.listening.accept()
            except OSError:
                return
            self.connections += 1
            with connection:
                connection.sendall(content)
                if not close:
                    connection.recv(1)  # until the reader gives up
