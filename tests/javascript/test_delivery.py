"""The client for Node against a server that misbehaves: what arrives is what was logged."""

from __future__ import annotations

import json

import pytest

from tests.integration.behaviours import (
    Behaviour,
    answer,
    answer_early,
    cut_after_body,
    cut_after_storing,
    cut_before_body,
    cut_during_body,
    hang,
    html_page,
    redirect,
    retry_after,
    store_then_answer,
    truncated_answer,
    wrong_count,
)
from tests.integration.faulty import FaultyServer, refuse_records
from tests.javascript.conftest import PATIENT, App

pytestmark = pytest.mark.integration

START = """
import { createLogClient } from "logcollector-handler";
const log = createLogClient(undefined, { batchSize: 100 });
for (let number = 0; number < 250; number++) log.info(`m${number}`, { number });
"""
LOGGED = [f"m{number}" for number in range(250)]


def messages(server: FaultyServer) -> list[str]:
    return [str(entry["message"]) for entry in server.stored]


FAULTS = {
    "503": answer(503),
    "429 with Retry-After": retry_after(1, 429),
    "500": answer(500),
    "408": answer(408),
    "stored, then 504": store_then_answer(504),
    "cut before the body": cut_before_body(),
    "cut during the body": cut_during_body(),
    "cut after the body": cut_after_body(),
    "cut after storing": cut_after_storing(),
    "a truncated answer": truncated_answer(),
    "answered early": answer_early(503),
    "a wrong count": wrong_count(5),
    "closed after each answer": answer(close=True),
    "413 for large ones": answer(413),
    "415 for compressed ones": answer(415),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_record_arrives_once_in_spite_of(app: App, server: FaultyServer, fault: str) -> None:
    first = FAULTS[fault]
    faulty: list[str | None] = []

    def rule(request: object) -> object:
        if fault == "413 for large ones":
            return first if len(server_entries(request)) > 30 else answer()
        if fault == "415 for compressed ones":
            return first if is_compressed(request) else answer()
        faulty.append(None)
        return first if len(faulty) in (1, 3) else answer()

    server.default = rule  # type: ignore[assignment]
    ended = app.run(START)  # The end of the process tries again after short waits.
    assert ended.code == 0
    assert sorted(messages(server)) == sorted(LOGGED)
    if "Retry-After" not in fault and "413" not in fault:
        assert ended.seconds < 60


def server_entries(request: object) -> list[object]:
    return request.entries  # type: ignore[attr-defined, no-any-return]


def is_compressed(request: object) -> bool:
    return request.headers["Content-Encoding"] == "gzip"  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize("cut", [cut_before_body(), cut_after_body()])
def test_a_kept_connection_that_the_server_closes_is_made_anew_at_once_and_unsaid(
    app: App, server: FaultyServer, cut: Behaviour
) -> None:
    steps = [answer(), cut]
    server.default = lambda request: steps.pop(0) if steps else answer()
    ended = app.run("""
        import { createLogClient } from "logcollector-handler";
        const log = createLogClient();
        for (const message of ["one", "two"]) {
          log.info(message);
          console.log(await log.flush());
        }
    """)
    assert (ended.out.split(), ended.err) == (["true", "true"], "")
    assert messages(server) == ["one", "two"]
    assert [request.key for request in server.requests][1:] == [server.requests[1].key] * 2


def test_the_request_is_the_one_of_the_contract(app: App, server: FaultyServer) -> None:
    app.run(START, LOGCOLLECTOR_API_KEY="key", LOGCOLLECTOR_HEADERS='{"X-Shop": "a"}', LOGCOLLECTOR_SERVICE="shop",
            LOGCOLLECTOR_SERVER_URL=server.url + "/prefix/", LOGCOLLECTOR_ENVIRONMENT="prod")  # fmt: skip
    first, *_, last = server.requests
    assert (first.method, first.path) == ("POST", "/prefix/logs")
    assert first.headers["Content-Type"] == "application/json"
    assert first.headers["Content-Encoding"] == "gzip"
    assert last.headers["Content-Encoding"] is None  # It has 50 records.
    assert first.headers["Authorization"] == "Bearer key"
    assert first.headers["X-Shop"] == "a"
    assert first.headers["User-Agent"].startswith("logcollector-handler-js/")
    entry = first.entries[0]
    assert (entry["service"], entry["environment"], entry["log_type"]) == ("shop", "production", "BACKEND")
    assert entry["file_path"].endswith(".mjs")
    assert entry["metadata"]["number"] == 0
    assert entry["metadata"]["thread"] == "main"


def test_secrets_of_names_and_patterns_of_ones_own_do_not_leave_the_process(app: App, server: FaultyServer) -> None:
    ended = app.run("""
        import { createLogClient } from "logcollector-handler";
        const log = createLogClient(undefined, { redact: ["loyaltyNumber"], redactPatterns: ["common", /cust-\\d+/] });
        log.info("for cust-77", { loyalty_number: 5, password: "stays", card: "4111 1111 1111 1111" });
        log.errorWithTrace("no", new Error("of cust-78, a@shop.example"));
    """)
    first, second = server.stored
    assert first["message"] == "for ***"
    shown = {name: first["metadata"][name] for name in ("loyalty_number", "password", "card")}
    assert shown == {"loyalty_number": "***", "password": "stays", "card": "***"}
    assert second["stack_trace"].startswith("Error: of ***, ***\n    at "), ended.err


def test_a_poisoned_record_is_given_up_alone(app: App, server: FaultyServer) -> None:
    server.default = refuse_records(lambda entry: entry["message"] == "m77", 422)
    ended = app.run(START + "await log.flush(); console.log(JSON.stringify(log.stats()));")
    assert sorted(messages(server)) == sorted(set(LOGGED) - {"m77"})
    stats = json.loads(ended.out)
    assert (stats["delivered"], stats["deadLettered"], stats["pending"]) == (249, 1, 0)
    assert "a record was given up" in ended.err
    assert "m77" in ended.err


def test_with_a_spool_a_dead_letter_is_kept(app: App, server: FaultyServer, tmp_path: object) -> None:
    server.default = refuse_records(lambda entry: entry["message"] == "m77", 422)
    app.run(START, LOGCOLLECTOR_SPOOL_DIR=str(tmp_path))
    (dead,) = tmp_path.glob("*/dead/*")  # type: ignore[attr-defined]
    assert [entry["message"] for entry in json.loads(dead.read_text())["logs"]] == ["m77"]
    assert not list(tmp_path.glob("*/*.json*"))  # type: ignore[attr-defined]


@pytest.mark.parametrize("wrong", [html_page(), redirect("/elsewhere"), answer(401), answer(404)])
def test_a_wrong_setting_is_said_once_and_nothing_counts_as_delivered(
    app: App, server: FaultyServer, wrong: object
) -> None:
    server.default = wrong  # type: ignore[assignment]
    script = START + "console.log(await log.flush(700), log.stats().delivered, log.stats().pending);"
    ended = app.run(script, LOGCOLLECTOR_SHUTDOWN_TIMEOUT="5")
    assert ended.out.split() == ["false", "0", "250"]
    assert ended.err.count("waiting will not help") == 1


def test_a_key_is_never_shown(app: App, server: FaultyServer) -> None:
    server.default = answer(401)
    url = server.url.replace("://", "://user:hunter2@")
    ended = app.run(START, LOGCOLLECTOR_SERVER_URL=url, LOGCOLLECTOR_API_KEY="hunter2")
    assert "waiting will not help" in ended.err
    assert "hunter2" not in ended.err + ended.out


def test_flush_is_false_when_the_server_hangs_and_bounded(app: App, server: FaultyServer) -> None:
    server.default = hang()
    ended = app.run(
        START
        + "console.log(await log.flush(100)); console.log(log.stats().pending); process.kill(process.pid, 'SIGKILL')"
    )
    assert ended.out.split() == ["false", "250"]


def test_flush_and_close_mean_it_and_logging_opens_a_client_again(app: App, server: FaultyServer) -> None:
    ended = app.run(
        START
        + """
        console.log(await log.flush(Infinity), log.stats().delivered);
        log.info("more");
        console.log(await log.close(), log.stats().delivered, process.listenerCount("SIGTERM"));
        log.info("again");
        console.log(await Promise.all([log.flush(), log.flush(), log.close()]), log.stats().delivered);
        console.log(await log.close(), await log.flush());
        """
    )
    lines = ended.out.splitlines()
    assert lines == ["true 250", "true 251 0", "[ true, true, true ] 252", "true true"], ended.err
    assert messages(server) == [*LOGGED, "more", "again"]


def test_a_hundred_thousand_records_in_a_loop_lose_none(app: App, server: FaultyServer) -> None:
    ended = app.run(
        PATIENT
        + """
        import { createLogClient } from "logcollector-handler";
        const log = createLogClient(undefined, { autoCaller: false });
        for (let number = 0; number < 100_000; number++) log.info("m", { number });
    """
    )
    assert ended.code == 0
    assert [entry["metadata"]["number"] for entry in server.stored] == list(range(100_000))


def test_a_client_that_is_opened_again_waits_for_its_worker_too(app: App, server: FaultyServer) -> None:
    ended = app.run(
        PATIENT
        + """
        import { createLogClient } from "logcollector-handler";
        const log = createLogClient(undefined, { autoCaller: false, maxQueueSize: 2000 });
        for (const round of [0, 1]) {
          for (let number = 0; number < 20_000; number++) log.info("m", { round, number });
          console.log(await log.close(60_000), JSON.stringify(log.stats().dropped));
        }
    """
    )
    assert ended.out.splitlines() == ["true {}", "true {}"], ended.err
    expected = [(number, count) for number in (0, 1) for count in range(20_000)]
    assert [(entry["metadata"]["round"], entry["metadata"]["number"]) for entry in server.stored] == expected


def test_a_full_queue_drops_counts_and_tells(app: App, server: FaultyServer) -> None:
    # The worker is kept from taking anything: its thread cannot be made for a while.
    ended = app.run("""
        import { createLogClient } from "logcollector-handler";
        import { NodePipeline } from "./node_modules/logcollector-handler/node/pipeline.js";
        const log = createLogClient(undefined, { maxQueueSize: 100, flushInterval: 50 });
        const { start } = NodePipeline.prototype;
        NodePipeline.prototype.start = () => false;
        for (let number = 0; number < 250; number++) log.info(`m${number}`);
        console.log(log.stats().dropped.queue_full);
        NodePipeline.prototype.start = start;
        log.info("last");
        await log.flush();
        console.log(JSON.stringify(log.stats()));
    """)
    first, stats = ended.out.splitlines()
    assert first == "150"
    counts = json.loads(stats)
    assert counts["accepted"] == 251 == counts["delivered"] + counts["dropped"]["queue_full"]
    told, *rest = server.stored
    assert told["level"] == "WARN"
    assert told["message"] == f"{counts['dropped']['queue_full']} log records were lost: " + (
        f"{counts['dropped']['queue_full']} because the queue was full"
    )
    assert rest[-1]["message"] == "last"


def test_what_is_logged_right_after_a_worker_has_died_does_not_wait_for_the_next_record(
    app: App, server: FaultyServer
) -> None:
    ended = app.run("""
        import { createLogClient } from "logcollector-handler";
        import { NodePipeline } from "./node_modules/logcollector-handler/node/pipeline.js";
        let pipeline;
        const { send } = NodePipeline.prototype;
        NodePipeline.prototype.send = function (...all) { pipeline = this; return send.apply(this, all); };
        const log = createLogClient();
        log.info("m0");
        await log.flush();
        await pipeline.worker.terminate();
        log.info("m1");
        for (let look = 0; look < 3000 && log.stats().delivered < 2; look++) {
          await new Promise((resolve) => setTimeout(resolve, 10));
        }
        console.log(log.stats().delivered);
    """)
    assert ended.out == "2\n", ended.err


def test_a_worker_that_dies_is_replaced_and_its_loss_is_counted(app: App, server: FaultyServer) -> None:
    server.default = hang()
    ended = app.run("""
        import { createLogClient } from "logcollector-handler";
        import { NodePipeline } from "./node_modules/logcollector-handler/node/pipeline.js";
        let pipeline;
        const { send } = NodePipeline.prototype;
        NodePipeline.prototype.send = function (...all) { pipeline = this; return send.apply(this, all); };
        const log = createLogClient();
        log.info("lost");
        await log.flush(300);
        await pipeline.worker.terminate();
        await new Promise((resolve) => setTimeout(resolve, 1100));
        console.log(JSON.stringify(log.stats()));
        log.info("later");
        process.kill(process.pid, "SIGKILL");
    """)
    stats = json.loads(ended.out)
    assert (stats["dropped"], stats["pending"]) == ({"worker": 1}, 0)
    assert "1 records were lost with it" in ended.err
