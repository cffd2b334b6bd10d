"""The lock of `locks`, under real signals: the interpreter decides where it runs their handlers."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

pytestmark = [
    pytest.mark.integration,
    pytest.mark.every_python,
    pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no interval timers here"),
]

SCRIPT = """
import random, signal
from logcollector_handler.delivery.locks import new_lock

class Alarm(BaseException):
    pass

armed = False
def ring(number, frame):
    global armed
    if armed:
        armed = False
        raise Alarm

def enter_and_leave(lock):
    while True:
        with lock, lock:
            pass

signal.signal(signal.SIGALRM, ring)
lock, held = new_lock(), 0
for _ in range(500):
    try:
        armed = True
        signal.setitimer(signal.ITIMER_REAL, random.uniform(0.00001, 0.0003))
        enter_and_leave(lock)
    except Alarm:
        pass
    if lock._is_owned():
        held += 1
        lock = new_lock()
print(held)
"""


def test_an_exception_out_of_a_signal_handler_never_leaves_a_lock_held() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=300, check=False)
    assert (done.stdout, done.stderr) == ("0\n", "")
