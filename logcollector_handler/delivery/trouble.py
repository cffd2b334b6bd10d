"""What people are told about the server, on stderr: each kind of trouble once, until it is over."""

from __future__ import annotations

from .answers import CONFIGURATION_RETRY, Answer, advice
from .report import Reporter


class Trouble:
    """Words for what goes wrong with the server.

    Args:
        server: its URL, without secrets.
        reporter: prints them.
    """

    def __init__(self, server: str, reporter: Reporter) -> None:
        self._server = server
        self._reporter = reporter
        # The kinds of trouble that people were told of since it began.
        self._said: set[str] = set()

    def is_over(self) -> None:
        """The server took a batch."""
        # A wrong count, a warning, a full disk and a slow line are no troubles of that kind.
        self._said &= {"count", "warned", "room", "slow"}

    def has_room(self) -> None:
        """A batch that the server does not take could be written anew."""
        self._said.discard("room")

    def configuration(self, answer: Answer, *, exiting: bool) -> None:
        """The settings are wrong, here or at the server."""
        follows = f"the logs are kept as long as there is room, and tried every {CONFIGURATION_RETRY:.0f} s"
        if exiting:
            follows = "the process ends without trying again"
        self._say(
            "configuration",
            f"{self._server} is not taking logs, and waiting will not help ({answer.detail}): {advice(answer)}; "
            f"{follows}",
        )

    def away(self, answer: Answer, *, exiting: bool) -> None:
        """The server cannot be reached, or asks for patience."""
        follows = "they are kept and sent as soon as it does"
        if exiting:
            follows = "the process ends, and tries again while there is time"
        self._say("away", f"{self._server} takes no logs now ({answer.detail}); {follows}")

    def failing(self, answer: Answer, *, exiting: bool) -> None:
        """The server failed on a batch."""
        follows = "they are kept and sent again"
        if exiting:
            follows = "the process ends, and tries again while there is time"
        self._say("failing", f"{self._server} fails on logs ({answer.detail}); {follows}")

    def slow(self, size: int, seconds: float) -> None:
        """That many bytes were not sent whole in that many seconds."""
        self._say(
            "slow",
            f"{seconds:g} s were not enough to send a batch of {size} bytes to {self._server}; smaller ones are sent "
            "for a while, and what cannot be made smaller is tried again later. If the line is slow, raise timeout or "
            "lower max_batch_bytes",
        )

    def count(self, answer: Answer, entries: int) -> None:
        """The server says that it took another number of entries than were sent."""
        self._say(
            "count",
            f"{self._server} answered that it took {answer.count} entries of a batch of {entries}; "
            "the batch counts as delivered, check the server",
        )

    def no_room(self) -> None:
        """A batch that the server does not take cannot be written anew, because the disk is full."""
        self._say(
            "room",
            f"{self._server} does not take a batch as it is, and there is no room to write it anew; "
            "it is kept whole and tried again later, and the others go on",
        )

    def refused(self, reason: str, record: str) -> None:
        """A record is a dead letter. Said of each, as often as the reporter allows."""
        self._reporter.say("refused", f"a record was given up, because {self._server} refused it ({reason}): {record}")

    def rejected(self, answer: Answer, records: int, entries: int) -> None:
        """The server took a batch without some of its records. Said of each, as often as the reporter allows."""
        self._reporter.say(
            "refused",
            f"{records} records were given up, because {self._server} rejected that many of a batch of {entries}, "
            f"without saying which ({answer.why or 'nor why'})",
        )

    def warned(self, answer: Answer) -> None:
        """The server took all of a batch, and has something to say all the same."""
        self._say("warned", f"{self._server} takes logs and warns: {answer.why}")

    def _say(self, kind: str, message: str) -> None:
        if kind not in self._said:
            self._said.add(kind)
            self._reporter.say(kind, message)
