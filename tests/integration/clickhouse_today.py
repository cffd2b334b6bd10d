"""A program that gives posted bodies to the ClickHouse of today, which runs in this process, and counts the rows.

    python clickhouse_today.py DIRECTORY

The directory holds the bodies as files `<number>_<batch id>`. Each batch is inserted as often as it was posted, with
its id as the deduplication token and the other parameters of the example's URL; and into a second table, where each
post has a token of its own. Prints the version and the two numbers of rows as JSON.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from pathlib import Path

from chdb.session import Session

_ENGINES = Path(__file__).parents[2] / "examples/engines"
_TABLE = (_ENGINES / "clickhouse.sql").read_text("utf-8")


def main(posts: Path) -> None:
    """Insert and count."""
    with tempfile.TemporaryDirectory() as directory:
        # The engine takes a `config.xml` in the current directory for its own.
        os.chdir(directory)
        session = Session(f"{directory}/data")
        for table in ("logs", "posts"):
            session.query(_TABLE.replace("TABLE logs", f"TABLE {table}"))
        settings = ", ".join(re.findall(r"&(\w+=1)", (_ENGINES / "clickhouse.py").read_text("utf-8")))
        for path in sorted(posts.iterdir()):
            body = path.read_text("utf-8")
            for table, token in (("logs", path.name.partition("_")[2]), ("posts", path.name)):
                session.query(
                    f"INSERT INTO {table} SETTINGS {settings}, insert_deduplication_token='{token}'"
                    f" FORMAT JSONEachRow\n{body}"
                )
        version, once, each = (
            session.query(f"SELECT {asked}", "TabSeparated").data().strip()
            for asked in ("version()", "count() FROM logs", "count() FROM posts")
        )
        session.close()
    sys.stdout.write(json.dumps({"version": version, "stored_once": int(once), "stored_each": int(each)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
