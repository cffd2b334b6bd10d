"""The file while the collector runs: nobody else may read it, and it is noticed when it is damaged or gone."""

from __future__ import annotations

import os
import random
import shutil
import stat
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from logcollector_handler.collector import stream
from logcollector_handler.collector.app import create_app
from logcollector_handler.collector.file import UnusableError
from logcollector_handler.collector.query import Query
from logcollector_handler.collector.server import BackgroundServer
from logcollector_handler.collector.store import Store, StoreError
from tests.collector.app_client import AppClient
from tests.collector.storing import rows

posix = pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be removed there, and has no mode")
NAMES = ("logs.sqlite", "logs.sqlite-wal", "logs.sqlite-shm")


def modes(directory: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}


@posix
def test_only_the_user_of_the_collector_may_read_its_files(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = Store(tmp_path / "logs.sqlite")
        store.add(rows({"message": "a"}))
        assert modes(tmp_path) == dict.fromkeys(NAMES, 0o600)
        store.close()
        assert modes(tmp_path) == {"logs.sqlite": 0o600}
        (tmp_path / "logs.sqlite").chmod(0o644)
        store = Store(tmp_path / "logs.sqlite")
        assert store.count() == 1
        assert modes(tmp_path) == dict.fromkeys(NAMES, 0o600), "also of a file that was made before"
        store.close()
    finally:
        os.umask(before)


def replace(path: Path) -> None:
    other = path.with_name("other")
    Store(other).close()
    os.replace(other, path)


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"not a database")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def swap_wal(path: Path) -> None:
    wal = path.with_name(path.name + "-wal")
    shutil.copy(wal, path.with_name("copy"))
    os.replace(path.with_name("copy"), wal)


DEEDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "deleted": (lambda path: path.unlink(), "was deleted or replaced"),
    "moved away": (lambda path: path.rename(path.with_name("elsewhere")), "was deleted or replaced"),
    "replaced": (replace, "was deleted or replaced"),
    "the directory is gone": (lambda path: path.parent.rename(path.parent.with_name("gone")), "deleted or replaced"),
    "the write-ahead log deleted": (lambda path: path.with_name("logs.sqlite-wal").unlink(), "logs.sqlite-wal"),
    "the write-ahead log replaced": (swap_wal, "logs.sqlite-wal"),
    "the index deleted": (lambda path: path.with_name("logs.sqlite-shm").unlink(), "logs.sqlite-shm"),
    "overwritten": (overwrite, "was overwritten"),
    "emptied": (empty, "was overwritten"),
}


@posix
@pytest.mark.parametrize(("deed", "words"), DEEDS.values(), ids=DEEDS)
def test_a_file_that_is_not_what_it_was_is_noticed_and_said(
    client: AppClient, tmp_path: Path, caplog: pytest.LogCaptureFixture, deed: Callable[[Path], object], words: str
) -> None:
    assert client.post({"message": "before"}).status_code == 200
    assert client.get("/health").json() == {"status": "ok"}
    deed(tmp_path / "logs.sqlite")
    for answer in (client.post({"message": "after"}, key="k"), *map(client.get, ("/logs", "/stats", "/logs/values"))):
        assert (answer.status_code, words in answer.json()["error"]) == (503, True)
    for path in ("/health", "/logs/stream", "/logs/histogram"):
        answer = client.get(path)
        assert (answer.status_code, words in answer.json()["error"]) == (503, True)
        assert str(tmp_path) not in answer.text, "who has no token learns no path"
    (said,) = [record.getMessage() for record in caplog.records if record.name.endswith("collector.file")]
    assert str(tmp_path / "logs.sqlite") in said
    assert words in said


@posix
def test_a_file_that_comes_back_is_used_again(
    client: AppClient, store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, away = tmp_path / "logs.sqlite", tmp_path / "away"
    for _ in range(2):
        path.rename(away)
        assert client.post({"message": "a"}, key="k").status_code == 503
        away.rename(path)
        assert client.get("/health").status_code == 200
        assert client.post({"message": "a"}, key="k").status_code == 200
    assert store.count() == 1
    assert len([record for record in caplog.records if record.name.endswith("collector.file")]) == 2


@posix
def test_what_is_written_while_the_file_goes_is_not_confirmed(store: Store, tmp_path: Path) -> None:
    class Going(list):  # type: ignore[type-arg]
        """Rows whose file goes while they are stored."""

        def __getitem__(self, some):  # type: ignore[no-untyped-def]
            (tmp_path / "logs.sqlite").unlink()
            return super().__getitem__(some)

    with pytest.raises(UnusableError, match="deleted"):
        store.add(Going(rows({"message": "a"})), "key")


def damage_pages(path: Path, keep: int) -> None:
    """Overwrite all pages of the file from `keep` on."""
    with path.open("r+b") as file:
        file.seek(keep * 4096)
        file.write(b"\xa5" * (path.stat().st_size - keep * 4096))


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """A file that can be opened, but whose rows cannot be read."""
    path = tmp_path / "damaged" / "logs.sqlite"
    path.parent.mkdir()
    store = Store(path)
    store.add(rows(*({"message": f"{n}" * 500, "created_at": n} for n in range(500))))
    store.close()
    damage_pages(path, 40)
    return path


def test_a_damaged_file_is_answered_503_and_shown_by_health(
    damaged: Path, client_of: Callable[..., AppClient], caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(damaged)
    client = client_of(create_app(store))
    for _ in range(2):
        answer = client.get("/logs", limit=1000)
        assert (answer.status_code, "is damaged" in answer.json()["error"]) == (503, True)
    answer = client.get("/health")
    assert (answer.status_code, "is damaged" in answer.json()["error"]) == (503, True)
    assert len([record for record in caplog.records if record.name.endswith("collector.file")]) == 1
    client.close()
    store.close()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The content of a file with logs."""
    path = tmp_path_factory.mktemp("whole") / "logs.sqlite"
    store = Store(path)
    fields = {"service": "s", "trace_id": "t", "metadata": {"logger": "l", "a": [1, {"b": "ü"}]}}
    store.add(rows(*({"message": f"needle {n} " * 10, "created_at": n, **fields} for n in range(100))), "k")
    store.close()
    return path.read_bytes()


@pytest.mark.parametrize("seed", range(25))
def test_whatever_is_damaged_is_refused_at_the_start_or_answered_200_or_503(
    whole: bytes, tmp_path: Path, client_of: Callable[..., AppClient], seed: int
) -> None:
    chance = random.Random(seed)
    content = bytearray(whole)
    for _ in range(3 ** (seed % 6)):
        start, length = chance.randrange(100, len(content)), chance.choice([1, 8, 200])
        content[start : start + length] = chance.randbytes(length)[: len(content) - start]
    path = tmp_path / "logs.sqlite"
    path.write_bytes(content)
    try:
        store = Store(path)
    except StoreError:
        return
    client = client_of(create_app(store))
    paths = ["/logs?limit=1000", "/logs?text=needle", "/logs?trace_id=t", "/logs?service=s", "/logs?level=INFO&since=5"]
    paths += ["/logs/histogram", "/logs/histogram?service=s", "/logs/values", "/stats", "/health"]
    paths += ["/logs?q=a.b:x", "/logs?q=-needle", "/logs?q=l%20-x", "/logs/5", "/logs/groups?by=a.b", "/metrics"]
    statuses = {client.get(path).status_code for path in paths}
    statuses |= {client.post({"message": "m"}, key=key).status_code for key in ("k", "n", None)}
    # 422: the key is known, with another body.
    assert statuses <= {200, 503, 422}
    client.close()
    store.close()


def test_metadata_that_was_damaged_on_the_disk_is_noticed(store: Store, client: AppClient) -> None:
    store.add(rows({"message": "a", "metadata": {"a": 1}}))
    store._writer.execute("UPDATE logs SET metadata = '{\"a\"'")
    answer = client.get("/logs")
    assert (answer.status_code, "is damaged" in answer.json()["error"]) == (503, True)
    with pytest.raises(UnusableError):
        store.page(Query())


@pytest.mark.integration
@posix
def test_a_stream_says_why_it_ends_when_the_file_goes(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "HEARTBEAT", 0.05)
    server = BackgroundServer(create_app(store))
    server.start()
    with httpx.stream("GET", server.url + "/logs/stream", timeout=60) as response:
        lines = response.iter_lines()
        assert "event: open" in lines
        (tmp_path / "logs.sqlite").unlink()
        assert "event: error" in lines
        assert "was deleted or replaced" in next(lines)
        assert list(lines) == [""]
    assert httpx.get(server.url + "/logs/stream", timeout=60).status_code == 503
    server.stop()


def test_a_relative_path_stays_the_same_file_when_the_directory_of_the_process_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(Store("logs.sqlite")) as store:
        monkeypatch.chdir("/")
        store.add(rows({"message": "m"}))
        assert store.count() == 1
        assert store.trouble() is None
