"""The handler under the process models of real frameworks, with plain logging: gunicorn, Celery, gevent, executors."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.faulty import FaultyServer
from tests.integration.programs import PRELUDE, messages

pytestmark = pytest.mark.integration


def write(directory: Path, name: str, source: str) -> None:
    (directory / f"{name}.py").write_text(PRELUDE + textwrap.dedent(source))


def environment(server: FaultyServer, directory: Path) -> dict[str, str]:
    path = filter(None, [str(directory), os.environ.get("PYTHONPATH")])
    return {**os.environ, "SERVER": server.url, "PYTHONPATH": os.pathsep.join(path)}


def run_file(server: FaultyServer, directory: Path, name: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, f"{name}.py"],
        cwd=directory,
        env=environment(server, directory),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@contextmanager
def running(server: FaultyServer, directory: Path, *command: str) -> Iterator[subprocess.Popen[str]]:
    """A program that goes on until it is told to end; with all of its children, whatever happens."""
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=directory,
        env=environment(server, directory),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        if process.stdout is not None:
            process.stdout.close()
        process.wait()


def end(process: subprocess.Popen[str]) -> str:
    """Asked to end, it does, and orderly."""
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, out
    return out


def wait_for_line(process: subprocess.Popen[str], *words: str) -> str:
    """The first line that has one of these words in it."""
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if any(word in line for word in words):
            return line
    raise AssertionError("".join(seen))


@pytest.mark.parametrize("preload", [True, False])
def test_gunicorn_workers_ship_their_records_and_so_does_the_master(
    server: FaultyServer, tmp_path: Path, preload: bool
) -> None:
    write(
        tmp_path,
        "app",
        """
        configure(flush_interval=0.5)
        log.info("loaded %d", os.getpid())

        def application(environ, start_response):
            log.info("request %s in %d", environ["PATH_INFO"], os.getpid())
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [str(os.getpid()).encode()]
        """,
    )
    options = ["--workers", "3", "--bind", "127.0.0.1:0", *(["--preload"] if preload else [])]
    with running(server, tmp_path, "gunicorn", *options, "app:application") as gunicorn:
        url = wait_for_line(gunicorn, "Listening at").split("Listening at: ")[1].split(" ")[0]
        workers = []
        for number in range(60):
            with urllib.request.urlopen(f"{url}/{number}", timeout=60) as answer:
                workers.append(answer.read().decode())
        out = end(gunicorn)
    found = messages(server)
    assert sorted(each for each in found if each.startswith("request")) == sorted(
        f"request /{number} in {worker}" for number, worker in enumerate(workers)
    )
    loaded = [each for each in found if each.startswith("loaded")]
    assert loaded == [f"loaded {gunicorn.pid}"] if preload else len(loaded) == len(set(loaded)) == 3
    assert "logcollector-handler" not in out


def test_celery_children_that_end_after_one_task_ship_what_it_logged(server: FaultyServer, tmp_path: Path) -> None:
    (tmp_path / "queue").mkdir()
    write(
        tmp_path,
        "tasks",
        """
        from celery import Celery
        from celery.signals import setup_logging

        app = Celery("tasks", broker="filesystem://")
        app.conf.update(
            broker_transport_options={
                "data_folder_in": "queue", "data_folder_out": "queue", "polling_interval": 0.05
            },
            worker_prefetch_multiplier=1,
            task_ignore_result=True,
        )

        @setup_logging.connect
        def set_up(**_):
            configure(flush_interval=3600)
            logging.getLogger().setLevel("WARNING")
            log.setLevel("INFO")
            log.info("worker %d", os.getpid())

        @app.task
        def work(number):
            log.info("task %d in %d", number, os.getpid())
        """,
    )
    options = ["--pool", "prefork", "--concurrency", "2", "--max-tasks-per-child", "1", "--without-heartbeat"]
    send = "import tasks; [tasks.work.delay(n) for n in range(10)]"
    subprocess.run(
        [sys.executable, "-c", send], cwd=tmp_path, env=environment(server, tmp_path), check=True, timeout=60
    )
    with running(server, tmp_path, "celery", "-A", "tasks", "worker", *options, "--without-gossip") as celery:
        # A worker of a busy machine has more to say, of processes that come up late.
        count = 10
        while sum(each.startswith("task") for each in messages(server)) < 10:
            count = len(server.wait_for_stored(count, timeout=60)) + 1
        end(celery)
    found = messages(server)
    tasks = [each.split(" ") for each in found if each.startswith("task")]
    assert sorted(int(words[1]) for words in tasks) == list(range(10))
    assert len({words[3] for words in tasks}) == 10, "a child for each"
    assert [each for each in found if each.startswith("worker")] == [f"worker {celery.pid}"]


def test_gevent_greenlets_log_while_the_sender_runs_among_them(server: FaultyServer, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        "from gevent import monkey\nmonkey.patch_all()\nimport gevent\n"
        + PRELUDE
        + textwrap.dedent(
            """
            handler = configure(batch_size=100, max_queue_size=200, overflow="block")
            # The greenlet of the parent's request comes along into the child, where its client tells how it ended.
            logging.getLogger("httpcore").setLevel("INFO")

            def work(name):
                for n in range(500):
                    log.info("%s-%d", name, n)
                    if n % 50 == 0:
                        gevent.sleep(0.001)

            greenlets = [gevent.spawn(work, name) for name in "abcd"]
            gevent.joinall(greenlets, raise_error=True)
            print(handler.flush(60), handler.stats().delivered, dict(handler.stats().dropped))
            pool = gevent.get_hub().threadpool
            pool.apply(work, ("native",))
            child = gevent.os.fork()
            if not child:
                log.info("child")
                os._exit(0 if handler.flush(60) else 1)
            print(os.waitpid(child, 0)[1])
            log.info("last")
            """
        )
    )
    ended = run_file(server, tmp_path, "program")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == ["True 2000 {}", "0"]
    assert "logcollector-handler" not in ended.stderr
    expected = {f"{name}-{n}" for name in ("a", "b", "c", "d", "native") for n in range(500)} | {"child", "last"}
    assert Counter(messages(server)) == Counter(expected)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_process_pool_ships_what_its_workers_log(server: FaultyServer, tmp_path: Path, method: str) -> None:
    write(
        tmp_path,
        "program",
        f"""
        from concurrent.futures import ProcessPoolExecutor

        def begin():
            if "{method}" != "fork":
                configure(flush_interval=3600)

        def work(number):
            log.info("job %d", number)
            return number

        if __name__ == "__main__":
            configure(flush_interval=3600)
            log.info("parent")
            context = multiprocessing.get_context("{method}")
            with ProcessPoolExecutor(3, context, begin) as pool:
                print(sum(pool.map(work, range(100))))
        """,
    )
    ended = run_file(server, tmp_path, "program")
    assert ended.stdout == "4950\n", ended.stderr
    assert ended.stderr == ""
    assert Counter(messages(server)) == Counter(["parent", *(f"job {number}" for number in range(100))])
