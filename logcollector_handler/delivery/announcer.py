"""What people read on stderr about the server and their logs. The sender says what happened; the words are here."""

from __future__ import annotations

from logcollector_handler.settings import Settings

from .answers import CONFIGURATION_RETRY, Answer, Verdict, advice
from .batch import Batch
from .report import Reporter


class Announcer:
    """Tells people of each kind of trouble once, until it is over."""

    def __init__(self, settings: Settings, reporter: Reporter) -> None:
        self._settings = settings
        self._reporter = reporter
        self._server = settings.mask(settings.server_url)
        # The kinds of trouble that people were told of since it began.
        self._said: set[str] = set()

    def answered(self, verdict: Verdict, answer: Answer, batch: Batch, *, misconfigured: bool, exiting: bool) -> None:
        """A request ended. `misconfigured`: that was ruled, whatever the verdict. `exiting`: the process goes down."""
        if misconfigured:
            self._say(
                "configuration",
                f"{self._server} is not taking logs, and waiting will not help ({answer.detail}): {advice(answer)}; "
                f"the logs are kept as long as there is room, and tried every {CONFIGURATION_RETRY:.0f} s",
            )
        elif verdict is Verdict.RETRY:
            follows = "they are kept and sent as soon as it does"
            if exiting:
                follows = "the process ends and cannot wait"
            self._say("away", f"{self._server} takes no logs now ({answer.detail}); {follows}")
        elif verdict is Verdict.SERVER_ERROR:
            self._say("failing", f"{self._server} fails on logs ({answer.detail}); they are kept and sent again")
        elif verdict is Verdict.UNFINISHED:
            self._say(
                "slow",
                f"{self._settings.timeout:g} s were not enough to send a batch of {batch.size} bytes to "
                f"{self._server}; smaller ones are sent for a while, and what cannot be made smaller is tried again "
                "later. If the line is slow, raise timeout or lower max_batch_bytes",
            )

    def delivered(self, batch: Batch, answer: Answer) -> None:
        """A batch was delivered: the troubles of the server are over. A wrong count and a full disk are others."""
        self._said &= {"count", "room", "slow"}
        if answer.count not in (None, batch.entries):
            self._say(
                "count",
                f"{self._server} answered that it took {answer.count} entries of a batch of {batch.entries}; "
                "the batch counts as delivered, check the server",
            )

    def found_no_room(self) -> None:
        """The parts of a batch that the server does not take whole could not be kept."""
        self._say(
            "room",
            f"{self._server} does not take a batch as it is, and there is no room to write it anew; "
            "it is kept whole and tried again later, and the others go on",
        )

    def found_room(self) -> None:
        """The parts of a batch were kept: the next lack of room is a new one."""
        self._said.discard("room")

    def gave_up(self, name: str, reason: str) -> None:
        """A record became a dead letter. `name` is how people recognize it."""
        self._reporter.say("refused", f"a record was given up, because {self._server} refused it ({reason}): {name}")

    def _say(self, kind: str, message: str) -> None:
        """Tell people, unless they were told of this kind of trouble and it is not over."""
        if kind not in self._said:
            self._said.add(kind)
            self._reporter.say(kind, message)
