"""The life of a handler's two threads, the listener's and the sender's, as a table. `threads` follows it.

| state | listener | sender | a record comes | after `close`, once its work is done |
|---|---|---|---|---|
| IDLE | | | both are started | |
| RUNNING | lives | lives | the listener is woken | the listener ends: SENDING |
| SENDING | | lives | the listener is started: RUNNING | the sender ends: IDLE |
| LISTENING | lives | | the listener is woken, the sender started: RUNNING | the listener ends: IDLE |

The state is stored nowhere: it is read off the threads each time. LISTENING is rare: the system had no thread left
for the sender. The listener's work is done when the queue is empty, the sender's when the outbox is empty too. When the
process ends, the sender's is done as soon as what was accepted before is settled, or nothing can be sent in time.

With `deliver: false` there is no sender's thread: the states are IDLE and LISTENING, and the listener's work is done
when the outbox is empty, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final


class State(Enum):
    """Which of the two threads are alive: (the listener's, the sender's)."""

    IDLE = (False, False)
    RUNNING = (True, True)
    SENDING = (False, True)
    LISTENING = (True, False)


class Role(Enum):
    """The threads, by their names."""

    LISTENER = "logcollector-listener"
    SENDER = "logcollector-sender"


#: The threads that are started when a record comes.
STARTED: Final[Mapping[State, tuple[Role, ...]]] = {
    State.IDLE: (Role.LISTENER, Role.SENDER),
    State.RUNNING: (),
    State.SENDING: (Role.LISTENER,),
    State.LISTENING: (Role.SENDER,),
}
#: The thread that may end when its work is done.
ENDING: Final[Mapping[State, Role | None]] = {
    State.IDLE: None,
    State.RUNNING: Role.LISTENER,
    State.SENDING: Role.SENDER,
    State.LISTENING: Role.LISTENER,
}
