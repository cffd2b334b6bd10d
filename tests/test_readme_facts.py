"""What the README says about the code is true: its table of settings, the names in its text, its links and commands."""

from __future__ import annotations

import re

import pytest

from logcollector_handler.cli import main
from logcollector_handler.entry.redact import DEFAULT_REDACT, Redactor
from logcollector_handler.settings import SETTINGS
from logcollector_handler.settings.setting import PREFIX
from logcollector_handler.settings.table import with_table
from logcollector_handler.stats import DROP_REASONS
from tests.readme import README, TREE


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
    found = re.search(r"names\s+are those of secrets \(([^)]+?)\s…\)", README)
    assert found
    assert set(re.findall(r"`(\w+)`", found[1])) <= set(DEFAULT_REDACT)


def test_the_names_that_are_said_to_be_masked_or_clear_are() -> None:
    found = re.search(r"in any\s+spelling: ([^.]+) are masked, ([^.]+) are not\.", README)
    assert found
    secret = Redactor(DEFAULT_REDACT)
    masked, clear = (re.findall(r"`(\w+)`", each) for each in found.groups())
    assert len(masked) == 3
    assert len(clear) == 4
    assert [secret(name) for name in [*masked, *clear]] == [True] * 3 + [False] * 4


def test_every_reason_of_a_loss_is_named() -> None:
    found = re.search(r"`dropped` is counted by reason: ([^.]+)\.", README)
    assert found
    assert re.findall(r"`(\w+)`", found[1]) == list(DROP_REASONS)


def test_each_link_into_the_tree_leads_somewhere() -> None:
    targets = re.findall(r"\]\((?!https?:)([^)]+)\)", README)
    assert targets
    assert [target for target in targets if not (TREE / target).exists()] == []


def test_each_command_that_is_shown_exists(capsys: pytest.CaptureFixture[str]) -> None:
    shown = set(re.findall(r"logcollector (\w+)((?: --\w+)*)", README))
    assert ("demo", " --keep") in shown
    for command, options in shown:
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0
        text = capsys.readouterr().out
        assert [option for option in options.split() if option not in text] == []
