"""nginx for a test: the frame of its configuration, with everything that it writes in one directory."""

from __future__ import annotations

from pathlib import Path

from tests import needed

_FRAME = """
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    scgi_temp_path {directory}/scgi;
    uwsgi_temp_path {directory}/uwsgi;
    {server}
}}
"""


def command(directory: Path, server: str) -> list[str]:
    """What starts nginx. The test is skipped where it is not installed.

    Args:
        directory: where nginx keeps its files.
        server: what stands in `http { ... }`.
    """
    program = needed.program("nginx", "nginx-light")
    config = directory / "nginx.conf"
    config.write_text(_FRAME.format(directory=directory, server=server))
    return [program, "-c", str(config), "-e", str(directory / "error.log")]
