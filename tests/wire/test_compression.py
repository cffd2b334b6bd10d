"""Bodies become gzip and come back, with isal and without it."""

from __future__ import annotations

import builtins
import gzip
import importlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logcollector_handler.wire import compression
from logcollector_handler.wire.compression import compress, decompress


@pytest.mark.parametrize("body", [b"", b"x", b'{"logs":[]}' * 10_000])
def test_the_same_body_always_gives_the_same_gzip(body: bytes) -> None:
    assert gzip.decompress(compress(body)) == body
    assert decompress(compress(body)) == body
    assert compress(body) == compress(body)


def test_without_isal_zlib_compresses(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "isal":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(builtins, "__import__", refuse)
        spec = importlib.util.find_spec(compression.__name__)
        assert spec is not None
        assert spec.loader is not None
        other = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(other)
    body = b"body" * 1000
    assert other.compress is not compression.compress
    assert gzip.decompress(other.compress(body)) == body
    assert other.compress(body) == other.compress(body)
    assert other.compress(body)[4:8] == bytes(4), "the time of compression is in it"


@given(st.lists(st.binary(max_size=50)))
def test_any_compressed_body_comes_back_and_always_gives_the_same_gzip(parts: list[bytes]) -> None:
    body = b"".join(parts)
    assert decompress(compress(body)) == body
    assert compress(body) == compress(body)
