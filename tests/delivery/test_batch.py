"""The batch: what its halves and its plain copy keep of it."""

from __future__ import annotations

from tests.delivery.fakes import batch_of


def test_halves_and_a_plain_copy_stand_where_the_batch_stood_in_the_queue() -> None:
    batch = batch_of("a", *map(str, range(200)), compressed=True, ordinal=7)
    body = batch.body or b""
    assert [each.ordinal for each in (*batch.children(body), batch.uncompressed(body))] == [7, 7, 7]
