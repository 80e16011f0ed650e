"""What is printed: text of users is never markup or a terminal command; errors have three lines and no traceback."""

import ast
import json
import os
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import typer

import xstilts
from made_runs import EVERYTHING, make_run, sealed
from support import changed, invoke
from xstilts.cli import root
from xstilts.errors import STEP_FAILED, XstiltsError
from xstilts.report.console import as_json_text, print_table, say, visible

HOSTILE = "[/red][PER] [bold red]x[/] \x1b]0;title\x07\x1b[31m"
SHOWN = r"[/red][PER] [bold red]x[/] \x1b]0;title\x07\x1b[31m"
ARM, ARM_SHOWN = "[bold red]x\x1b[31m", r"[bold red]x\x1b[31m"
SOURCE = Path(xstilts.__file__).parent


def flat(printed: str) -> str:
    """Printed text without breaks of lines and padding; it must hold no control character."""
    assert not [char for char in printed if ord(char) < 32 and char != "\n"]
    return " ".join(printed.split())


def test_control_characters_marks_that_reorder_text_and_broken_file_names_are_shown_as_escapes():
    assert visible("a\x1b[31mb\x9bc\u202ed\udce9\ne") == r"a\x1b[31mb\x9bc\u202ed\udce9\ne"
    assert visible("日本 é — [PER]") == "日本 é — [PER]"


def test_json_holds_nothing_that_a_terminal_acts_on_and_says_the_same():
    data = {"text": "a\x9b31m \u202eb\ufeff é می\u200cخواهم", "n": [1]}
    text = as_json_text(data, indent=1)
    assert not set("\x9b\u202e\ufeff") & set(text) and "é می\u200cخواهم" in text and json.loads(text) == data


def test_lines_and_tables_print_text_as_it_is(capsys):
    say(HOSTILE, (HOSTILE, "bold"))
    print_table([HOSTILE, ">n"], [(HOSTILE, "1"), ((HOSTILE, "red"), "2")], title=HOSTILE)
    assert flat(capsys.readouterr().out).count(SHOWN) == 6


def test_a_narrow_terminal_loses_no_column(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    print_table(["language", ">examples", ">in English", "labels"], [("Swahili", "1,000", "2", "O 40%")])
    printed = flat(capsys.readouterr().out)
    assert "language examples in English labels" in printed and "Swahili 1,000 2 O 40%" in printed


@pytest.fixture(scope="module")
def hostile_tasks(tmp_path_factory):
    """A folder with a file of one task, whose title and labels are hostile, and its data, one row with a bad label."""
    folder = tmp_path_factory.mktemp("tasks")
    source = {"format": "table", "files": {"train": "[bold]{lang}\x1b[31m.tsv"}, "columns": {"text_a": 0, "label": 1}}
    entry = {"type": "classification", "title": HOSTILE, "labels": [HOSTILE, "b"], "languages": ["en"]}
    entry |= {"source": source, "licence": "none", "citation": HOSTILE}
    (folder / "tasks.yaml").write_text(json.dumps({"mine": entry}))
    lines = [f"one\t{HOSTILE}", "two\tb", "three\t[/blue]\x1b[32m"]
    (folder / "[bold]en\x1b[31m.tsv").write_text("\n".join(lines) + "\n")
    return folder


def test_titles_labels_and_file_names_of_a_task(hostile_tasks):
    listed = flat(invoke("tasks", "--tasks", hostile_tasks / "tasks.yaml"))
    shown = flat(invoke("tasks", "show", "mine", "--tasks", hostile_tasks / "tasks.yaml"))
    assert r"\x1b[31m" in listed and f"labels: {SHOWN}, b" in shown and f"title: {SHOWN}" in shown


def test_labels_and_file_names_of_data(hostile_tasks):
    words = ("data", "check", "mine", "--tasks", hostile_tasks / "tasks.yaml", "--data", hostile_tasks)
    printed = flat(invoke(*words, code=2))
    assert r"[bold]en\x1b[31m.tsv, line 3" in printed and r"[/blue]\x1b[32m" in printed and "1 bad row:" in printed


def test_arms_of_a_plan(tmp_path):
    """Markup in a name is shown as it is; a name with control characters is refused, and they are not printed."""
    for name, shown, code in (("[bold red]x", "[bold red]x", 0), (ARM, ARM_SHOWN, 2)):
        file = changed(tmp_path, arms={"none": {}, "english": {"intermediate": "nli"}, name: {"intermediate": "nli"}},
                       contrasts=["english - none"], controls=[], quick={})  # fmt: skip
        assert shown in flat(invoke("plan", file, code=code))


def test_arms_of_a_report_and_of_claims(tmp_path):
    arms = {ARM if name == "mnli" else name: arm for name, arm in EVERYTHING.items()}
    run = make_run(tmp_path / "run", arms, items=20).folder
    assert f"{ARM_SHOWN} - none on" in flat(invoke("claims", run))
    run = make_run(tmp_path / "small", {"none": {}, ARM: {"intermediate": "mnli"}}, ("xnli",), items=20).folder
    facts = json.loads((run / "study.json").read_text())
    contrast = {"contrast": f"{ARM} - none", "left": ARM, "right": "none", "targets": ["xnli"]}
    (run / "study.json").write_text(json.dumps(facts | {"contrasts": [contrast], "question": HOSTILE}))
    sealed(run)
    printed = flat(invoke("report", run))
    assert f"{ARM_SHOWN} - none" in printed and SHOWN in printed


def test_labels_and_file_names_of_a_submission(tmp_path):
    for name, line in (("predictions", HOSTILE), ("labels", "neutral")):
        (tmp_path / name / "xnli").mkdir(parents=True)
        (tmp_path / name / "xnli/test-sw.tsv").write_text(f"{line}\n")
    printed = flat(invoke("score", tmp_path / "predictions", tmp_path / "labels", code=2))
    assert f"unknown label '{SHOWN[:36]}" in printed
    (tmp_path / "predictions/xnli/test-sw.tsv").write_text("neutral\n")
    (tmp_path / "predictions/[bold]x\x1b[31m").write_text("")
    assert r"[bold]x\x1b[31m" in flat(invoke("score", tmp_path / "predictions", tmp_path / "labels"))


def test_only_one_module_prints_to_the_terminal():
    """Elsewhere only numbers and machine output may be echoed; tables and lines go through `report/console.py`."""
    for file in SOURCE.rglob("*.py"):
        if file.name not in ("console.py",):
            text = file.read_text()
            assert "rich.table" not in text and "rich.text" not in text and "rich.markup" not in text, file
            assert ".print(" not in text, file


def test_an_error_has_three_lines_and_no_traceback(capsys):
    trace = "Traceback (most recent call last):\n  File x\nValueError"
    for hint in ("", trace, f"look here\n{trace}"):
        assert root.print_error(XstiltsError("step-failed", "a step failed", f"bad\n{trace}", hint)) == 4
        printed = capsys.readouterr().err
        lines = printed.splitlines()
        assert [line[:7] for line in lines] == ["error: ", "why:   ", "hint:  "] and "File" not in printed
        assert lines[2][7:] in ("look here", root._DEBUG)


@pytest.mark.parametrize(("error", "status"), [
    (FileNotFoundError(2, "No such file or directory", "a.csv"), 3), (PermissionError(13, "Permission denied", "a"), 2),
    (IsADirectoryError(21, "Is a directory", "a"), 2), (ConnectionError("the hub cannot be reached"), 3),
    (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), 1), (ZeroDivisionError(), 1),
])  # fmt: skip
def test_no_exception_ends_in_a_traceback(monkeypatch, error, status):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(root, "app", fail)
    printed = invoke("anything", code=status)
    assert [line[:6] for line in printed.splitlines()] == ["error:", "why:  ", "hint: "]
    monkeypatch.setattr(sys, "argv", ["xstilts", "--debug"])
    with pytest.raises(type(error)):
        root.main()


def hints():
    """Every hint that the package writes as a literal, with its place."""
    for file in SOURCE.rglob("*.py"):
        for call in ast.walk(ast.parse(file.read_text())):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "XstiltsError" and len(call.args) == 4:
                yield f"{file.name}:{call.lineno}", call.args[3]


def test_no_hint_is_empty():
    literals = list(hints())
    assert len(literals) > 100
    for place, hint in literals:
        assert not (isinstance(hint, ast.Constant) and not hint.value.strip()), place
        may_be_empty = isinstance(hint, ast.Call) and getattr(hint.func, "id", "") == "did_you_mean"
        assert not may_be_empty, f"{place}: did_you_mean returns '' if nothing is close; add `or` and another hint"


@pytest.mark.parametrize(("words", "says"), [
    (["plann"], "did you mean 'plan'?"), (["data", "chekc"], "did you mean 'check'?"),
    (["bench", "devise"], "did you mean 'device'?"), (["tasks", "shwo"], "did you mean 'show'?"),
    (["submit", "chek"], "did you mean 'check'?"), (["bench", "disk"], "see `xstilts bench --help`"),
    (["plan", "--jsn"], "--json"), (["tasks", "show"], "missing argument"), (["study", "--jobs", "x"], "--jobs"),
    (["submit", "runs/mine", "--arm", "far"], "missing option '--out'"),
])  # fmt: skip
def test_usage_errors_look_like_all_others(words, says):
    printed = invoke(*words, code=2)
    assert [line[:6] for line in printed.splitlines()] == ["error:", "why:  ", "hint: "] and says in printed


def commands(command, path="xstilts"):
    """Every command and group of the command line, with the words that call it."""
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, f"{path} {name}")


def test_help_of_every_command_has_an_example_and_says_what_each_option_takes():
    found = dict(commands(typer.main.get_command(root.app)))
    assert {"xstilts study", "xstilts data check", "xstilts bench device"} <= found.keys()
    for path, command in found.items():
        examples = (command.epilog or "").partition("Example")[2]
        assert command.help and re.search(rf"{path}\b", examples), path
        assert not [option.name for option in command.params if not option.help], path


def test_a_closed_pipe_ends_quietly():
    command = [sys.executable, "-m", "xstilts", "languages", "--csv"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline().startswith(b"code")
        process.stdout.close()
        assert process.stderr.read() == b""


def test_another_encoding_of_the_terminal_and_of_file_names(tmp_path):
    plain = os.environ | {
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONPATH": str(SOURCE.parent),
    }

    def run(*words, cwd=tmp_path):
        command = [sys.executable, "-m", "xstilts", *words]
        return subprocess.run(command, env=plain, cwd=cwd, capture_output=True, check=False)

    done = run("languages", "Yorùbá".encode())  # is not readable in ASCII
    assert done.returncode == 2 and b"\nhint:  rename" in done.stderr
    done = run("plan", "pocket", "--quick")
    assert done.returncode == 0 and done.stdout.isascii() and not done.stderr
    (folder := Path(os.fsdecode(bytes(tmp_path) + b"/\xff"))).mkdir()
    assert run("studies", cwd=folder).returncode == 2


def test_completion_is_offered_to_the_shell():
    asked = {"_XSTILTS_COMPLETE": "complete_bash", "COMP_WORDS": "xstilts data ch", "COMP_CWORD": "2"}
    code = "import sys; sys.argv = ['xstilts']; from xstilts.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | asked, capture_output=True, text=True)
    assert done.stdout.split() == ["check"]


def test_a_full_disk_is_named_and_leaves_no_half_table(small_disk):
    table, ballast = small_disk / "scores.csv", small_disk / "ballast"
    with suppress(OSError):
        ballast.write_bytes(bytes(10**6))
    printed = invoke("transfer", "rank", "--for", "sw", "--out", table, code=STEP_FAILED)
    assert all(part in printed for part in ("error:", "why:   No space left on device", "hint:"))
    assert "Traceback" not in printed and list(small_disk.iterdir()) == [ballast]
    ballast.unlink()
    invoke("transfer", "rank", "--for", "sw", "--out", table)
    assert table.is_file()
