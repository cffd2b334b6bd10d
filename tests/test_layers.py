"""Who may import whom: downwards only. Read from the syntax trees, imports inside functions included."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = "logcollector_handler"
_spec = importlib.util.find_spec(PACKAGE)
assert _spec is not None
assert _spec.origin is not None
ROOT = Path(_spec.origin).parent

#: The layer of each module of the package's first level. A new one is given its place here.
LAYER_OF = {
    "wire": "wire",
    **dict.fromkeys(("errors", "stats", "settings", "context", "calls", "arguments"), "ground"),
    "delivery": "delivery",
    **dict.fromkeys(("", "handler", "client", "timing", "filters", "uncaught", "signals"), "handler"),
    "collector": "collector",
    "testing": "testing",
    "integrations": "integrations",
    **dict.fromkeys(("cli", "__main__"), "cli"),
}

#: What a layer may import besides itself and the version. Only downwards; nobody imports integrations.
BELOW: dict[str, set[str]] = {
    "wire": set(),
    "ground": {"wire"},
    "delivery": {"ground", "wire"},
    "handler": {"delivery", "ground", "wire"},
    "collector": {"wire"},
    "testing": {"collector", "handler", "ground", "wire"},
    "integrations": {"handler", "delivery", "ground", "wire"},
    "cli": {"testing", "collector", "handler", "delivery", "ground", "wire"},
}

#: What a layer may import from other projects. Integrations import their frameworks.
OTHERS: dict[str, set[str]] = {
    "wire": {"msgspec", "isal"},
    "ground": {"msgspec"},
    "delivery": {"msgspec"},
    # The extensions are for type checkers, which know them; nothing imports them.
    "handler": {"msgspec", "typing_extensions"},
    "collector": {"msgspec", "isal", "starlette", "uvicorn", "h11"},
    "testing": {"pytest", "uvicorn"},
    # Formats in which a dictConfig is kept; one is not in the standard library of 3.10, the other need not be there.
    "cli": {"msgspec", "uvicorn", "tomllib", "yaml"},
}
#: What may import the HTTP client.
TRANSPORT = {f"{PACKAGE}.delivery.transport", f"{PACKAGE}.delivery.network"}

#: The wire is pure: what waits, talks, runs beside it or writes files is not for it.
IMPURE = {"asyncio", "concurrent", "fcntl", "http", "mmap", "multiprocessing", "queue", "select", "selectors"}
IMPURE |= {"shutil", "signal", "socket", "sqlite3", "ssl", "subprocess", "tempfile", "threading", "urllib"}


def imports(tree: ast.Module, module: str, is_package: bool = False) -> Iterator[str]:
    """The absolute dotted name of everything that is imported anywhere in the tree of `module`."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (name.name for name in names)
            case ast.ImportFrom(module=base, names=names, level=level):
                up = module.split(".")[: -level + is_package or None] if level else []
                yield from (".".join([*up, *([base] if base else []), name.name]) for name in names)
            case ast.Call(
                func=ast.Name(id="__import__" | "import_module") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield name


def layer(name: str) -> str:
    """The layer of a dotted name within the package. A name that is no module is one of `__init__`."""
    first = [*name.split("."), ""][1]
    if first not in LAYER_OF and ((ROOT / first).is_dir() or (ROOT / f"{first}.py").is_file()):
        pytest.fail(f"{PACKAGE}.{first} has no layer yet: give it one in LAYER_OF")
    return LAYER_OF.get(first, "handler")


def offences(tree: ast.Module, module: str, is_package: bool = False) -> Iterator[str]:
    """What in the tree of `module` breaks a rule of this file, one line each."""
    here = layer(module)
    for name in imports(tree, module, is_package):
        top = name.split(".")[0]
        if top == PACKAGE:
            if name != f"{PACKAGE}.__version__" and layer(name) not in {here, *BELOW[here]}:
                yield f"{module} ({here}) imports {name} ({layer(name)})"
        elif top in sys.stdlib_module_names:
            if here == "wire" and top in IMPURE:
                yield f"{module} (pure) imports {name}"
        elif module in TRANSPORT and top in {"httpx", "httpcore"}:
            pass
        elif here != "integrations" and top not in OTHERS[here]:
            yield f"{module} ({here}) imports {name}"
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="print")) | ast.Attribute(value=ast.Name(id="sys"), attr="stdout"):
                if here != "cli":
                    yield f"{module} prints, line {node.lineno}"


FILES = sorted(ROOT.rglob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=[str(file.relative_to(ROOT)) for file in FILES])
def test_a_module_imports_only_what_its_layer_may(file: Path) -> None:
    is_package = file.name == "__init__.py"
    parts = file.relative_to(ROOT.parent).with_suffix("").parts
    module = ".".join(parts[:-1] if is_package else parts)
    assert list(offences(ast.parse(file.read_text("utf-8")), module, is_package)) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("wire.codec", "from ..delivery import batch"),
        ("wire.codec", "from logcollector_handler.errors import Reporter"),
        ("wire.codec", "import httpx"),
        ("wire.codec", "import threading"),
        ("wire.codec", "from urllib import request"),
        ("errors", "from .handler import LogCollectorHandler"),
        ("settings", "from .delivery import sender"),
        ("delivery.sender", "import httpcore"),
        ("delivery.sender", "def f():\n    import httpx"),
        ("delivery.sender", "if TYPE_CHECKING:\n    import httpx"),
        ("delivery.transport", "import requests"),
        ("delivery.sender", "from ..handler import LogCollectorHandler"),
        ("delivery.sender", "from .. import handler"),
        ("delivery.sender", "from .. import LogCollectorHandler"),
        ("delivery.sender", "import logcollector_handler"),
        ("delivery.sender", "from ..collector import app"),
        ("collector.app", "from ..delivery.batch import Batch"),
        ("collector.app", "def f():\n    def g():\n        from logcollector_handler.delivery import batch"),
        ("collector.app", "import_module('logcollector_handler.delivery')"),
        ("collector.app", "importlib.import_module('logcollector_handler.handler')"),
        ("collector.app", "import httpx"),
        ("collector.app", "import sys\nsys.stdout.write('x')"),
        ("handler", "from . import integrations"),
        ("handler", "from .cli import main"),
        ("handler", "import structlog"),
        ("handler", "def f():\n    print('x')"),
        ("cli.demo", "from ..integrations import structlog"),
        ("cli.demo", "import httpx"),
        ("testing", "from .delivery import sender"),
        ("integrations.wsgi", "from ..collector import app"),
    ],
)
def test_the_check_sees_an_offence(module: str, source: str) -> None:
    assert len(list(offences(ast.parse(source), f"{PACKAGE}.{module}"))) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (
            "wire.codec",
            "import json\nimport msgspec\nfrom isal import igzip\nfrom .schema import LogEntry",
        ),
        ("errors", "import sys\nsys.stderr.write('x')"),
        (
            "delivery.transport",
            "import httpx, httpcore\nfrom .. import __version__\nfrom ..stats import Ledger",
        ),
        ("collector.app", "from starlette import routing\nfrom ..wire import schema\nfrom . import store"),
        (
            "handler",
            "from .delivery import sender\nfrom .wire.record import EntryBuilder\nimport os",
        ),
        (
            "integrations.structlog",
            "import structlog\nfrom .. import get_handler\nfrom ..context import x",
        ),
        ("cli.demo", "from ..collector import app\nfrom ..testing import collector\nprint('x')"),
    ],
)
def test_the_check_lets_the_allowed_pass(module: str, source: str) -> None:
    assert list(offences(ast.parse(source), f"{PACKAGE}.{module}")) == []


def test_a_relative_import_of_a_package_starts_at_the_package_itself() -> None:
    tree = ast.parse("from . import app\nfrom .store import Store\nfrom .. import delivery")
    assert list(imports(tree, f"{PACKAGE}.collector", is_package=True)) == [
        f"{PACKAGE}.collector.app",
        f"{PACKAGE}.collector.store.Store",
        f"{PACKAGE}.delivery",
    ]
