"""The transports for pino and winston, with the real loggers."""

from __future__ import annotations

import json
import time

import pytest

from tests.integration.faulty import FaultyServer
from tests.javascript.conftest import App

pytestmark = pytest.mark.integration


@pytest.fixture
def app(with_packages: App, server: FaultyServer) -> App:
    return App(with_packages.directory, with_packages.node, {"LOGCOLLECTOR_SERVER_URL": server.url})


PINO = {
    "in pino's thread": 'pino({ transport: { target: "logcollector-handler/pino", options: { service: "shop" } } })',
    "in the thread that logs": 'pino({ name: "cart" }, collector({ service: "shop" }))',
}
LOG_WITH_PINO = """
import pino from "pino";
import collector from "logcollector-handler/pino";
const log = LOGGER;
for (let number = 0; number < 500; number++) log.info({ number, user_id: 5, password: "x" }, "m%d", number);
const inner = log.child({ path: "/pay" });
inner.error(new TypeError("boom"), "failed");
log.warn({ err: new RangeError("no") });
log.trace("not at this level");
log.fatal("last");
"""
#: At once, or when pino's thread is up: before that it loses everything.
EXIT = """
const stream = log[pino.symbols.streamSym];
if (stream.worker && !stream.ready) stream.once("ready", () => process.exit());
else process.exit();
"""


@pytest.mark.parametrize("how", PINO)
@pytest.mark.parametrize("ending", ["", EXIT])
def test_pino(app: App, server: FaultyServer, how: str, ending: str) -> None:
    ended = app.run(LOG_WITH_PINO.replace("LOGGER", PINO[how]) + ending)
    assert ended.code == 0, ended.err
    assert ended.err == ""
    entries = server.stored
    assert [entry["message"] for entry in entries] == [*(f"m{n}" for n in range(500)), "failed", "no", "last"]
    first, failed, warned, last = entries[0], *entries[-3:]
    assert (first["level"], first["service"], first["user_id"], first["metadata"]["number"]) == ("INFO", "shop", "5", 0)
    assert first["metadata"]["password"] == "***"
    assert isinstance(first["metadata"]["process"], int)
    assert first["metadata"].get("logger") == ("cart" if "cart" in PINO[how] else None)
    assert (failed["level"], failed["error_type"], failed["path"]) == ("ERROR", "TypeError", "/pay")
    assert failed["stack_trace"].startswith("TypeError: boom\n    at ")
    assert failed["file_path"].endswith(".mjs")
    assert (warned["level"], warned["error_type"]) == ("WARN", "RangeError")
    assert last["level"] == "FATAL"


def test_pino_may_say_the_time_in_several_ways(app: App, server: FaultyServer) -> None:
    times = ["1700000000", "1700000000000", "1700000000000000000", '"2023-11-14T22:13:20Z"', "1e999", "-1e99", "null"]
    lines = [f'{{"level":30,"msg":"m{number}","time":{time}}}' for number, time in enumerate(times)]
    ended = app.run(f"""
        import collector from "logcollector-handler/pino";
        const stream = collector();
        for (const line of {lines}) stream.write(line + "\\n");
    """)
    assert ended.err == ""
    created = [entry["created_at"] for entry in server.stored]
    assert created[:4] == [1_700_000_000] * 4
    assert all(1_700_000_000 < each < 10_000_000_000 for each in created[4:])
    assert len(created) == len(times)


#: `Date.parse` makes a time of the most of them, and another one than whoever wrote it.
NO_TIMES = [
    "Nov 27 07:30:00", "05-11-2026 07:30:00", "11-26-27", "5/11/2026, 07:30:00", "07:30:00", "2026-11-27",
    "2026-11-27 07:30", "2026-11-27 25:00:00", "2026", "",
]  # fmt: skip


def test_a_text_that_says_no_whole_time_stays_and_the_entry_has_the_time_of_the_call(
    app: App, server: FaultyServer
) -> None:
    before = time.time()
    ended = app.run(f"""
        import collector from "logcollector-handler/pino";
        import {{ CollectorTransport }} from "logcollector-handler/winston";
        const [pino, winston] = [collector(), new CollectorTransport()];
        for (const text of {NO_TIMES}) {{
          pino.write(JSON.stringify({{ level: 30, msg: text, time: text }}) + "\\n");
          winston.write({{ level: "info", message: text, timestamp: text }});
        }}
        winston.write({{ level: "info", message: "symbol", timestamp: Symbol("s") }});
    """)
    assert (ended.code, ended.err) == (0, "")
    entries = server.stored
    assert len(entries) == 2 * len(NO_TIMES) + 1
    assert all(before - 1 < entry["created_at"] < time.time() + 1 for entry in entries)
    kept = [(entry["message"], entry["metadata"].get("time", entry["metadata"].get("timestamp"))) for entry in entries]
    assert sorted(kept) == sorted([(text, text) for text in NO_TIMES * 2] + [("symbol", "Symbol(s)")])


def test_winston_may_say_the_time_in_several_ways(app: App, server: FaultyServer) -> None:
    ended = app.run("""
        import { CollectorTransport } from "logcollector-handler/winston";
        const transport = new CollectorTransport();
        const times = [
          "2023-11-14T22:13:20Z", "2023-11-14T22:13:20.000Z", "2023-11-14 22:13:20", "2023-11-15 00:13:20 +02:00",
          "2023-11-15T00:13:20+0200", new Date(1.7e12),
        ];
        for (const timestamp of times) transport.write({ level: "info", message: "m", timestamp });
    """, TZ="UTC")  # fmt: skip
    assert (ended.code, ended.err) == (0, "")
    assert [entry["created_at"] for entry in server.stored] == [1_700_000_000] * 6
    assert not [entry for entry in server.stored if "timestamp" in entry["metadata"]]


def test_pino_and_process_exit_in_the_thread_that_logs(app: App, server: FaultyServer) -> None:
    script = LOG_WITH_PINO.replace("LOGGER", PINO["in the thread that logs"])
    assert app.run(script + "process.exit(3);").code == 3
    assert len(server.stored) == 503


def test_winston(app: App, server: FaultyServer) -> None:
    ended = app.run("""
        import winston from "winston";
        import { CollectorTransport } from "logcollector-handler/winston";
        const { combine, timestamp, errors, colorize, json } = winston.format;
        const log = winston.createLogger({
          level: "verbose",
          format: combine(errors({ stack: true }), timestamp(), colorize(), json()),
          defaultMeta: { path: "/shop" },
          transports: [
            new CollectorTransport({ service: "shop" }),
            new CollectorTransport({ service: "errors", level: "error" }),
            new CollectorTransport({ service: "silent", silent: true }),
          ],
        });
        for (let number = 0; number < 500; number++) log.info(`m${number}`, { number, user_id: 5, token: "x" });
        log.verbose("verbose");
        log.debug("not at this level");
        log.error(new TypeError("boom"));
        log.error("failed", new RangeError("no"));
        log.warn({ message: "an object", a: [1] });
    """)
    assert (ended.code, ended.err) == (0, "")
    shop = [entry for entry in server.stored if entry["service"] == "shop"]
    assert {entry["service"] for entry in server.stored} == {"shop", "errors"}
    assert [entry["message"] for entry in server.stored if entry["service"] == "errors"] == ["boom", "failed no"]
    expected = [*(f"m{n}" for n in range(500)), "verbose", "boom", "failed no", "an object"]
    assert [entry["message"] for entry in shop] == expected
    assert [entry["level"] for entry in shop[-5:]] == ["INFO", "DEBUG", "ERROR", "ERROR", "WARN"]
    first, boom, last = shop[0], shop[-3], shop[-1]
    assert (first["user_id"], first["path"], first["metadata"]["token"]) == ("5", "/shop", "***")
    assert "timestamp" not in json.dumps(shop)
    assert boom["error_type"] == "TypeError"
    assert boom["stack_trace"].startswith("TypeError: boom\n    at ")
    assert boom["file_path"].endswith(".mjs")
    assert last["metadata"]["a"] == [1]


def test_winston_with_what_nobody_caught(app: App, server: FaultyServer) -> None:
    ended = app.run("""
        import winston from "winston";
        import { CollectorTransport } from "logcollector-handler/winston";
        winston.createLogger({ transports: [new CollectorTransport({ handleExceptions: true })] });
        setTimeout(() => { throw new TypeError("boom"); });
    """)
    assert ended.code == 1
    (entry,) = server.stored
    assert (entry["level"], entry["error_type"]) == ("ERROR", "TypeError")
    assert entry["metadata"]["uncaught"] == "exception"


def test_require_after_npm_install(app: App, server: FaultyServer) -> None:
    if app.version < (20, 19):
        pytest.skip("require() of a module needs Node 20.19")
    ended = app.run('require("logcollector-handler").createLogClient().info("m0");', suffix="cjs")
    assert ended.code == 0, ended.err
    assert [entry["message"] for entry in server.stored] == ["m0"]


def test_what_pino_passes_on_may_end_anywhere_within_a_line(app: App, server: FaultyServer) -> None:
    ended = app.run("""
        import collector from "logcollector-handler/pino";
        const stream = collector();
        const lines = ['{"level":30,"msg":"ab"}', '{"level":50,"msg":"c"}', 'no JSON', '{"level":30,"msg":"d"}'];
        const text = lines.join(String.fromCharCode(10));
        for (let start = 0; start < text.length; start += 7) stream.write(text.slice(start, start + 7));
        stream.end(() => console.log("finished"));
    """)
    assert (ended.code, ended.out) == (0, "finished\n"), ended.err
    assert [entry["message"] for entry in server.stored] == ["ab", "c", "no JSON", "d"]
