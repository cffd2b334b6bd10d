"""What the README and the guides say about the code is true: the table of settings, and the names in their texts."""

from __future__ import annotations

import re

from logcollector_handler.entry.redact import DEFAULT_REDACT, Redactor
from logcollector_handler.settings import SETTINGS
from logcollector_handler.settings.setting import PREFIX
from logcollector_handler.settings.table import with_table
from logcollector_handler.stats import DROP_REASONS
from tests.readme import DOCUMENTS, README

SECRETS = DOCUMENTS["examples/secrets/README.md"]
DELIVERY = DOCUMENTS["examples/delivery/README.md"]


def test_the_table_of_settings_is_that_of_the_declarations() -> None:
    assert README.count("| setting |") == 1
    assert with_table(README) == README, "python -m logcollector_handler.settings.table README.md writes it"
    assert f"`{PREFIX}`" in README


def test_a_row_that_is_missing_wrong_or_of_no_setting_is_put_right() -> None:
    row = next(line for line in README.splitlines(keepends=True) if line.startswith("| `batch_size` |"))
    assert "| 1000 | records |" in row
    for other in ("", row.replace("1000", "999"), row + row.replace("batch_size", "batchsize")):
        assert with_table(README.replace(row, other)) == README


def test_no_help_of_a_setting_breaks_the_table() -> None:
    assert [name for name, each in SETTINGS.items() if not each.help.endswith(".") or set(each.help) & set("|\n")] == []


def test_the_masked_names_that_are_named_are_masked() -> None:
    found = re.search(r"names\s+are those of secrets \(([^)]+?)\s…\)", SECRETS)
    assert found
    assert set(re.findall(r"`(\w+)`", found[1])) <= set(DEFAULT_REDACT)


def test_the_names_that_are_said_to_be_masked_or_clear_are() -> None:
    found = re.search(r"in any\s+spelling: ([^.]+) are masked,\s+([^.]+) are not\.", SECRETS)
    assert found
    secret = Redactor(DEFAULT_REDACT)
    masked, clear = (re.findall(r"`(\w+)`", each) for each in found.groups())
    assert len(masked) == 3
    assert len(clear) == 4
    assert [secret(name) for name in [*masked, *clear]] == [True] * 3 + [False] * 4


def test_every_reason_of_a_loss_is_named() -> None:
    found = re.search(r"`dropped` is counted by reason: ([^.]+)\.", DELIVERY)
    assert found
    assert re.findall(r"`(\w+)`", found[1]) == list(DROP_REASONS)
