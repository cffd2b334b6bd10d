"""What every test gets: logging and signals as it needs them, time for its processes, a hypothesis profile."""

from __future__ import annotations

import logging
import shutil
import signal
import subprocess
from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
from hypothesis import settings

# No deadline: on a busy machine it fails examples that are right. The blob repeats a failure elsewhere. Half the usual
# number of examples: the check draws new ones on each Python.
settings.register_profile("project", deadline=None, print_blob=True, max_examples=50)
settings.load_profile("project")


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    """Leaves the logging module as it was: no test sees the handlers, levels and switches of another.

    A logger that the test created stays, as good as new: a module imported meanwhile may hold it, and
    `getLogger` must go on to return that one. Handlers are taken out but not closed: a test closes what
    it opens, and is told by a ResourceWarning if it does not.
    """
    before = {one: _state(one) for one in _loggers()}
    switches = (logging.raiseExceptions, logging.lastResort)
    classes = (logging.getLogRecordFactory(), logging.getLoggerClass())
    disabled_up_to = logging.root.manager.disable
    names: MutableMapping[str, logging.Handler] = logging._handlers  # type: ignore[attr-defined]  # by name
    named = dict(names)
    yield
    for one in _loggers():
        level, propagate, disabled, handlers, filters = before.get(one, (logging.NOTSET, True, False, [], []))
        one.setLevel(level)
        one.propagate, one.disabled, one.handlers[:], one.filters[:] = propagate, disabled, handlers, filters
    logging.raiseExceptions, logging.lastResort = switches
    logging.setLogRecordFactory(classes[0])
    logging.setLoggerClass(classes[1])
    logging.captureWarnings(False)
    logging.disable(disabled_up_to)
    names.clear()
    names.update(named)


@pytest.fixture(scope="session", autouse=True)
def interruptible_processes() -> Iterator[None]:
    """Lets SIGINT act in the processes that tests start, also where pytest was told to ignore it (`nohup … &`).

    A new program ignores what its parent ignores, but gets the default of what its parent handles. So pytest
    handles the signal, by ignoring it.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda number, frame: None)
    yield
    signal.signal(signal.SIGINT, before)


#: Seconds that a handler has at exit in tests that are not about that time: enough for any machine.
PATIENCE = 120


@pytest.fixture(autouse=True)
def patient_processes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives the processes of a test time to deliver at exit, however busy the machine is.

    A test that is about `shutdown_timeout` sets it as an argument, which wins.
    """
    if request.node.get_closest_marker("integration") is not None:
        monkeypatch.setenv("LOGCOLLECTOR_SHUTDOWN_TIMEOUT", str(PATIENCE))


_State = tuple[int, bool, bool, list[logging.Handler], list[Any]]


def _state(logger: logging.Logger) -> _State:
    return logger.level, logger.propagate, logger.disabled, logger.handlers[:], logger.filters[:]


def _loggers() -> list[logging.Logger]:
    known = list(logging.root.manager.loggerDict.values())
    return [logging.root, *(one for one in known if isinstance(one, logging.Logger))]


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Paths of a certificate for 127.0.0.1 that signs itself, and of its key. Both in PEM."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("the openssl command is not installed")
    directory = tmp_path_factory.mktemp("certificate")
    certificate, key = str(directory / "certificate.pem"), str(directory / "key.pem")
    command = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    subprocess.run(
        [openssl, *command.split(), *names, "-out", certificate, "-keyout", key],
        check=True,
        capture_output=True,
    )
    return certificate, key
