"""README matches the product: the demo's lines, the tree, the guarantees."""

import ast
import re
from pathlib import Path

from db.audit.certify import CHECKS, GUARANTEES
from tests.docs.pages import ROOT, Block, blocks

README = ROOT / "README.md"
_STEP = re.compile(r"^\s*✓\s+[\d,]+ ms\s+|^\d  ")
_LEAST_LITERAL = 12


def test_the_demo_says_every_line_that_is_shown() -> None:
    patterns = [pattern for path in sorted((ROOT / "cli").glob("*.py")) for pattern in _texts(path)]

    for line in _block("One organization's story").text.splitlines():
        text = _STEP.sub("", line).strip()
        if text and text != "…":
            assert any(
                pattern.fullmatch(text) or pattern.fullmatch(f"{text} ") for pattern in patterns
            ), line


def test_the_tree_is_whole() -> None:
    shown = {line.split()[0].rstrip("/") for line in _block("domain/ ").text.splitlines()}
    packages = {path.name for path in ROOT.iterdir() if path.is_dir() and _is_ours(path)}

    assert packages <= shown
    assert {path for path in shown if not (ROOT / path).exists()} == set()


def test_the_guarantees_are_those_that_are_certified() -> None:
    rows = re.findall(r"^\| (\d) \| ([^|]+) \|", README.read_text(encoding="utf-8"), re.MULTILINE)

    assert {int(number): name for number, name in rows if number != "8"} == GUARANTEES
    assert [number for number, _ in rows] == list("12345678")


def test_the_guarantees_page_names_every_check() -> None:
    page = (ROOT / "docs" / "reference" / "guarantees.md").read_text(encoding="utf-8")

    assert [check.claim for check in CHECKS if f"- {check.claim}\n" not in page] == []


def test_the_tutorial_names_what_dev_prints() -> None:
    source = (ROOT / "cli" / "dev.py").read_text(encoding="utf-8")
    labels = re.findall(r'# "([^"]+)"', (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8"))

    assert len(labels) == 4
    assert [label for label in labels if f'"{label.partition(", ")[0]}' not in source] == []


def _block(holds: str) -> Block:
    [found] = [block for block in blocks(README) if holds in block.text]
    return found


def _is_ours(path: Path) -> bool:
    return (
        not path.name.startswith(".")
        and any(path.rglob("*.py"))
        and path.name not in {"build", "dist"}
    )


def _texts(path: Path) -> list[re.Pattern[str]]:
    """Every text of a module, with a wildcard for each inserted value."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        parts = node.values if isinstance(node, ast.JoinedStr) else [node]
        literal = [
            part.value
            for part in parts
            if isinstance(part, ast.Constant) and isinstance(part.value, str)
        ]
        if sum(map(len, literal)) >= _LEAST_LITERAL:
            pattern = "".join(
                re.escape(str(part.value)) if isinstance(part, ast.Constant) else ".+"
                for part in parts
            )
            found.append(re.compile(pattern.removeprefix("\\\n")))
    return found
