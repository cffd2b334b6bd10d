"""The batch: what its halves and its plain copy keep of it."""

from __future__ import annotations

from tests.delivery.harness import WIRE, batch_of


def test_halves_and_a_plain_copy_stand_where_the_batch_stood_in_the_queue() -> None:
    batch = batch_of("a", *map(str, range(200)), compressed=True, ordinal=7)
    assert [each.ordinal for each in (*batch.halves(WIRE), batch.uncompressed(WIRE))] == [7, 7, 7]


def test_the_halves_of_a_compressed_batch_are_compressed_only_if_they_are_large_enough() -> None:
    first, second = batch_of("a", *map(str, range(300)), compressed=True).halves(WIRE)
    assert (first.compressed, second.compressed) == (True, True)
    assert [each.compressed for each in first.halves(WIRE)] == [False, False]


def test_the_halves_of_a_compressed_batch_of_few_large_records_are_compressed() -> None:
    batch = batch_of("a", *["x" * 100_000] * 4, compressed=True)
    assert [each.compressed for each in batch.halves(WIRE)] == [True, True]
    assert [each.compressed for each in batch.halves(WIRE)[0].halves(WIRE)] == [True, True]
    assert [each.compressed for each in batch_of("b", *["x" * 100_000] * 4).halves(WIRE)] == [False, False], (
        "the server or the settings want none"
    )
