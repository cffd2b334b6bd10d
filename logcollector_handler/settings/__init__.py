"""The settings of a handler, each declared once: type, default, limits and one sentence of help.

Arguments, environment variables, checks, the typed signature, the README's table and what `logcollector doctor` shows
are all read off these declarations. An argument wins over the environment, the environment over the default. A wrong
value fails when the handler is made, with a message that names the setting, the value and what is allowed.
"""

# ruff: noqa: RUF009 - a Setting in the dataclass below is a descriptor: one for all instances
from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from logging import ERROR
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

from logcollector_handler.entry.model import (
    DEFAULT_ENVIRONMENT,
    ENVIRONMENT_ALIASES,
    ENVIRONMENTS,
    LOG_TYPES,
    TEXT_LIMITS,
)
from logcollector_handler.entry.redact import DEFAULT_REDACT, MASK
from logcollector_handler.wire import FORMATS
from logcollector_handler.wire.compression import COMPRESS_BYTES, COMPRESS_FROM

from . import kinds, secret
from .kinds import MIB, NotAllowedError
from .opentelemetry import told_by_opentelemetry
from .setting import Setting, SettingError, UnknownSettingError, wrong

__all__ = ["NAMES", "SETTINGS", "SettingError", "Settings", "UnknownSettingError", "load"]

_Path = str | os.PathLike[str]


@dataclass(frozen=True, kw_only=True, repr=False)
class Settings:
    """All settings of one handler. Every argument may be None: not given.

    `repr` shows neither the key, nor headers, nor passwords in URLs.

    Raises:
        SettingError: a value is not allowed, by itself or beside another.
    """

    server_url: Setting[str, str] = Setting(
        secret.ServerUrl(),
        "http://localhost:8000",
        "Where the server is; a path is kept as a prefix, and `wire` says what is appended. With `wire: ndjson` it is "
        "the whole URL: it may have a query, which is shown nowhere, and `{batch_id}` in it is replaced by the batch's "
        "id.",
    )
    service: Setting[str, str | None] = Setting(
        kinds.Text(TEXT_LIMITS["service"]),
        None,
        f"Name of the application, up to {TEXT_LIMITS['service']} characters; without it `OTEL_SERVICE_NAME` or "
        "`OTEL_RESOURCE_ATTRIBUTES`.",
    )
    environment: Setting[str, str] = Setting(
        kinds.OneOf(*ENVIRONMENTS, aliases=ENVIRONMENT_ALIASES),
        DEFAULT_ENVIRONMENT,
        "Where the application runs: `production`, `staging`, `development`, `test` or `local`; without it "
        "`OTEL_RESOURCE_ATTRIBUTES`.",
    )
    service_version: Setting[str, str] = Setting(
        kinds.Text(TEXT_LIMITS["service_version"]),
        "v0.0.0-dev",
        f"Version of the application, up to {TEXT_LIMITS['service_version']} characters; without it "
        "`OTEL_RESOURCE_ATTRIBUTES`.",
    )
    log_type: Setting[str, str] = Setting(
        kinds.OneOf(*LOG_TYPES),
        "BACKEND",
        "What the application is: `BACKEND`, `FRONTEND`, `MOBILE`, `IOT` or `WORKER`.",
    )
    batch_size: Setting[int, int] = Setting(
        kinds.Whole(1, "records"), 1000, "A batch with this many records is sent at once."
    )
    flush_interval: Setting[float, float] = Setting(
        kinds.Seconds(), 1.0, "The longest that a record waits for others before its batch is sent."
    )
    flush_level: Setting[int | str, int] = Setting(
        kinds.Level(),
        ERROR,
        "A record of this level or above is sent at once, with those before it; others right behind it are gathered.",
    )
    max_queue_size: Setting[int, int] = Setting(
        kinds.Whole(1, "records"), 10_000, "Room between the logging calls and the background."
    )
    max_queue_bytes: Setting[int, int] = Setting(
        kinds.Size(), 64 * MIB, "The same room in bytes, by an estimate: a record counts as 512 bytes or more."
    )
    overflow: Setting[str, str] = Setting(
        kinds.OneOf("drop_oldest", "drop_newest", "block"),
        "drop_oldest",
        "What a full queue does: `drop_oldest`, `drop_newest`, or `block`, where the logging call waits for room.",
    )
    enable_compression: Setting[bool, bool] = Setting(
        kinds.Flag(),
        True,
        f"Batches of {COMPRESS_FROM} records or {COMPRESS_BYTES // 1024} KiB and more are sent as gzip.",
    )
    max_retries: Setting[int, int] = Setting(
        kinds.Whole(0, "times"),
        3,
        "How often a batch on which the server fails (500) is tried again before others are sent first.",
    )
    timeout: Setting[float, float] = Setting(
        kinds.Seconds(), 5.0, "The longest that one request takes, from start to end."
    )
    max_batch_bytes: Setting[int, int] = Setting(
        kinds.Size(), 4 * MIB, "Largest size of a batch before compression; with `wire: otlp` never more than 1 MiB."
    )
    max_record_bytes: Setting[int, int] = Setting(kinds.Size(), 256 * 1024, "A longer record is cut, with a mark.")
    max_buffer_bytes: Setting[int, int] = Setting(
        kinds.Size(), 64 * MIB, "Room in memory for batches that wait to be sent."
    )
    shutdown_timeout: Setting[float, float] = Setting(
        kinds.Seconds(), 5.0, "The longest that closing the handler and the end of the process take."
    )
    api_key: Setting[str, str | None] = Setting(
        secret.Key(), None, "Sent as `Authorization: Bearer`; never shown anywhere."
    )
    headers: Setting[Mapping[str, str], Mapping[str, str]] = Setting(
        secret.Headers(),
        MappingProxyType({}),
        "An object of headers that are sent with every request; values are never shown.",
    )
    verify: Setting[bool | _Path, bool | str] = Setting(
        kinds.Verify(),
        True,
        "Whether TLS certificates are verified; or the path of a CA file or directory to verify them with.",
    )
    client_cert: Setting[_Path | Sequence[_Path], str | tuple[str, str] | None] = Setting(
        kinds.ClientCert(),
        None,
        "Path of a PEM file with a certificate and its key, or a list of the paths of both: what the handler shows a "
        "server that asks for a certificate (mutual TLS).",
    )
    proxy: Setting[str, str | None] = Setting(
        secret.Url(), None, "URL of a proxy; without it `HTTPS_PROXY`, `NO_PROXY` and the like are honoured."
    )
    enabled: Setting[bool, bool] = Setting(
        kinds.Flag(), True, "With `false` nothing is queued or sent, and no thread is made."
    )
    wire: Setting[str, str] = Setting(
        kinds.OneOf(*FORMATS),
        "collector",
        "The format in which batches are written, and where they are posted: `collector`, that of the log collection "
        "server, at `/logs`; `otlp`, OTLP/HTTP with protobuf, at `/v1/logs`; `ndjson`, one JSON object a line, at "
        "`server_url` as it is.",
    )
    spool_dir: Setting[_Path, str | None] = Setting(
        kinds.Directory(),
        None,
        "A directory in which batches wait as files, so that they survive the process; not on Windows.",
    )
    durability: Setting[str, str] = Setting(
        kinds.OneOf("batch", "record"),
        "batch",
        "With `spool_dir`: `batch`, or `record`: each record is in a file when the logging call returns.",
    )
    fsync: Setting[bool, bool] = Setting(
        kinds.Flag(),
        False,
        "With `spool_dir`: waits until the disk itself has what is written, which then survives a loss of power; slow.",
    )
    max_spool_bytes: Setting[int, int] = Setting(
        kinds.Size(),
        1024 * MIB,
        "Room for the files of one server, of all processes, dead letters included: what the disk is charged, 4 KiB or "
        "more a file.",
    )
    deliver: Setting[bool, bool] = Setting(
        kinds.Flag(),
        True,
        "With `false`, which needs `spool_dir`, nothing is posted: batches are left in the spool for "
        "`logcollector forward`, which sends them.",
    )
    redact: Setting[Sequence[str], tuple[str, ...]] = Setting(
        kinds.Names(),
        DEFAULT_REDACT,
        "Names of fields that are masked, at any depth, instead of the usual ones; matched by their words.",
        "names of secrets",
    )
    redact_patterns: Setting[str | Sequence[str], tuple[str, ...]] = Setting(
        kinds.Patterns(),
        (),
        "A list of regular expressions: what they match is masked in all texts, the message too; `common` in it, or "
        "alone, is a ready set.",
        "none",
    )

    def __post_init__(self) -> None:
        wire = FORMATS[self.wire]
        if not wire.takes_whole_url:
            if "?" in self.server_url:
                shown = SETTINGS["server_url"].kind.hide(self.server_url)
                raise _beside(
                    "server_url", shown, "a URL like http://host:port, without ? and #, unless wire is ndjson"
                )
            # `object.` because this dataclass is frozen.
            object.__setattr__(self, "server_url", self.server_url.rstrip("/"))
        if self.max_record_bytes > self.max_batch_bytes:
            raise _beside(
                "max_record_bytes", self.max_record_bytes, f"max_batch_bytes ({self.max_batch_bytes}) at most"
            )
        if self.durability == "record" and self.spool_dir is None:
            raise _beside("durability", self.durability, "batch, unless spool_dir is set")
        if self.fsync and self.spool_dir is None:
            raise _beside("fsync", self.fsync, "false, unless spool_dir is set")
        if not self.deliver and self.spool_dir is None:
            raise _beside("deliver", self.deliver, "true, unless spool_dir is set")
        if self.api_key is not None and urlsplit(self.server_url).username:
            raise _beside("api_key", MASK, "none with a user name in server_url, for a request has one Authorization")
        if self.max_batch_bytes > self.max_buffer_bytes:
            raise _beside(
                "max_batch_bytes", self.max_batch_bytes, f"max_buffer_bytes ({self.max_buffer_bytes}) at most"
            )
        if self.max_batch_bytes > wire.max_batch_bytes:
            # Servers of this format take no more.
            object.__setattr__(self, "max_batch_bytes", wire.max_batch_bytes)
            most = wire.max_batch_bytes - wire.frame_bytes
            object.__setattr__(self, "max_record_bytes", min(self.max_record_bytes, most))

    def mask(self, text: str) -> str:
        """The text with what is secret in these settings replaced by asterisks."""
        return secret.masked(text, self.secrets())

    def secrets(self) -> dict[str, str]:
        """What is secret in these settings, and what to show instead."""
        hidden: dict[str, str] = {}
        for name, setting in SETTINGS.items():
            hidden |= setting.kind.secrets(getattr(self, name))
        return hidden

    def changed(self) -> dict[str, object]:
        """The settings that differ from their defaults, without secrets."""
        return {name: value for name, value in self._shown().items() if getattr(self, name) != SETTINGS[name].default}

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in self._shown().items())})"

    def _shown(self) -> dict[str, object]:
        return {name: setting.kind.hide(getattr(self, name)) for name, setting in SETTINGS.items()}


#: Every setting by its name, in the order of the documentation.
SETTINGS: Final[Mapping[str, Setting[Any, Any]]] = MappingProxyType(
    {name: each for name, each in vars(Settings).items() if isinstance(each, Setting)}
)
NAMES: Final = tuple(SETTINGS)


def load(arguments: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from arguments (None means: not given), then from `LOGCOLLECTOR_<NAME>` variables, then defaults.

    Service, version and environment may also be named by OpenTelemetry's variables.

    Args:
        arguments: values by the names of settings.
        environ: the environment. Default: that of the process. An empty variable is not given.

    Raises:
        SettingError: a value is not allowed.
        UnknownSettingError: (a SettingError) there is no setting of that name.
    """
    environ = os.environ if environ is None else environ
    for name in arguments:
        if name not in SETTINGS:
            raise UnknownSettingError(f"{name} is not a setting of LogCollectorHandler; {_instead_of(name)}")
    values = dict(arguments)
    for name, setting in SETTINGS.items():
        variable = environ.get(setting.variable)
        if values.get(name) is None and variable:
            values[name] = setting.from_environment(variable)
    for name, told in told_by_opentelemetry(environ).items():
        if values.get(name) is None:
            values[name] = told
    return Settings(**values)


def _beside(name: str, shown: object, allowed: str) -> SettingError:
    return wrong(name, NotAllowedError(shown, allowed))


def _instead_of(name: str) -> str:
    from difflib import get_close_matches  # Not needed before somebody misspells a name.

    near = get_close_matches(name, NAMES, n=1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(NAMES)}"
