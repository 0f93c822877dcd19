"""The commands a stranger types first, and the counting that decides whether a change lands."""

import os
import shlex
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.run import RUNS, Count, count

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def programs(tmp_path):
    """A PATH of its own: the shell's tools, and whatever a test puts there as a small script."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in ("sh", "bash", "env", "dirname", "rm"):
        (folder / tool).symlink_to(shutil.which(tool))

    def put(name, script):
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    put.path = str(folder)  # type: ignore[attr-defined]
    return put


def run(*command, path=None, cwd=ROOT):
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    environ = {**inherited, **({"PATH": path} if path else {})}
    return subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True, check=False)


class TestCi:
    def test_is_executable(self):
        assert (ROOT / ".ci" / "run").stat().st_mode & stat.S_IXUSR

    @pytest.mark.parametrize(("failing", "status"), [("none", 0), ("setup", 1), ("lint", 1), ("test", 1)])
    def test_fails_where_any_step_fails(self, programs, failing, status):
        programs("chromium", "exit 0")
        programs("make", f'echo "make $1"; [ "$1" != {failing} ]')
        assert run("bash", ".ci/run", path=programs.path).returncode == status

    def test_goes_on_and_says_so_where_no_browser_can_be_installed(self, programs):
        programs("id", "echo 0")
        programs("apt-get", "exit 100")
        programs("make", 'echo "make $1"')
        done = run("bash", ".ci/run", path=programs.path)
        assert done.returncode == 0
        assert "browser tests will skip" in done.stdout
        assert done.stdout.endswith("make setup\nmake lint\nmake test\n")

    @pytest.fixture
    def checkout(self, programs, tmp_path):
        """A copy of the script beside an environment made with Python 3.12, with a `make` that only speaks."""
        (tmp_path / ".ci").mkdir()
        shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci" / "run")
        (tmp_path / ".venv" / "bin").mkdir(parents=True)
        programs("made-with", "echo 3.12").rename(tmp_path / ".venv" / "bin" / "python")
        programs("chromium", "exit 0")
        programs("make", 'echo "make $1"')
        return tmp_path

    @pytest.mark.parametrize(("chosen", "first"), [("3.12", "make setup"), ("3.11", "make clean")])
    def test_an_environment_of_another_python_than_the_chosen_one_is_made_anew(self, programs, checkout, chosen, first):
        programs("chosen", f"echo {chosen}")
        done = run("env", "PYTHON=chosen", "bash", str(checkout / ".ci" / "run"), path=programs.path)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(f"{first}\n")

    def test_a_chosen_python_that_does_not_run_is_named_and_nothing_is_forgotten(self, programs, checkout):
        done = run("env", "PYTHON=python9", "bash", str(checkout / ".ci" / "run"), path=programs.path)
        assert (done.returncode, done.stdout) == (1, "")
        assert "PYTHON is 'python9', which does not run." in done.stderr


class TestEnvironment:
    OLD = "exit 1"

    def test_a_machine_without_a_new_python_is_told_what_to_do(self, programs, tmp_path):
        programs("python3", self.OLD)
        done = run(str(ROOT / "scripts/venv"), str(tmp_path / "venv"), path=programs.path)
        assert done.returncode == 1
        assert "No Python 3.11 or newer found on PATH" in done.stderr
        assert not (tmp_path / "venv").exists()

    def test_a_name_on_path_that_does_not_run_is_passed_over(self, programs, tmp_path):
        programs("python3.12", "exit 127")
        programs("python3", f'exec {shlex.quote(sys.executable)} "$@"')
        done = run(str(ROOT / "scripts/venv"), str(tmp_path / "venv"), path=programs.path)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "venv" / "bin" / "pip").exists()

    def test_a_python_can_be_named(self, programs, tmp_path):
        mine = programs("mine", "echo used > $0.used; exit 1")
        run(str(ROOT / "scripts/venv"), str(tmp_path / "venv"), str(mine), path=programs.path)
        assert Path(f"{mine}.used").exists()

    def test_make_knows_every_command_that_the_help_names(self):
        helped = [line.split()[1] for line in run("make", "help").stdout.splitlines()]
        before_it_lands = ["test", "soak", "lint", "shape", "format", "lock"]
        assert helped == ["help", "setup", "run", "dev", *before_it_lands, "bench", "clean"]
        for target in helped:
            assert run("make", "--dry-run", target).returncode == 0, target


class TestCount:
    REPORT = '<testsuites><testsuite tests="{}" failures="{}" errors="{}" skipped="{}"/></testsuites>'

    @pytest.mark.parametrize(
        ("numbers", "expected"),
        [((10, 0, 0, 0), Count(10, 0, 0)), ((10, 1, 2, 3), Count(4, 3, 3)), ((0, 0, 0, 0), Count(0, 0, 0))],
    )
    def test_reads_a_report(self, tmp_path, numbers, expected):
        report = tmp_path / "report.xml"
        report.write_text(self.REPORT.format(*numbers))
        assert count(report) == expected

    def test_a_run_that_left_no_report_has_failed(self, tmp_path):
        assert count(tmp_path / "none.xml") == Count(failed=1)

    def test_sums_and_prints_the_closing_line(self):
        assert str(Count(3, 1, 2) + Count(4, 0, 1)) == "7 passed, 1 failed, 3 skipped"


def test_every_test_is_in_exactly_one_run_of_sqlite_and_stack():
    chosen = [run.arguments[run.arguments.index("-m") + 1] for run in RUNS if not run.postgres]
    assert chosen == ["not acceptance and not soak", "acceptance and not soak"]


def test_every_long_form_has_a_short_one_that_make_test_runs():
    """A test that is marked as a whole would run nowhere but in `make soak`."""
    found = run("grep", "-rlE", r"@pytest\.mark\.soak|pytestmark.*soak", "tests", "--include=*.py").stdout
    assert found.replace("tests/marketplace/test_ci.py\n", "") == ""


class TestChosenTests:
    def test_make_hands_arguments_on_as_they_were_quoted(self):
        printed = run("make", "--dry-run", "test", "ARGS=tests/listings -k 'near or price'").stdout
        assert printed.splitlines()[-1].endswith(" -m tests.run tests/listings -k 'near or price'")

    def test_one_expression_is_one_run_without_the_database_of_a_site(self, tmp_path):
        module = tmp_path / "test_sample.py"
        module.write_text(
            "import os\n"
            "def test_wanted(): assert 'DATABASE_URL' not in os.environ\n"
            "def test_other(): raise AssertionError\n"
        )
        environ = ("env", "DATABASE_URL=postgres://nobody@/nowhere")
        chosen = run(*environ, sys.executable, "-m", "tests.run", str(module), "-k", "wanted")
        assert chosen.returncode == 0, chosen.stdout
        assert "1 passed, 1 deselected" in chosen.stdout
        assert "== SQLite" not in chosen.stdout

    def test_an_expression_that_selects_nothing_fails(self, tmp_path):
        (tmp_path / "test_sample.py").write_text("def test_one(): pass\n")
        assert run(sys.executable, "-m", "tests.run", str(tmp_path), "-k", "no_such_name").returncode == 5


def test_what_touches_the_database_is_chosen_for_postgresql(tmp_path):
    module = tmp_path / "test_sample.py"
    module.write_text(
        "import pytest\n"
        "def test_pure(): pass\n"
        "def test_fixture(db): pass\n"
        "def test_through_another_fixture(admin_user): pass\n"
        "@pytest.mark.django_db\n"
        "def test_marked(): pass\n"
    )
    options = ("--collect-only", "-p", "tests.conftest", "-p", "no:randomly", f"--rootdir={ROOT}")
    command = (sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), *options, "--only-database")
    listed = run(*command, str(module)).stdout
    assert "3/4 tests collected (1 deselected)" in listed
    assert "test_pure" not in listed
