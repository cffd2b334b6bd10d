"""Partial success in the oracle test: of some batches the server of OTLP takes all records but those that are poison.

What belongs here: which records were rejected so, the answer that says it, and which of them a file in `dead/` has.
What does not: which batches it happens to; that is `oracle_weather.py`.
"""

from __future__ import annotations

from collections.abc import Collection

from tests.integration.behaviours import Behaviour, answer


class Rejections:
    """The records that were rejected in answers of 200."""

    def __init__(self) -> None:
        # Their ids by the key of their batch.
        self._by_key: dict[str, set[str]] = {}

    @property
    def ids(self) -> set[str]:
        """All of them."""
        return set().union(*self._by_key.values())

    def reject(self, key: str, identities: Collection[str]) -> Behaviour:
        """Store a batch but for these records. The answer says how many they are, but not which."""
        self._by_key[key] = set(identities)
        return self.answer_again(key)

    def answer_again(self, key: str) -> Behaviour:
        """The answer to a batch that was stored, whether or not all of it was."""
        rejected = len(self._by_key.get(key, ()))
        if not rejected:
            return answer()
        # Not needed for the other formats.
        from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

        response = ExportLogsServiceResponse()
        response.partial_success.rejected_log_records = rejected
        response.partial_success.error_message = "some records are poison"
        return answer(200, response.SerializeToString(), content_type="application/x-protobuf")

    def has(self, key: str, identity: str | None) -> bool:
        """Whether the record was rejected when the batch came under that key."""
        return identity in self._by_key.get(key, ())

    def letters_in(self, identities: set[str], name: str) -> set[str]:
        """Which of the records in a file of `dead/` are dead letters: in one of a whole batch, those rejected."""
        return identities & self.ids if ".partly." in name else identities
