"""What the files around the code say is true: workflows, hooks, forms and guides name what exists.

They are not run here: a workflow needs the machines of its service.
"""

from __future__ import annotations

import configparser
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import needed

with needed.packages():
    import yaml

#: From Python 3.11 on.
tomllib = pytest.importorskip("tomllib")

pytestmark = pytest.mark.integration

TREE = Path(__file__).parents[1]
WORKFLOWS = sorted((TREE / ".github/workflows").glob("*.yml"))
PROJECT: dict[str, Any] = tomllib.loads((TREE / "pyproject.toml").read_text("utf-8"))["project"]
PYTHONS = [each.rpartition(" ")[2] for each in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", each)]
#: Those and the one without the interpreter lock.
CHECKED = [*PYTHONS, "3.14t"]
every_workflow = pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)

Job = dict[str, Any]


def load(path: Path) -> dict[Any, Any]:
    """A file of YAML. The key `on` of a workflow is True: so YAML reads the word."""
    loaded: dict[Any, Any] = yaml.safe_load(path.read_text("utf-8"))
    return loaded


def steps(workflow: Path) -> Iterator[tuple[Job, dict[str, Any]]]:
    """Each step of a workflow, with its job."""
    for job in load(workflow)["jobs"].values():
        for step in job["steps"]:
            yield job, step


def in_matrix(job: Job, value: str) -> list[str]:
    """What a value is in the runs of a job: `${{ matrix.name }}` stands for several."""
    found = re.fullmatch(r"\$\{\{ matrix\.(\w+) \}\}", value.strip())
    if found is None:
        return value.split()
    matrix = job["strategy"]["matrix"]
    return [str(each) for each in matrix.get(found[1], [])] + [str(one[found[1]]) for one in matrix.get("include", [])]


def environments() -> set[str]:
    """The environments of tox that have a section, and those that are Pythons."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(tox_ini())
    sections = {name.partition(":")[2] for name in parser.sections() if name.startswith("testenv:")}
    return sections | set(re.split(r",\s*", parser["tox"]["env_list"]))


def tox_ini() -> str:
    return (TREE / "tox.ini").read_text("utf-8")


def called(text: str) -> set[str]:
    """The environments that the calls of tox in a text name."""
    return {name for names in re.findall(r"\btox (?:run|exec)[^\n]*? -e ([\w,]+)", text) for name in names.split(",")}


def test_there_are_workflows() -> None:
    assert [path.stem for path in WORKFLOWS] == ["check", "release", "weekly"]


@every_workflow
def test_a_workflow_calls_environments_that_tox_has(workflow: Path) -> None:
    for job, step in steps(workflow):
        command = step.get("run", "")
        if re.search(r"\btox run\b", command):
            named = called(command) | set(in_matrix(job, step.get("env", {}).get("TOXENV", "")))
            assert named, command
            assert named <= environments()


@every_workflow
def test_the_commands_of_a_workflow_are_shell(workflow: Path) -> None:
    commands = [step["run"] for _, step in steps(workflow) if "run" in step]
    assert commands
    for command in commands:
        subprocess.run(["bash", "-n"], input=command, text=True, check=True)
        # A value of the service in a command could be more than a value; in the environment it cannot.
        assert "${{" not in command


def test_the_check_is_the_command_that_the_readme_gives() -> None:
    # That `.ci/run` runs that command is tested with the README.
    commands = [step.get("run") for _, step in steps(TREE / ".github/workflows/check.yml")]
    assert ".ci/run" in commands
    assert (TREE / ".ci/run").stat().st_mode & 0o111


@every_workflow
def test_actions_are_commits_with_the_version_beside_them(workflow: Path) -> None:
    lines = [line for line in workflow.read_text("utf-8").splitlines() if "uses:" in line]
    assert lines
    for line in lines:
        assert re.fullmatch(r" +(- )?uses: [\w./-]+@[0-9a-f]{40} # v\d+(\.\d+){0,2}", line), line


@every_workflow
def test_a_workflow_may_read_the_code_and_nothing_else(workflow: Path) -> None:
    text = workflow.read_text("utf-8")
    assert "secrets." not in text
    assert "pull_request_target" not in text
    assert load(workflow)["permissions"] == {}
    for name, job in load(workflow)["jobs"].items():
        may = {"id-token": "write"} if (workflow.stem, name) == ("release", "publish") else {"contents": "read"}
        assert job["permissions"] == may
        assert job["timeout-minutes"] <= 60
    for _, step in steps(workflow):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"] == {"persist-credentials": False}


@every_workflow
def test_the_pythons_are_those_that_the_package_is_for(workflow: Path) -> None:
    for job, step in steps(workflow):
        if step.get("uses", "").startswith("actions/setup-python@"):
            assert set(in_matrix(job, step["with"]["python-version"])) <= set(CHECKED)


def test_every_python_is_checked() -> None:
    (check, *_) = [step for _, step in steps(TREE / ".github/workflows/check.yml") if "python-version" in str(step)]
    assert sorted(check["with"]["python-version"].split()) == sorted(CHECKED)
    assert {f"py{each.replace('.', '')}" for each in CHECKED} <= environments()
    assert PROJECT["requires-python"] == f">={PYTHONS[0]}"
    released = load(TREE / ".github/workflows/release.yml")["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert released == [PYTHONS[0], PYTHONS[-1]]


def test_the_oldest_dependencies_are_tested_on_the_oldest_python() -> None:
    included = load(TREE / ".github/workflows/check.yml")["jobs"]["dependencies"]["strategy"]["matrix"]["include"]
    assert {"environment": "lowest", "python": PYTHONS[0]} in included
    (base,) = re.findall(r"^\[testenv:lowest\]\n(?:.+\n)*?base_python = (\w+)$", tox_ini(), re.MULTILINE)
    assert base == f"py{PYTHONS[0].replace('.', '')}"


def test_only_a_tag_of_a_version_publishes_what_was_tested() -> None:
    workflow = load(TREE / ".github/workflows/release.yml")
    assert workflow[True] == {"push": {"tags": ["v*"]}}
    jobs = workflow["jobs"]
    assert (jobs["publish"]["needs"], jobs["test"]["needs"]) == ("test", "build")
    assert jobs["publish"]["environment"]["name"] == "pypi"
    builds = [name for name, job in jobs.items() if "-e package" in str(job)]
    assert builds == ["build"]


@pytest.mark.parametrize(
    ("tag", "heading", "is_good"),
    [
        ("v1.2.3", "## 1.2.3 (2026-01-31)", True),
        ("v1.2.4", "## 1.2.3 (2026-01-31)", False),
        ("v1.2.3", "## 1.2.3 (unreleased)", False),
    ],
)
def test_the_tag_the_version_and_the_changelog_have_to_agree(
    tag: str, heading: str, is_good: bool, tmp_path: Path
) -> None:
    (tmp_path / "logcollector_handler").mkdir()
    source = (TREE / "logcollector_handler/__init__.py").read_text("utf-8")
    version = re.search('^__version__ = "(.+)"$', source, re.MULTILINE)
    assert version is not None
    changed = source.replace(version[0], '__version__ = "1.2.3"')
    (tmp_path / "logcollector_handler/__init__.py").write_text(changed, "utf-8")
    (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n{heading}\n", "utf-8")
    (command,) = [
        step["run"] for _, step in steps(TREE / ".github/workflows/release.yml") if "GITHUB_REF_NAME" in str(step)
    ]
    # The service runs commands so. `python` is that of setup-python there, and this one here.
    script = f'python() {{ {shlex.quote(sys.executable)} "$@"; }}\n{command}'
    done = subprocess.run(
        ["bash", "-e", "-c", script], cwd=tmp_path, env={"GITHUB_REF_NAME": tag}, capture_output=True, check=False
    )
    assert (done.returncode == 0) is is_good, done.stderr


def test_the_changelog_begins_with_the_version_of_the_package() -> None:
    source = (TREE / "logcollector_handler/__init__.py").read_text("utf-8")
    version = re.search('^__version__ = "(.+)"$', source, re.MULTILINE)
    heading = re.search(r"^## (\S+) \((unreleased|[\d-]+)\)$", (TREE / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert version is not None
    assert heading is not None
    assert heading[1] == version[1]


def test_hooks_and_guides_name_environments_that_tox_has() -> None:
    for name in (".pre-commit-config.yaml", ".github/CONTRIBUTING.md"):
        named = called((TREE / name).read_text("utf-8"))
        assert named
        assert named <= environments()


def test_paths_and_names_in_the_guide_for_contributors_exist() -> None:
    text = (TREE / ".github/CONTRIBUTING.md").read_text("utf-8")
    package = TREE / "logcollector_handler"
    names = [name for name in re.findall(r"`([\w./]+(?:/|\.\w+))`", text) if not re.match(r"\.venv|v\d", name)]
    assert len(names) > 5
    for name in names:
        assert (TREE / name).exists() or (package / name).exists(), name


def test_the_forms_ask_each_question_once() -> None:
    for name in ("bug", "idea"):
        form = load(TREE / f".github/ISSUE_TEMPLATE/{name}.yml")
        assert form["name"]
        assert form["description"]
        questions = [each for each in form["body"] if each["type"] != "markdown"]
        ids = [each["id"] for each in questions]
        labels = [each["attributes"]["label"] for each in questions]
        assert len(set(ids)) == len(ids) == len(set(labels))
        assert any(each.get("validations", {}).get("required") for each in questions)


def test_all_addresses_of_the_repository_are_the_one_of_the_project() -> None:
    repository = PROJECT["urls"]["Repository"]
    assert all(url.startswith(repository) for url in PROJECT["urls"].values())
    owner = repository.removeprefix("https://github.com/").partition("/")[0]
    for path in [TREE / "README.md", *(TREE / ".github").rglob("*")]:
        if path.is_file():
            text = path.read_text("utf-8")
            ours = re.findall(r"https://github\.com/[\w-]+/logcollector-handler", text)
            assert set(ours) <= {repository}, path
            assert all(each == owner for each in re.findall(r"@([\w-]+)/maintainers", text)), path
