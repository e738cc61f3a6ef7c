"""The documentation says what is so: its reference, commands, examples, links, files and messages."""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import os
import re
import shlex
import subprocess
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from equime.cli.app import run
from equime.types import Rejection

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")]
GUIDES = sorted((ROOT / "docs").glob("*.md"))
REFERENCE = sorted((ROOT / "docs" / "reference").glob("*.md"))
WRITTEN = [*PAGES, *GUIDES]
FENCE = re.compile(r"^```(?P<info>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
MESSAGES = ROOT / "docs" / "troubleshooting.md"


def names(pages: list[Path]) -> list[str]:
    return [str(page.relative_to(ROOT)) for page in pages]


def blocks(page: Path) -> Iterator[tuple[list[str], str]]:
    for match in FENCE.finditer(page.read_text("utf-8")):
        yield match["info"].split(), match["body"]


def prose(page: Path) -> str:
    """A page without its code blocks."""
    return FENCE.sub("", page.read_text("utf-8"))


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    sys.path.insert(0, str(ROOT / "docs"))  # as `python docs/generate_reference.py` has it
    spec = importlib.util.spec_from_file_location(
        "generate_reference", ROOT / "docs" / "generate_reference.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_reference_is_up_to_date(generator: ModuleType) -> None:
    assert [str(path.relative_to(ROOT)) for path, _ in generator.outdated()] == [], "run make docs"


def test_every_field_of_a_record_is_explained_by_its_docstring(generator: ModuleType) -> None:
    explained = {
        "Captions",
        "Clip",
        "ClipSpec",
        "Face",
        "FaceQuality",
        "Info",
        "Phases",
        "RunReport",
        "Settings",
    }
    for _, _, classes in generator.RECORDS:
        for record in classes:
            if record.__name__ in explained:
                _, meanings = generator.split_docstring(record)
                assert set(record.__struct_fields__) <= set(meanings), record.__name__


# Commands and options that the pages name


def command_lines() -> Iterator[tuple[str, str]]:
    for page in [*WRITTEN, *REFERENCE]:
        text = page.read_text("utf-8").replace("\\\n", " ")
        for found in re.finditer(r"(?:^|`|\bbin/)(equime [a-z-][^`\n]*)", text, re.MULTILINE):
            yield str(page.relative_to(ROOT)), found[1]


def test_named_commands_and_options_exist(generator: ModuleType) -> None:
    commands: dict[str, Any] = generator.commands()
    options = {name: {o for p in c.params for o in p.opts} for name, c in commands.items()}
    wrong = []
    seen = set()
    for page, line in command_lines():
        words = line.split()
        name = " ".join(words[1:3]) if " ".join(words[1:3]) in commands else words[1]
        if name.startswith("--"):
            wrong += [f"{page}: {line}"] * (name != "--version" and name != "--help")
            continue
        seen.add(name)
        given = set(re.findall(r"(?<=\s)--[a-z][a-z0-9-]*", line)) - {"--help"}
        if name not in commands or not given <= options[name]:
            wrong.append(f"{page}: {line}")
    assert wrong == []
    assert set(commands) <= seen


def test_options_named_alone_belong_to_a_command(generator: ModuleType) -> None:
    known = {o for c in generator.commands().values() for p in c.params for o in p.opts}
    known |= {"--no-deps", "--check", "--help", "--version"}
    for page in GUIDES:
        for option in re.findall(r"`(--[a-z0-9-]+)[^`]*`", prose(page)):
            assert option in known, f"{page.name}: {option}"


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for page in WRITTEN:
        for target in re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text("utf-8"), re.MULTILINE):
            assert target in targets, f"{page.name}: make {target}"


def test_gates_page_has_every_reason() -> None:
    reasons = re.search(r"stable code: (.*?)\.\n", Rejection.__doc__ or "", re.DOTALL)
    assert reasons is not None
    page = (ROOT / "docs" / "faces.md").read_text("utf-8")
    for reason in re.findall(r"\w+", reasons[1]):
        assert f"`{reason}`" in page, reason


# Messages and codes that troubleshooting quotes


def source_texts() -> str:
    """Every text constant of the source, joined; implicit concatenation is one text, fields are left out."""
    texts = []
    for file in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return "\n".join(texts)


def test_quoted_messages_are_in_the_source() -> None:
    source = source_texts()
    quotes = re.findall(r"^\*\*`(.+?)`\*\*", MESSAGES.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert len(quotes) > 8
    for quote in quotes:
        for part in (p.strip() for p in " ".join(quote.split()).split("...")):
            assert part in source, quote


def test_every_code_of_validate_is_explained() -> None:
    page = MESSAGES.read_text("utf-8")
    code = "".join(
        (ROOT / "src" / "equime" / name).read_text("utf-8")
        for name in ("validation.py", "generation_pipeline/checks.py")
    )
    codes = set(re.findall(r'code="(\w+)"', code)) | set(re.findall(r'\("(wrong_\w+)"', code))
    codes |= {f"duplicate_{name}" for name in ("face_id", "spec_id", "clip_id")}
    assert len(codes) > 20
    assert {c for c in codes if f"`{c}`" not in page} == set()


# Links and files


def anchors(page: Path) -> set[str]:
    """Headings as GitHub links to them."""
    heads = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("name", names([*WRITTEN, *REFERENCE]))
def test_relative_links_lead_somewhere(name: str) -> None:
    page = ROOT / name
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if "://" in target or target.startswith("mailto:"):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        if anchor:
            assert anchor in anchors(linked), target


@pytest.mark.parametrize("name", names(WRITTEN))
def test_files_of_the_project_that_are_named_exist(name: str) -> None:
    named = re.findall(r"`((?:src|docs|bench|tests|\.ci)/[\w./-]+)`", prose(ROOT / name))
    named += re.findall(r"python ((?:bench|docs)/\w+\.py)", (ROOT / name).read_text("utf-8"))
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_python_blocks_are_python() -> None:
    found = [(page, body) for page in WRITTEN for info, body in blocks(page) if info[:1] == ["python"]]
    assert len(found) > 10
    for page, body in found:
        compile(body, page.name, "exec")


def test_pictures_are_small() -> None:
    for picture in (ROOT / "docs" / "images").iterdir():
        assert picture.stat().st_size < 600_000, picture.name


# Examples


def run_block(kind: str, body: str, folder: Path) -> None:
    """Run an example as a reader would, in this environment."""
    lines = [line for line in body.replace("\\\n", " ").splitlines() if line.strip()]
    if kind == "bash" and all(re.fullmatch(r"equime [^$|&;<>`#]*", line) for line in lines):
        # Through the same entry as the installed command, but in this process: starting 30 others took half of the time.
        for line in lines:
            with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
                patch.setenv("EQUIME_WORKERS", "0")
                assert run(shlex.split(line)[1:]) == 0, line
        return
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = ["bash", "-e", "-c", body] if kind == "bash" else [sys.executable, "-c", body]
    done = subprocess.run(
        command,
        cwd=folder,
        # A process of its own for one worker would cost more than the examples' work.
        env={"EQUIME_WORKERS": "0", **os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{body}\n{done.stdout}\n{done.stderr}"


def runnable(page: Path) -> list[tuple[str, str]]:
    return [(info[0], body) for info, body in blocks(page) if info[1:] == ["runnable"]]


@pytest.fixture(scope="module")
def after_tutorial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the whole tutorial was followed."""
    folder = tmp_path_factory.mktemp("tutorial")
    steps = runnable(ROOT / "docs" / "tutorial.md")
    assert len(steps) >= 10
    for kind, body in steps:
        run_block(kind, body, folder)
    return folder


@pytest.mark.xdist_group("tutorial")
def test_tutorial(after_tutorial: Path) -> None:
    assert (after_tutorial / "my_dataset" / "reports" / "preview.png").is_file()
    assert len(list((after_tutorial / "my_dataset").glob("*/*.mp4"))) == 9
    assert len(list((after_tutorial / "in_parts").glob("*/*.mp4"))) == 6


@pytest.mark.xdist_group("tutorial")
@pytest.mark.parametrize("name", names([p for p in GUIDES if p.name != "tutorial.md" and runnable(p)]))
def test_examples_of_the_other_pages(name: str, after_tutorial: Path) -> None:
    examples = runnable(ROOT / name)
    assert examples, "run_block below asserts that each of them works"
    python = [body for kind, body in examples if kind == "python"]
    for kind, body in examples:
        if kind == "bash":
            run_block(kind, body, after_tutorial)
    if python:
        run_block("python", "\n".join(python), after_tutorial)


def test_type_hints_of_the_commands_resolve(generator: ModuleType) -> None:
    """The reference reads them to say what kind of value an option takes."""
    for command in generator.commands().values():
        assert typing.get_type_hints(command.callback)
