"""Sockets to a server that runs in this process."""

from __future__ import annotations

import socket

from logcollector_handler.collector.server import BackgroundServer


def connect(server: BackgroundServer) -> socket.socket:
    host, port = server.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=60)


def has_ended(sock: socket.socket) -> bool:
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True
