"""What a contributor finds beside the code: a workflow, forms, hooks."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PYTHONS = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if line.startswith("Programming Language")]


def read_yaml(path):
    return yaml.safe_load((ROOT / path).read_text())


@pytest.mark.parametrize(
    ("schema", "pattern"),
    [("github-workflows", ".github/workflows/*.yml"), ("github-issue-forms", ".github/ISSUE_TEMPLATE/*.yml")],
)
def test_github_will_understand_its_files(schema, pattern):
    files = [str(path) for path in ROOT.glob(pattern)]
    assert files
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


class TestPythons:
    def test_the_oldest_is_the_one_that_installs_and_lint_aims_at(self):
        assert PROJECT["requires-python"] == f">={PYTHONS[0]}"
        tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
        assert tools["mypy"]["python_version"] == PYTHONS[0]
        assert tools["ruff"]["target-version"] == "py" + PYTHONS[0].replace(".", "")

    def test_the_workflow_runs_every_check_on_each(self):
        (job,) = read_yaml(".github/workflows/ci.yml")["jobs"].values()
        assert job["strategy"]["matrix"] == {"python": PYTHONS}
        (checks,) = [step for step in job["steps"] if step.get("run") == ".ci/run"]
        assert checks["env"]["PYTHON"] == "python${{ matrix.python }}"

    def test_the_long_forms_of_tests_run_every_week(self):
        assert read_yaml(".github/workflows/soak.yml")["jobs"]["soak"]["steps"][-1]["run"] == "make soak"

    def test_setup_looks_for_each(self):
        assert all(f"python{version} " in (ROOT / "scripts" / "venv").read_text() for version in PYTHONS)


def test_hooks_are_the_tools_of_the_environment_so_that_versions_are_said_once():
    hooks = [(repo["repo"], hook) for repo in read_yaml(".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]]
    assert {hook["id"] for _, hook in hooks} == {"ruff-check", "ruff-format", "lint-imports"}
    for repo, hook in hooks:
        program = Path(hook["entry"].split()[0])
        assert (repo, hook["language"], program.parent) == ("local", "system", Path(".venv/bin"))
        assert Path(sys.executable).with_name(program.name).exists()


def test_the_changelog_begins_with_the_version_that_the_project_has():
    newest = next(line for line in (ROOT / "CHANGELOG.md").read_text().splitlines() if line.startswith("## "))
    assert newest.split()[1] == PROJECT["version"]


def test_the_schema_names_the_version_of_the_api_that_addresses_name(settings):
    schema = settings.SPECTACULAR_SETTINGS
    assert schema["SCHEMA_PATH_PREFIX"] == f"/api/v{schema['VERSION']}"
