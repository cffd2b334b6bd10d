"""The table of the two threads: which are started and which end, in every state, at every event. None runs."""

from __future__ import annotations

import logging

import pytest

from logcollector_handler.delivery import exit as ending
from logcollector_handler.delivery import threads as starters
from logcollector_handler.delivery.states import Role, State
from tests.delivery.harness import no_connection
from tests.delivery.pipelines import LIVING, FakeThreads, PipelineBench, alive

LISTENER, SENDER = Role.LISTENER, Role.SENDER


@pytest.fixture
def woken(bench: PipelineBench, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Who was woken."""
    names: list[str] = []
    monkeypatch.setattr(bench.pipeline.listener, "wake", lambda: names.append("listener"))
    return names


@pytest.mark.parametrize("state", State)
def test_the_state_is_read_off_the_threads_themselves(bench: PipelineBench, state: State) -> None:
    alive(bench, *LIVING[state])
    assert bench.pipeline.workers.state is state
    for thread in bench.pipeline.workers._threads._by_role.values():
        thread.lives = False  # type: ignore[attr-defined]  # one that the test made
    assert bench.pipeline.workers.state is State.IDLE, "a thread that died is none, whatever was noted of it"


# A record comes


@pytest.mark.parametrize(
    ("state", "started", "wakes"),
    [
        (State.IDLE, [LISTENER, SENDER], []),
        (State.RUNNING, [], ["listener"]),
        (State.SENDING, [LISTENER], []),
        (State.LISTENING, [SENDER], ["listener"]),
    ],
)
def test_a_record_starts_the_threads_that_do_not_live_and_wakes_the_listener_that_does(
    bench: PipelineBench, threads: FakeThreads, woken: list[str], state: State, started: list[Role], wakes: list[str]
) -> None:
    alive(bench, *LIVING[state])
    bench.pipeline.listener._is_stopping = True
    bench.log("a")
    assert threads.started == started
    assert woken == wakes
    assert bench.pipeline.workers.state is State.RUNNING
    assert bench.pipeline.listener.is_stopping is (not started), "after `close` a record has entries wait again"
    assert (bench.pipeline.workers in ending._live) is bool(started)


def test_a_starter_that_comes_second_starts_nothing(bench: PipelineBench, threads: FakeThreads) -> None:
    threads.hold_starters = True
    bench.log("a")
    bench.pipeline.workers.wake()
    bench.pipeline.workers.urge()
    threads.run_starters()
    assert threads.started == [LISTENER, SENDER]


def test_a_starter_has_the_pipeline_drained_at_exit_though_the_sender_before_it_unregistered_it(
    bench: PipelineBench, threads: FakeThreads
) -> None:
    threads.hold_starters = True
    bench.log("a")
    ending.unwatch(bench.pipeline.workers)
    threads.run_starters()
    assert bench.pipeline.workers in ending._live


@pytest.mark.parametrize("waits", [False, True])
def test_what_was_logged_while_a_starter_had_to_wait_is_sent_at_once(
    bench: PipelineBench, threads: FakeThreads, monkeypatch: pytest.MonkeyPatch, waits: bool
) -> None:
    """uWSGI's first process may end soon after it, and runs no exit handlers."""
    monkeypatch.setattr(starters, "let_settle", lambda is_urgent: waits)
    bench.log("a")
    bench.listen()
    assert bench.batches == ([["a"]] if waits else [])
    bench.log("b")
    bench.listen()
    assert bench.batches == ([["a"]] if waits else []), "only what was logged before"


# No thread could be started


def test_a_record_for_which_no_thread_starts_waits_and_the_next_one_tries_again(
    bench: PipelineBench, threads: FakeThreads, capsys: pytest.CaptureFixture[str]
) -> None:
    threads.starter_fails = 1
    bench.log("a")
    assert threads.started == []
    assert "can't start new thread" in capsys.readouterr().err
    assert bench.pipeline.workers in ending._live, "the end of the process sends it"
    bench.log("b")
    assert threads.started == [LISTENER, SENDER]
    assert bench.queued == ["a", "b"]


@pytest.mark.parametrize(
    ("failing", "state", "then"),
    [(LISTENER, State.IDLE, [LISTENER, SENDER]), (SENDER, State.LISTENING, [LISTENER, SENDER])],
)
def test_one_thread_that_could_not_be_started_is_started_by_the_next_record(
    bench: PipelineBench, threads: FakeThreads, failing: Role, state: State, then: list[Role]
) -> None:
    threads.fails[failing] = 1
    bench.log("a")
    assert bench.pipeline.workers.state is state
    bench.log("b")
    assert threads.started == then
    assert bench.pipeline.workers.state is State.RUNNING


# The work of a thread is done


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("role", Role)
def test_one_thread_may_end_after_close_the_listener_before_the_sender(
    bench: PipelineBench, state: State, role: Role
) -> None:
    alive(bench, *LIVING[state])
    assert not bench.pipeline.workers._threads._may_end(role), "nobody closed"
    bench.pipeline.listener.stop()
    ends = {State.RUNNING: LISTENER, State.SENDING: SENDER, State.LISTENING: LISTENER}
    assert bench.pipeline.workers._threads._may_end(role) is (ends.get(state) is role)
    bench.pipeline.listener.resume()
    assert not bench.pipeline.workers._threads._may_end(role), "a record came"


@pytest.mark.parametrize("exiting", [False, True])
def test_no_thread_ends_before_its_work_is_done_but_at_exit_the_sender_leaves_what_it_could_not_send(
    bench: PipelineBench, exiting: bool
) -> None:
    workers = bench.pipeline.workers
    bench.scripted.rule = no_connection
    bench.log("a", level=logging.ERROR)
    workers._threads._exiting = exiting
    bench.pipeline.listener.stop()
    alive(bench, LISTENER, SENDER)
    assert not workers._threads._may_end(LISTENER), "there is a record"
    bench.listen()
    assert workers._threads._may_end(LISTENER)
    alive(bench, SENDER)
    assert workers._threads._may_end(SENDER) is exiting, "there is a batch"


@pytest.mark.parametrize(
    ("state", "runs", "left"),
    [
        (State.RUNNING, "_listen", State.SENDING),
        (State.LISTENING, "_listen", State.IDLE),
        (State.SENDING, "_send", State.IDLE),
    ],
)
def test_a_thread_whose_work_is_done_ends_and_says_so(
    bench: PipelineBench, threads: FakeThreads, state: State, runs: str, left: State
) -> None:
    workers = bench.pipeline.workers
    ending.watch(workers)
    alive(bench, *LIVING[state])
    bench.pipeline.listener.stop()
    getattr(workers._threads, runs)()
    assert workers.state is left
    assert threads.started == []
    assert bench.pipeline.queue.threshold == 1
    assert (workers in ending._live) is (runs == "_listen"), "the sender is the last"


def test_a_record_that_comes_while_the_listener_ends_starts_it_again(
    bench: PipelineBench, threads: FakeThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = bench.pipeline.queue
    relax = queue.relax

    def caller_is_faster(wanted: int) -> None:
        if not bench.pipeline.workers._threads.lives(LISTENER):
            # After the listener looked for the last time; this caller still sees the old threshold and wakes nobody.
            queue.threshold = 1000
            monkeypatch.setattr(queue, "relax", relax)
            bench.log("late")
            assert threads.started == []
        relax(wanted)

    monkeypatch.setattr(queue, "relax", caller_is_faster)
    alive(bench, LISTENER, SENDER)
    bench.pipeline.listener.stop()
    bench.pipeline.workers._threads._listen()
    assert threads.started == [LISTENER]


def test_a_record_that_comes_while_the_sender_ends_starts_both(
    bench: PipelineBench, threads: FakeThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads.hold_starters = True
    workers = bench.pipeline.workers
    monkeypatch.setattr(bench.pipeline.outbox, "close", lambda: bench.log("late"))
    ending.watch(workers)
    alive(bench, SENDER)
    bench.pipeline.listener._is_stopping = True
    monkeypatch.setattr(bench.pipeline.listener, "resume", lambda: None)
    workers._threads._send()
    assert workers in ending._live, "what is in the queue is drained at the end in any case"
    threads.run_starters()
    assert threads.started == [LISTENER, SENDER]


# close


@pytest.mark.parametrize(
    ("state", "records", "batches", "started"),
    [
        (State.IDLE, 0, 0, []),
        (State.IDLE, 1, 0, [LISTENER, SENDER]),
        (State.RUNNING, 1, 1, []),
        (State.SENDING, 1, 1, [LISTENER]),
        (State.SENDING, 0, 1, []),
        (State.LISTENING, 0, 0, []),
        (State.LISTENING, 1, 0, [SENDER]),
        (State.LISTENING, 0, 1, [SENDER]),
    ],
)
def test_close_starts_the_threads_that_there_is_work_for_and_has_all_end(
    bench: PipelineBench, threads: FakeThreads, state: State, records: int, batches: int, started: list[Role]
) -> None:
    alive(bench, LISTENER, SENDER)
    if batches:
        bench.log("a", level=logging.ERROR)
        bench.listen()
    bench.log(*["b"] * records)
    alive(bench, *LIVING[state])
    bench.pipeline.workers.close(0.0)
    assert threads.started == started
    assert bench.pipeline.listener.is_stopping


def test_a_starter_that_comes_after_close_has_seen_all_out_starts_nothing(
    bench: PipelineBench, threads: FakeThreads
) -> None:
    threads.hold_starters = True
    bench.log("a")
    bench.pipeline.workers.close(0.0)
    # Another starter was faster, and its threads have done the work and ended.
    bench.listen()
    bench.send()
    threads.run_starters()
    assert threads.started == []


def test_a_starter_that_finds_all_done_leaves_the_next_record_to_wake_the_listener(
    bench: PipelineBench, threads: FakeThreads
) -> None:
    threads.hold_starters = True
    workers = bench.pipeline.workers
    # The entry of this call was taken by a listener that was about to end after `close`, and did.
    bench.pipeline.queue.wake_once(workers.wake)
    workers.close(0.0)
    threads.run_starters()
    assert threads.started == []
    bench.log("later")
    threads.run_starters()
    assert threads.started == [LISTENER, SENDER]


def test_a_flush_of_a_closed_handler_leaves_the_rest_to_its_sender(bench: PipelineBench, threads: FakeThreads) -> None:
    bench.log("a")
    bench.pipeline.workers.close(0.0)
    bench.listen()
    alive(bench, SENDER)
    threads.started.clear()
    assert not bench.pipeline.workers.flush(0.0)
    assert threads.started == []
    assert bench.pipeline.listener.is_stopping
