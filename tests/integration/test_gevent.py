"""gevent patches a process that has its handler already: nothing hangs, and what is logged arrives."""

from __future__ import annotations

import subprocess
import textwrap
import urllib.request
from collections import Counter
from pathlib import Path

import pytest

from tests.integration.faulty import FaultyServer
from tests.integration.programs import PRELUDE, messages
from tests.integration.test_process_models import end, run_file, running, wait_for_line

pytestmark = pytest.mark.integration


def program(server: FaultyServer, directory: Path, source: str) -> subprocess.CompletedProcess[str]:
    (directory / "program.py").write_text(PRELUDE + textwrap.dedent(source))
    return run_file(server, directory, "program")


@pytest.mark.parametrize("durability", ["memory", "batch", "record"])
def test_a_handler_that_is_older_than_the_patches_ships_what_greenlets_log(
    server: FaultyServer, tmp_path: Path, durability: str
) -> None:
    more = "" if durability == "memory" else f", spool_dir={str(tmp_path / 'spool')!r}, durability={durability!r}"
    ended = program(
        server,
        tmp_path,
        f"""
        handler = configure(flush_interval=3600{more})
        from gevent import monkey
        monkey.patch_all()
        import gevent

        def work(name):
            for n in range(100):
                log.info("%s-%d", name, n)
                if n % 10 == 0:
                    gevent.sleep(0.001)

        gevent.joinall([gevent.spawn(work, name) for name in "abc"], raise_error=True)
        print(handler.flush(60), handler.stats().delivered)
        handler.close()
        work("d")
        """,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "True 300\n", "")
    assert Counter(messages(server)) == Counter(f"{name}-{n}" for name in "abcd" for n in range(100))


@pytest.mark.parametrize("durability", ["memory", "batch", "record"])
def test_what_was_logged_between_the_import_of_gevent_and_its_patches_arrives_too(
    server: FaultyServer, tmp_path: Path, durability: str
) -> None:
    """A worker of gunicorn says that it boots before it is patched."""
    more = "" if durability == "memory" else f", spool_dir={str(tmp_path / 'spool')!r}, durability={durability!r}"
    ended = program(
        server,
        tmp_path,
        f"""
        from gevent import monkey
        handler = configure(flush_interval=3600{more})
        log.info("before the patches")
        monkey.patch_all()
        import gevent
        gevent.sleep(0.1)
        log.info("after the patches")
        print(handler.flush(60))
        stats = handler.stats()
        print(stats.delivered + stats.adopted.get("delivered", 0), stats.accepted == stats.delivered)
        """,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "True\n2 True\n", "")
    assert Counter(messages(server)) == Counter(["before the patches", "after the patches"])


#: What a process leaves in its spool.
LEAVES = """
handler = configure(spool_dir="spool", durability="record", flush_interval=3600)
for n in range(3):
    log.info("left %d", n)
os._exit(0)
"""
#: A process that looks out for it, and logs nothing.
LOOKS_OUT = """
from logcollector_handler.delivery import lookout
lookout.SECONDS = 0.5
handler = configure(spool_dir="spool")
def wait(sleep):
    deadline = time.monotonic() + 60
    while handler.stats().adopted.get("delivered") != 3 and time.monotonic() < deadline:
        sleep(0.05)
    print(dict(handler.stats().adopted))
"""


def looks_out(server: FaultyServer, directory: Path, source: str, before: str = "") -> str:
    assert program(server, directory, LEAVES).returncode == 0
    ended = program(server, directory, textwrap.dedent(before) + LOOKS_OUT + textwrap.dedent(source))
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


def test_a_process_that_never_logs_sends_what_lies_in_its_spool(server: FaultyServer, tmp_path: Path) -> None:
    assert looks_out(server, tmp_path, "wait(time.sleep)") == "{'delivered': 3}\n"
    assert messages(server) == [f"left {n}" for n in range(3)]


def test_the_look_out_holds_up_no_end(server: FaultyServer, tmp_path: Path) -> None:
    assert looks_out(server, tmp_path, "lookout.SECONDS = 3600") == ""
    assert messages(server) == []


def test_a_fork_in_c_while_the_look_out_sleeps_leaves_the_child_alone(server: FaultyServer, tmp_path: Path) -> None:
    out = looks_out(
        server,
        tmp_path,
        """
        import ctypes
        pid = ctypes.PyDLL(None).fork()
        if not pid:
            time.sleep(2)
            print(handler._pipelines, flush=True)
            sys.exit()
        os.waitpid(pid, 0)
        wait(time.sleep)
        """,
    )
    assert out == "{}\n{'delivered': 3}\n"
    assert messages(server) == [f"left {n}" for n in range(3)]


def test_the_look_out_of_a_process_that_is_patched_while_it_sleeps_delivers_among_its_greenlets(
    server: FaultyServer, tmp_path: Path
) -> None:
    out = looks_out(
        server,
        tmp_path,
        """
        from gevent import monkey
        monkey.patch_all()
        import gevent
        from logcollector_handler.delivery.threads import Threads
        native = monkey.get_original("threading", "get_ident")
        main, starters = native(), []
        start = Threads._start_threads
        Threads._start_threads = lambda *each: [starters.append(native()), start(*each)]
        patched.release()
        wait(gevent.sleep)
        print(starters == [main])
        """,
        # However long the patches take, the look-out sleeps until they are there.
        before="""
        import _thread, types
        from logcollector_handler.delivery import lookout
        patched, real = _thread.allocate_lock(), time.sleep
        patched.acquire()
        def sleep(seconds):
            with patched:
                real(0.05)
        lookout.time = types.SimpleNamespace(sleep=sleep)
        """,
    )
    assert out == "{'delivered': 3}\nTrue\n"
    assert messages(server) == [f"left {n}" for n in range(3)]


def test_the_look_out_of_a_process_that_was_patched_before_is_a_greenlet_and_none_in_its_child(
    server: FaultyServer, tmp_path: Path
) -> None:
    out = looks_out(
        server,
        tmp_path,
        """
        pid = gevent.os.fork()
        if not pid:
            gevent.sleep(2)
            print(handler._pipelines, flush=True)
            os._exit(0)
        os.waitpid(pid, 0)
        wait(gevent.sleep)
        """,
        before="""
        from gevent import monkey
        monkey.patch_all()
        import gevent
        """,
    )
    assert out == "{}\n{'delivered': 3}\n"
    assert messages(server) == [f"left {n}" for n in range(3)]


def test_gunicorns_gevent_workers_ship_records_though_its_master_was_configured_before_the_patches(
    server: FaultyServer, tmp_path: Path
) -> None:
    (tmp_path / "gunicorn.conf.py").write_text(
        textwrap.dedent(
            """
            import os
            preload_app, worker_class, workers, bind = True, "gevent", 2, "127.0.0.1:0"
            logconfig_dict = {
                "version": 1,
                "disable_existing_loggers": False,
                "formatters": {"plain": {"format": "%(message)s"}},
                "handlers": {
                    "console": {"class": "logging.StreamHandler", "formatter": "plain"},
                    "collector": {
                        "class": "logcollector_handler.LogCollectorHandler",
                        "server_url": os.environ["SERVER"],
                        "flush_interval": 0.2,
                    },
                },
                "root": {"level": "INFO", "handlers": ["collector"]},
                "loggers": {
                    "gunicorn.error": {"level": "INFO", "handlers": ["console", "collector"], "propagate": False},
                },
            }
            """
        )
    )
    (tmp_path / "app.py").write_text(
        textwrap.dedent(
            """
            import logging, os
            log = logging.getLogger("shop")
            log.info("loaded %d", os.getpid())

            def application(environ, start_response):
                log.info("request %s in %d", environ["PATH_INFO"], os.getpid())
                start_response("200 OK", [("Content-Type", "text/plain")])
                return [str(os.getpid()).encode()]
            """
        )
    )
    with running(server, tmp_path, "gunicorn", "app:application") as gunicorn:
        url = wait_for_line(gunicorn, "Listening at").split("Listening at: ")[1].split(" ")[0]
        workers = []
        for number in range(40):
            with urllib.request.urlopen(f"{url}/{number}", timeout=60) as answer:
                workers.append(answer.read().decode())
        out = end(gunicorn)
    found = Counter(messages(server))
    expected = [f"request /{number} in {worker}" for number, worker in enumerate(workers)]
    assert Counter({each: n for each, n in found.items() if each.startswith("request")}) == Counter(expected), out
    assert found[f"loaded {gunicorn.pid}"] == 1
    assert "logcollector-handler" not in out


def test_an_import_of_the_http_client_that_starts_a_process_waits_for_nobody(
    server: FaultyServer, tmp_path: Path
) -> None:
    """With gevent the import of httpx may do that."""
    ended = program(
        server,
        tmp_path,
        """
        from logcollector_handler.delivery import process
        # A thread that waited for itself would do so for longer than the test has.
        process._SETTING_UP_LIMIT = 3600

        class Forking:
            def find_spec(self, name, path=None, target=None):
                if name == "httpcore":
                    pid = os.fork()
                    if not pid:
                        os._exit(0)
                    os.waitpid(pid, 0)

        sys.meta_path.insert(0, Forking())
        handler = configure()
        log.info("one")
        print(handler.flush(60))
        """,
    )
    assert (ended.stdout, messages(server)) == ("True\n", ["one"])
