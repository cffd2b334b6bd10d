"""`logcollector doctor`: what it says of the key, which it must have seen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from logcollector_handler.collector.app import create_app
from logcollector_handler.collector.server import BackgroundServer
from logcollector_handler.collector.store import Store
from tests.cli.doctor.examined import Examined, real
from tests.integration.behaviours import Behaviour, answer
from tests.integration.faulty import FaultyServer
from tests.integration.faulty_connections import Request

WAYS: dict[str, tuple[str, dict[str, str]]] = {
    "api_key": ("http://", {"LOGCOLLECTOR_API_KEY": "s3cr3t"}),
    "server_url": ("http://me:s3cr3t@", {}),
    "headers": ("http://", {"LOGCOLLECTOR_HEADERS": '{"authorization": "Token s3cr3t"}'}),
}


def refuse_another_key(status: int) -> Callable[[Request], Behaviour]:
    """Takes what comes with the key that comes first, and answers the status to all else."""
    right: list[str | None] = []

    def look(request: Request) -> Behaviour:
        given = request.headers.get("Authorization")
        right.append(given)
        return answer(200 if given == right[0] else status)

    return look


@real
@pytest.mark.parametrize(("scheme", "environment"), WAYS.values(), ids=WAYS)
def test_a_key_counts_as_accepted_only_where_a_wrong_one_is_refused(
    server: FaultyServer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    scheme: str,
    environment: dict[str, str],
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    url = server.url.replace("http://", scheme)
    for refusal, status, words in (
        (401, "ok", "the key is accepted, and a wrong one is not"),
        (403, "ok", "the key is accepted, and a wrong one is not"),
        (200, "ok", "the server looks at no key: it takes a wrong one, too"),
        (503, "skipped", "does not show whether it looks at keys"),
    ):
        server.default = refuse_another_key(refusal)
        examined = Examined(capsys, "--server-url", url)
        assert (examined.code, examined["authorization"]) == (0, status)
        assert words in examined.text("authorization")
        assert "s3cr3t" not in examined.out
        first, second = server.requests[-2:]
        assert (first.key, first.body) == (second.key, second.body), "it is stored once where keys are known"


@real
def test_the_embedded_collector_is_seen_to_look_at_its_token(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGCOLLECTOR_API_KEY", "correct horse battery staple")
    store = Store(tmp_path / "logs.sqlite")
    for token, words in (("correct horse battery staple", "a wrong one is not"), (None, "looks at no key")):
        collector = BackgroundServer(create_app(store, token=token))
        collector.start()
        examined = Examined(capsys, "--server-url", collector.url)
        collector.stop()
        assert (examined.code, words in examined.text("authorization")) == (0, True)
    assert store.count() == 2, "one each"
    store.close()
