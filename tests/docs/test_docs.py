"""The documentation: its Python runs, its commands exist, its studies load, its links lead somewhere."""

import doctest
import json
import re
import shlex
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import typer

import xstilts
import xstilts.languages
from support import ROOT
from xstilts.cli import app
from xstilts.config.load import load_study, read_task_file

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
GUIDES = [ROOT / "README.md", ROOT / "docs/tutorial.md", *sorted((ROOT / "docs/how-to").glob("*.md"))]
BLOCK = re.compile(r"(?:<!-- not run: (?P<reason>\S.*?) -->\n)?^```(?P<language>\w*)\n(?P<code>.*?)^```$", re.M | re.S)
COMMAND = re.compile(r"""(?:^|[\s(!])(?:\S*/)?xstilts((?: +(?:"[^"]*"|'[^']*'|[^\s;&|>)"']+))+)""")
CLI = typer.main.get_command(app)


def blocks(page, language):
    """The code blocks of a language on a page, without those that a comment above excepts with a reason."""
    found = BLOCK.finditer(page.read_text("utf-8"))
    return [block["code"] for block in found if block["language"] == language and not block["reason"]]


def commands(page):
    """What follows `xstilts` in the shell scripts of a page."""
    lines = [line for block in blocks(page, "sh") for line in block.replace("\\\n", " ").splitlines()]
    return [found for line in lines for found in COMMAND.findall(re.sub(r"(^|\s)(#|\d*>).*", "", line))]


def parse(command):
    """Parse the words of a command line, without running it; raises an error for an unknown word or option."""
    words, group = shlex.split(command), CLI
    while hasattr(group, "commands") and words and not words[0].startswith("-"):
        name = words.pop(0) if words[0] in group.commands or group.name != "submit" else "write"
        group = group.commands[name]
    _, rest, _ = group.make_parser(group.context_class(group)).parse_args(words)
    assert not rest, f"{rest} are too many arguments"


def script(name):
    spec = spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def with_run(finished_study, tmp_path, monkeypatch):
    """A working folder in which the run folders that the documentation reads are a finished study."""
    (tmp_path / "runs").mkdir()
    for name in ("mine", "pocket-quick"):
        (tmp_path / "runs" / name).symlink_to(finished_study[2])
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.name)
def test_the_python_of_a_page_runs(page, with_run):
    namespace = {}
    for code in blocks(page, "python"):
        exec(compile(code, str(page), "exec"), namespace)


def test_the_notebook_runs_with_and_without_a_run(with_run, capsys):
    cells = json.loads((ROOT / "docs/tutorial.ipynb").read_text("utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert not any(cell.get("outputs") for cell in cells)
    namespace = {}
    for cell in code:
        exec(compile(cell, "tutorial.ipynb", "exec"), namespace)
    assert {"near", "none"} == set(namespace["run"].arms) and "text_a" in capsys.readouterr().out
    Path("runs/pocket-quick").unlink()
    exec(code[-1], namespace)
    assert "xstilts study pocket --quick" in capsys.readouterr().out


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda page: page.name)
def test_the_commands_of_a_page_exist(page):
    for command in commands(page):
        try:
            parse(command)
        except (KeyError, AssertionError, typer.TyperException) as error:
            pytest.fail(f"xstilts{command}: {error!r}")


@pytest.mark.parametrize("command", ["stduy pocket", "study --quikc", "data chek x", "verify a b", "plan --gpus"])
def test_wrong_commands_would_be_found(command):
    with pytest.raises((KeyError, AssertionError, typer.TyperException)):
        parse(command)


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.name)
def test_the_files_of_a_guide_load(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for block in blocks(page, "yaml"):
        if block.startswith("extends:"):
            assert load_study((tmp_path / "study.yaml", (tmp_path / "study.yaml").write_text(block))[0].name)
        else:
            file = tmp_path / f"{block.partition(':')[0]}.yaml"
            file.write_text(block)
            assert read_task_file(file)


def slugs(page):
    """The anchors of a page's headings, as both GitHub and MkDocs name them."""
    headings = re.findall(r"^#+ (.*)$", BLOCK.sub("", page.read_text("utf-8")), re.M)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(page):
    links = re.findall(r"\[[^\]]*\]\((?!https?:)([^)\s]+)\)", BLOCK.sub("", page.read_text("utf-8")))
    for link in links:
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not anchor or anchor in slugs(target), link


def test_generated_pages_are_current_and_complete():
    study, cli = script("study_reference"), script("cli_reference")
    texts = [(ROOT / "docs" / name).read_text("utf-8") for name in ("studies.md", "tasks.md")]
    assert study.PAGE.read_text("utf-8") == study.page(*texts), "run scripts/study_reference.py"
    assert cli.PAGE.read_text("utf-8") == cli.page(), "run scripts/cli_reference.py"
    assert not doctest.testmod(study).failed and not doctest.testmod(cli).failed
    for old, new, mistake in (
        ("| `exact` |", "| `exactly` |", "Arm.exact is not documented\nArm.exactly is documented, but not in"),
        ("| `beams` | 4 |", "| `beams` | 5 |", "Translator.beams has another default"),
    ):
        with pytest.raises(SystemExit, match=mistake):
            study.page(*(text.replace(old, new) for text in texts))


def test_the_table_of_reliability_is_that_of_its_results():
    reliability = script("reliability_table")
    text = reliability.PAGE.read_text("utf-8")
    assert text == reliability.page(text), "run scripts/reliability_table.py"
    assert sum(map(len, json.loads((reliability.RESULTS / "faults-fixed.json").read_text()).values()))


def test_everything_public_is_in_the_python_reference():
    page = (ROOT / "docs/reference/python.md").read_text("utf-8")
    for module in (xstilts, xstilts.languages):
        for name in module.__all__:
            assert re.search(rf"^::: {module.__name__}\.(\w+\.)?{name}$", page, re.M), name
