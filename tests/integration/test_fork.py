"""Forks and children of every kind: each ships its own records, nothing is sent twice, nobody hangs."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from typing import Any

import pytest

from tests.integration.faulty import FaultyServer
from tests.integration.programs import PRELUDE, messages, run

pytestmark = pytest.mark.integration


def test_a_forked_child_ships_its_own_records_and_none_of_its_parents(server: FaultyServer) -> None:
    ended = run(
        server,
        """
        handler = configure(flush_interval=3600, shutdown_timeout=30)
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
    assert ended.seconds < 20, "no child waits for what is its parent's"
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
                ok = handler.flush(10)
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
