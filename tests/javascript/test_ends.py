"""How a process of Node ends: what was logged arrives within the deadline, or is in the spool."""

from __future__ import annotations

import gzip
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.integration.behaviours import answer, hang
from tests.integration.faulty import FaultyServer
from tests.javascript.conftest import PATIENT, App

pytestmark = pytest.mark.integration

START = """
import { createLogClient } from "logcollector-handler";
const log = createLogClient();
for (let number = 0; number < 2500; number++) log.info(`m${number}`, { number });
"""
LOGGED = [f"m{number}" for number in range(2500)]
#: For tests of a short deadline: the worker is up, which takes long on a busy machine, and has everything.
AND_HANDED_OVER = "await log.flush(1);"

#: How it ends, and its exit code.
ENDINGS = {
    "end of the script": ("", 0),
    "process.exit": ("process.exit(3);", 3),
    "process.exit in a while": ("setTimeout(() => process.exit(4), 300);", 4),
    "throw": ("throw new TypeError('boom');", 1),
    "throw in a timer": ("setTimeout(() => { throw new TypeError('boom'); }, 100);", 1),
    "a rejection": ("Promise.reject(new TypeError('boom'));", 1),
    "SIGTERM at once": ("process.kill(process.pid, 'SIGTERM'); setInterval(() => {}, 1000);", -signal.SIGTERM),
    "SIGINT, when the worker is up": (
        "setTimeout(() => process.kill(process.pid, 'SIGINT'), 500); setInterval(() => {}, 1000);",
        -signal.SIGINT,
    ),
    "a handler of the application": (
        "process.on('SIGTERM', () => process.exit(5)); process.kill(process.pid, 'SIGTERM'); setInterval(() => {}, 9);",
        5,
    ),
    "beforeExit": ("process.on('beforeExit', () => process.exit(6));", 6),
}


def messages(server: FaultyServer) -> list[str]:
    return [str(entry["message"]) for entry in server.stored]


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_was_logged_before_the_end_of_the_process_arrives(app: App, server: FaultyServer, ending: str) -> None:
    how, code = ENDINGS[ending]
    ended = app.run(START + how)
    assert ended.code == code, ended.err
    uncaught = ["TypeError: boom"] if "boom" in how else []
    assert messages(server) == LOGGED + uncaught
    assert "logcollector-handler:" not in ended.err
    if uncaught:
        last = server.stored[-1]
        assert (last["level"], last["error_type"]) == ("FATAL", "TypeError")
        assert last["stack_trace"].startswith("TypeError: boom\n    at ")
        assert "TypeError: boom" in ended.err  # As without the client.


def test_no_handler_of_a_signal_is_put_beside_one_of_the_application(app: App, server: FaultyServer) -> None:
    ended = app.run("""
        import { createLogClient } from "logcollector-handler";
        process.on("SIGTERM", () => {});
        createLogClient().info("m0");
        console.log(process.listenerCount("SIGTERM"), process.listenerCount("SIGINT"));
    """)
    assert ended.out == "1 1\n"


def test_an_exit_handler_that_logs_is_heard(app: App, server: FaultyServer) -> None:
    ended = app.run(START + "process.on('exit', () => { log.info('late'); log.info('later'); });")
    assert ended.code == 0
    assert messages(server) == [*LOGGED, "late", "later"]


def test_a_script_that_has_a_client_and_logs_nothing_ends_at_once(app: App, server: FaultyServer) -> None:
    ended = app.run("""
        import { createLogClient } from "logcollector-handler";
        const before = process.listenerCount("exit");
        createLogClient();
        console.log(process.listenerCount("SIGTERM"), process.listenerCount("exit") - before);
    """)
    assert (ended.code, ended.out) == (0, "0 0\n")
    assert server.requests == []


def test_a_server_ends_on_sigterm_and_what_it_logged_arrives(app: App, server: FaultyServer) -> None:
    process = app.start("""
        import http from "node:http";
        import { createLogClient } from "logcollector-handler";
        const log = createLogClient();
        http.createServer((request, response) => response.end("ok")).listen(0, () => {
          for (let number = 0; number < 10; number++) log.info(`m${number}`);
          console.log("up");
        });
    """)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (-signal.SIGTERM, "")
    assert messages(server) == LOGGED[:10]


def test_a_server_that_hangs_delays_the_end_by_the_deadline_only_and_the_loss_is_said(
    app: App, server: FaultyServer
) -> None:
    server.default = hang()
    ended = app.run(
        PATIENT
        + START
        + AND_HANDED_OVER
        + "console.log(Date.now()); process.on('exit', () => console.log(Date.now()));",
        LOGCOLLECTOR_SHUTDOWN_TIMEOUT="1",
    )
    before, after = map(int, ended.out.split())
    assert after - before >= 900
    assert "2500 records could not be sent in time and were dropped" in ended.err
    assert ended.code == 0


@pytest.mark.parametrize("compressed", ["true", "false"])
@pytest.mark.parametrize("prefix", ["", "/a/b/"])
def test_what_could_not_be_sent_is_in_the_spool_and_replay_sends_it(
    app: App, server: FaultyServer, tmp_path: Path, compressed: str, prefix: str
) -> None:
    server.default = answer(503)
    url = server.url + prefix
    ended = app.run(
        PATIENT + START + AND_HANDED_OVER,
        LOGCOLLECTOR_SHUTDOWN_TIMEOUT="0.5",
        LOGCOLLECTOR_SPOOL_DIR=str(tmp_path / "spool"),
        LOGCOLLECTOR_SERVER_URL=url,
        LOGCOLLECTOR_ENABLE_COMPRESSION=compressed,
    )
    assert "2500 records could not be sent in time; they are in" in ended.err
    files = sorted((tmp_path / "spool").glob("*/*.json*"))
    assert len(files) == 3
    others = [path for path in (tmp_path / "spool").glob("*/*") if path not in files]
    # A request that is under way when the time is up may have been stored: its batch gets a mark.
    marks = [path for path in others if path.suffix == ".lost"]
    assert {mark.stem for mark in marks} <= {file.name.split(".")[0] for file in files}
    assert [path.suffix for path in others if path not in marks] == [".sock"]
    assert all(file.suffix == (".gz" if compressed == "true" else ".json") for file in files)
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert {file.parent.stat().st_mode & 0o777 for file in files} == {0o700}
    bodies = [gzip.decompress(file.read_bytes()) if compressed == "true" else file.read_bytes() for file in files]
    assert [entry["message"] for body in bodies for entry in json.loads(body)["logs"]] == LOGGED
    tried = {request.key for request in server.requests}
    assert tried <= {file.name.split(".")[0] for file in files}
    server.default = answer()
    replay(tmp_path / "spool", url)
    assert messages(server) == LOGGED
    assert not [*(tmp_path / "spool").glob("*/*.json*"), *(tmp_path / "spool").glob("*/*.lost")]


def replay(directory: Path, url: str) -> None:
    program = "import sys; from logcollector_handler.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "spool", "replay", str(directory), "--server-url", url]
    subprocess.run(command, stdout=subprocess.DEVNULL, timeout=120, check=True)


def test_with_a_spool_a_kill_loses_no_batch_that_was_closed(app: App, server: FaultyServer, tmp_path: Path) -> None:
    server.default = answer(503)
    process = app.start(START + "setInterval(() => {}, 1000);", LOGCOLLECTOR_SPOOL_DIR=str(tmp_path))
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("*/*.json.gz"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.communicate(timeout=60)
    server.default = answer()
    replay(tmp_path, server.url)
    assert messages(server) == LOGGED


def test_a_spool_that_others_may_write_to_is_not_used_and_that_is_said(
    app: App, server: FaultyServer, tmp_path: Path
) -> None:
    ended = app.run(START, LOGCOLLECTOR_SPOOL_DIR=str(tmp_path))
    (place,) = tmp_path.iterdir()
    place.chmod(0o777)
    ended = app.run(START, LOGCOLLECTOR_SPOOL_DIR=str(tmp_path))
    assert "other users may write to" in ended.err
    assert messages(server) == LOGGED * 2


def test_the_end_does_not_wait_where_the_settings_are_wrong(app: App, server: FaultyServer) -> None:
    server.default = answer(401)
    ended = app.run(START)  # The deadline is 120 s.
    assert ended.seconds < 60
    assert "waiting will not help (it answered 401" in ended.err
    assert "check apiKey" in ended.err


def test_common_js(app: App, server: FaultyServer) -> None:
    if app.version < (20, 19):
        pytest.skip("require() of a module needs Node 20.19")
    ended = app.run(
        'const { createLogClient } = require("logcollector-handler"); createLogClient().info("m0");', suffix="cjs"
    )
    assert ended.code == 0, ended.err
    assert messages(server) == ["m0"]


def test_cluster(app: App, server: FaultyServer) -> None:
    ended = app.run("""
        import cluster from "node:cluster";
        import http from "node:http";
        import { createLogClient } from "logcollector-handler";
        const log = createLogClient();
        if (cluster.isPrimary) {
          log.info("primary");
          for (let number = 0; number < 2; number++) cluster.fork({ NUMBER: number });
          let listening = 0;
          cluster.on("listening", () => {
            // One is killed, the other one is asked to end.
            if (++listening < 2) return;
            const [one, other] = Object.values(cluster.workers);
            one.kill();
            other.disconnect();
          });
        } else {
          http.createServer(() => {}).listen(0);
          for (let number = 0; number < 500; number++) log.info(`${process.env.NUMBER} ${number}`);
        }
    """)
    assert ended.code == 0, ended.err
    expected = {"primary", *(f"{worker} {number}" for worker in range(2) for number in range(500))}
    assert sorted(messages(server)) == sorted(expected)


@pytest.mark.parametrize("ending", ["", "process.exit()", "setTimeout(() => { throw new Error('boom') }, 50)"])
def test_worker_threads(app: App, server: FaultyServer, ending: str) -> None:
    ended = app.run(f"""
        import {{ Worker, isMainThread, workerData }} from "node:worker_threads";
        import {{ createLogClient }} from "logcollector-handler";
        const log = createLogClient(undefined, {{ enableGlobalErrorHandler: false }});
        if (isMainThread) {{
          const worker = new Worker(new URL(import.meta.url));
          worker.on("error", () => {{}});
          worker.on("exit", () => log.info("main"));
        }} else {{
          for (let number = 0; number < 500; number++) log.info(`thread ${{number}}`);
          {ending}
        }}
    """)
    assert ended.code == 0, ended.err
    assert sorted(messages(server)) == sorted(["main", *(f"thread {number}" for number in range(500))])
    assert {entry["metadata"]["thread"] for entry in server.stored} == {"main", "worker 1"}


def test_many_clients_have_one_listener_of_each_kind(app: App, server: FaultyServer) -> None:
    ended = app.run("""
        import { createLogClient } from "logcollector-handler";
        for (let number = 0; number < 15; number++) createLogClient().info(`m${number}`);
        const events = ["SIGTERM", "SIGINT", "uncaughtExceptionMonitor"];
        console.log(events.map((name) => process.listenerCount(name)).join());
    """)
    assert (ended.out, ended.err) == ("1,1,1\n", "")
    assert sorted(messages(server)) == sorted(LOGGED[:15])


def test_a_client_that_is_closed_is_forgotten_and_logs_what_nobody_caught_once_it_is_open_again(
    app: App, server: FaultyServer
) -> None:
    ended = app.run("""
        import { setFlagsFromString } from "node:v8";
        import { runInNewContext } from "node:vm";
        import { createLogClient } from "logcollector-handler";
        setFlagsFromString("--expose-gc");
        const gc = runInNewContext("gc");
        const dropped = [];
        async function use(number) {
          const log = createLogClient();
          if (number) log.info(`m${number}`);
          dropped.push(new WeakRef(log));
          await log.close();
        }
        for (let number = 0; number < 5; number++) await use(number);
        console.log(process.listenerCount("uncaughtExceptionMonitor"));
        for (let turn = 0; turn < 200 && dropped.some((each) => each.deref()); turn++) {
          await new Promise((resolve) => setTimeout(resolve, 10));
          gc();
        }
        console.log(dropped.filter((each) => each.deref()).length);
        const log = createLogClient();
        await log.close();
        log.info("open again");
        console.log(process.listenerCount("uncaughtExceptionMonitor"));
        throw new TypeError("boom");
    """)
    assert ended.out.split() == ["0", "0", "1"], ended.err
    assert messages(server) == ["m1", "m2", "m3", "m4", "open again", "TypeError: boom"]


def test_a_worker_that_dies_just_before_the_end_is_replaced(app: App, server: FaultyServer) -> None:
    ended = app.run("""
        import { createLogClient } from "logcollector-handler";
        import { NodePipeline } from "./node_modules/logcollector-handler/node/pipeline.js";
        let pipeline;
        const { send } = NodePipeline.prototype;
        NodePipeline.prototype.send = function (...all) { pipeline = this; return send.apply(this, all); };
        const log = createLogClient();
        log.info("first");
        await log.flush();
        await pipeline.worker.terminate();
        log.info("last");
    """)
    assert messages(server) == ["first", "last"], ended.err
