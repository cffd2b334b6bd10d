"""Forks and children of every kind: each ships its own records, nothing is sent twice, nobody hangs."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from typing import Any

import pytest

from tests.integration import behaviours
from tests.integration.behaviours import Behaviour
from tests.integration.faulty import FaultyServer
from tests.integration.faulty_connections import Request
from tests.integration.programs import PRELUDE, messages, run

pytestmark = pytest.mark.integration


def test_a_forked_child_ships_its_own_records_and_none_of_its_parents(server: FaultyServer) -> None:
    ended = run(
        server,
        """
        handler = configure(flush_interval=3600, shutdown_timeout=120)
        log.info("parent before")
        children = []
        for n in range(4):
            pid = os.fork()
            if not pid:
                assert handler.stats().accepted == 0
                log.info("child %d", n)
                sys.exit(0 if handler.flush() and handler.stats().delivered == 1 else 1)
            children.append(pid)
        print([os.waitpid(pid, 0)[1] for pid in children])
        log.info("parent after")
        """,
    )
    assert ended.out.strip() == "[0, 0, 0, 0]", ended.err
    assert ended.seconds < 60, "no child waits for what is its parent's"
    assert sorted(messages(server)) == sorted(
        ["parent before", "parent after", *(f"child {number}" for number in range(4))]
    )


def test_200_forks_under_load_neither_hang_nor_repeat_a_record(server: FaultyServer) -> None:
    ended = run(
        server,
        """
        handler = configure(batch_size=50)
        log.info("warm"); handler.flush()
        stop = False
        def work(name):
            n = 0
            while not stop:
                n += 1
                log.info("%s-%d", name, n)
                time.sleep(0.0002)
        threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
        for thread in threads: thread.start()
        for n in range(200):
            pid = os.fork()
            if not pid:
                log.info("child-%d", n)
                ok = handler.flush(60)
                os._exit(0 if ok else 1)
            _, status = os.waitpid(pid, 0)
            assert status == 0, status
        stop = True
        for thread in threads: thread.join()
        """,
    )
    assert ended.code == 0, ended.err
    found = messages(server)
    assert len(found) == len(set(found))
    assert {f"child-{number}" for number in range(200)} <= set(found)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_child_of_multiprocessing_drains_at_its_end(server: FaultyServer, method: str, tmp_path: Any) -> None:
    script = tmp_path / "program.py"
    script.write_text(
        PRELUDE
        + textwrap.dedent(
            f"""
            def work(number):
                if "{method}" != "fork":
                    configure(flush_interval=3600)
                log.info("child %d", number)

            if __name__ == "__main__":
                context = multiprocessing.get_context("{method}")
                configure(flush_interval=3600)
                log.info("parent")
                children = [context.Process(target=work, args=(number,)) for number in range(3)]
                for child in children: child.start()
                for child in children: child.join()
                print([child.exitcode for child in children])
            """
        )
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "SERVER": server.url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.strip() == "[0, 0, 0]", done.stderr
    assert sorted(messages(server)) == ["child 0", "child 1", "child 2", "parent"]


def test_a_forked_child_closes_its_parents_connection_and_the_parent_goes_on_with_it(server: FaultyServer) -> None:
    ended = run(
        server,
        """
        import stat
        def sockets():
            found = {}
            for descriptor in range(256):
                try:
                    status = os.fstat(descriptor)
                except OSError:
                    continue
                if stat.S_ISSOCK(status.st_mode): found[descriptor] = status.st_ino
            return found
        before = sockets()
        handler = configure()
        log.info("before")
        assert handler.flush(30)
        opened = {each: inode for each, inode in sockets().items() if each not in before}
        assert len(opened) == 1, opened
        pid = os.fork()
        if not pid:
            os._exit(0 if sockets() == before else 1)
        print(os.waitpid(pid, 0)[1])
        log.info("after")
        assert handler.flush(30)
        print(opened.items() <= sockets().items())
        """,
    )
    assert ended.out.split() == ["0", "True"], ended.err
    assert messages(server) == ["before", "after"]


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="from there on nobody can fork in an exit handler")
def test_a_child_that_is_forked_while_its_parent_exits_has_a_whole_life(server: FaultyServer) -> None:
    def rule(request: Request) -> Behaviour:
        return behaviours.hang() if request.entries[0]["message"] == "parent" else behaviours.answer()

    server.default = rule
    ended = run(
        server,
        """
        def fork():
            pid = os.fork()
            if not pid:
                log.info("child")
                sent = handler.flush(30)
                names = sorted(each.name for each in threading.enumerate() if "logcollector" in each.name)
                print(names, sent, handler.stats().delivered, flush=True)
                os._exit(0)
            os.waitpid(pid, 0)
        # After the handler's own exit handler, that is, when the time for that is spent.
        atexit.register(fork)
        handler = configure(flush_interval=3600, shutdown_timeout=0.5)
        log.info("parent")
        """,
    )
    assert ended.out.strip() == "['logcollector-listener', 'logcollector-sender'] True 1", ended.err
    assert messages(server) == ["child"]


def test_a_child_that_is_forked_by_one_of_our_own_threads_is_none_of_them(server: FaultyServer) -> None:
    """A finalizer forks, say, and runs where the garbage collector happens to."""
    ended = run(
        server,
        """
        from logcollector_handler.delivery.process import own_threads, own_work
        handler = configure()
        log.info("parent")
        assert handler.flush(30)
        with own_work():
            pid = os.fork()
            if not pid:
                print(len(own_threads))
                log.info("child")
                print(handler.flush(30), flush=True)
                os._exit(0)
        os.waitpid(pid, 0)
        """,
    )
    assert ended.out.split() == ["0", "True"], ended.err
    assert messages(server) == ["parent", "child"]
