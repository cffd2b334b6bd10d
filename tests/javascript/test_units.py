"""The tests that Node runs itself, the types, and what both languages have in common."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import logcollector_handler
from logcollector_handler.entry import secret_names
from logcollector_handler.entry.redact import _words
from logcollector_handler.testing import CollectorServer
from tests.javascript import vectors
from tests.javascript.conftest import PACKAGE, App

HERE = Path(__file__).parent


def test_python_makes_the_entries_of_the_vectors() -> None:
    assert vectors.FILE.read_text() == vectors.text(), "run python -m tests.javascript.vectors"


def test_the_package_for_npm_has_the_version_of_the_one_for_python() -> None:
    assert json.loads((PACKAGE / "package.json").read_text())["version"] == logcollector_handler.__version__


def test_the_names_of_secrets_are_the_same_in_both_languages() -> None:
    source = (PACKAGE / "redact.js").read_text()
    lists = {name: set(text.split()) for name, text in re.findall(r"const (\w+) = list\([`\"]([^`\"]*)[`\"]\)", source)}
    for name, theirs in {
        "SECRETS": secret_names.DEFAULT_REDACT,
        "CLEAR": secret_names.CLEAR,
        "SINGULAR": secret_names.SINGULAR,
        "RUN_TOGETHER": secret_names.RUN_TOGETHER,
        "CARRIERS": secret_names.CARRIERS,
        "QUESTIONS": secret_names.QUESTIONS,
        "ADDRESSES": secret_names.ADDRESSES,
        "OF_ADDRESSES": secret_names.OF_ADDRESSES - secret_names.CARRIERS,
        "IN_QUERIES": secret_names.IN_QUERIES,
    }.items():
        assert lists[name] == {"".join(_words(each)) for each in theirs}, name


@pytest.mark.integration
def test_what_node_tests_itself(node: str, tmp_path: Path) -> None:
    # Beside the package that is tested, which may be an installed one.
    shutil.copytree(HERE, tmp_path / "tests" / "javascript")
    (tmp_path / "logcollector_handler").mkdir()
    (tmp_path / "logcollector_handler" / "javascript").symlink_to(PACKAGE)
    files = sorted(str(path) for path in (tmp_path / "tests" / "javascript").glob("*.test.mjs"))
    command = [node, "--preserve-symlinks", "--test", "--test-reporter=tap", *files]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    failures = re.findall(r"^not ok (?:.*\n)(?:  .*\n)*", done.stdout, re.MULTILINE)
    assert done.returncode == 0, "".join(failures)[:20_000] + done.stderr[-2000:]
    assert int(re.findall(r"^# pass (\d+)", done.stdout, re.MULTILINE)[0]) > 200


#: What a user writes: TypeScript finds what is wrong with two lines of it.
USER = """
import pino from "pino";
import winston from "winston";
import { createLogClient, type LogClientOptions } from "logcollector-handler";
import collector from "logcollector-handler/pino";
import { CollectorTransport } from "logcollector-handler/winston";
const options: LogClientOptions = { service: "shop", batchSize: 5, redactPatterns: ["common", /x/] };
const log = createLogClient("http://localhost", options);
const started: number = log.startTimer();
const ended: Promise<boolean> = log.flush(5);
const measured: Promise<number> = log.measure(async () => 5);
log.child({ a: 1 }).info("x", { b: 2 });
pino(collector({ service: "shop" }));
winston.createLogger({ transports: [new CollectorTransport({ service: "shop", level: "info" })] });
// @ts-expect-error
createLogClient("http://localhost", { servise: "shop" });
// @ts-expect-error
log.startTimer().length;
"""
#: What users are told is what the code says of itself.
SAME = """
import * as node from "PACKAGE/node.js";
import * as browser from "PACKAGE/browser.js";
import pino from "PACKAGE/pino.js";
import { CollectorTransport } from "PACKAGE/winston.js";
import * as told from "PACKAGE/types/index.js";
import toldPino from "PACKAGE/types/pino.js";
import { CollectorTransport as ToldTransport } from "PACKAGE/types/winston.js";
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false;
// `child` returns a client in its turn, which has private parts.
type Methods<T> = Omit<{ [name in keyof T]: T[name] }, "child">;
const same: [
  Same<Required<node.LogClientOptions>, Required<told.LogClientOptions>>,
  Same<Methods<node.LogClient>, Methods<told.LogClient>>,
  Same<keyof node.LogClient, keyof told.LogClient>,
  Same<node.Stats, told.Stats>,
  Same<Parameters<typeof node.createLogClient>, Parameters<typeof told.createLogClient>>,
  Same<Parameters<typeof browser.createLogClient>[1], Parameters<typeof told.createLogClient>[1]>,
  Same<typeof pino, typeof toldPino>,
  Same<ConstructorParameters<typeof CollectorTransport>, ConstructorParameters<typeof ToldTransport>>,
] = [true, true, true, true, true, true, true, true];
const child: told.LogClient = node.createLogClient().child({});
"""


@pytest.mark.integration
def test_the_types_are_right_and_help_users(with_packages: App) -> None:
    config = json.loads((HERE / "tsconfig.json").read_text())
    user = {**config["compilerOptions"], "allowJs": False, "checkJs": False}
    checks = {
        "a user's": ({"compilerOptions": user, "include": ["user.ts"]}, USER),
        "our own": ({**config, "include": ["same.ts", str(PACKAGE / "**" / "*.js")]}, SAME),
    }
    running = {}
    for number, (who, (config, source)) in enumerate(checks.items()):
        (with_packages.directory / config["include"][0]).write_text(source.replace("PACKAGE", str(PACKAGE)))
        project = with_packages.directory / f"tsconfig.{number}.json"
        project.write_text(json.dumps(config))
        command = ["node_modules/.bin/tsc", "--project", project.name, "--typeRoots", "node_modules/@types"]
        running[who] = subprocess.Popen(command, cwd=with_packages.directory, stdout=subprocess.PIPE, text=True)
    assert {who: process.communicate(timeout=300)[0] for who, process in running.items()} == dict.fromkeys(checks, "")


@pytest.mark.integration
def test_the_strict_collector_takes_every_value(installed: App) -> None:
    script = f"""
        import {{ createLogClient }} from "logcollector-handler";
        import {{ STRANGE }} from "{HERE / "strange.mjs"}";
        import {{ decode, vectors }} from "{HERE / "vectors.mjs"}";
        const log = createLogClient();
        const columns = ["user_id", "path", "method", "duration_ms", "service", "trace_id", "stack_trace", "metadata"];
        for (const {{ level, message, fields }} of vectors) log.log(level, message, decode(fields));
        for (const make of Object.values(STRANGE)) {{
          log.info("a field", {{ value: make() }});
          for (const column of columns) log.info("a column", {{ [column]: make() }});
          log.info(make(), make());
          log.errorWithTrace("an error", make());
        }}
        console.log(JSON.stringify(await log.flush(60_000)), JSON.stringify(log.stats()));
    """
    # The vectors stand beside the tree, and are only data here.
    with CollectorServer(strict=True) as collector:
        ended = installed.run(script, LOGCOLLECTOR_SERVER_URL=collector.url)
        assert ended.err == ""
        flushed, _, counts = ended.out.partition(" ")
        stats = json.loads(counts)
        assert flushed == "true"
        assert stats["delivered"] == stats["accepted"] > 500
        assert collector.stats()["total_logs"] == stats["accepted"]
        assert not collector.ignored_keys
