"""The batch: what its halves and its plain copy keep of it."""

from __future__ import annotations

from logcollector_handler.delivery.batch import make_batch
from tests.delivery.fakes import line


def test_halves_and_a_plain_copy_stand_where_the_batch_stood_in_the_queue() -> None:
    batch = make_batch("a", [line(str(number)) for number in range(200)], True, 7)
    body = batch.body or b""
    assert [each.ordinal for each in (*batch.children(body), batch.uncompressed(body))] == [7, 7, 7]
