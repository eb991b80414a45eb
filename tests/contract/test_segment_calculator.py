"""Compares our segment counts with the simulator's and with Twilio's own calculator, on thousands
of texts.
"""

import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import pytest

from domain.campaigns.graphemes import _RANGES
from domain.campaigns.segments import count_segments
from simulators.twilio.segments import count_segments as billed

CALCULATOR = Path(__file__).parent / "segment_calculator"
SINGLE_SEGMENT = 67
Calculated = Callable[[Sequence[str]], list[tuple[str, int, int]]]
"""For each text: the encoding, the segments and the width of the widest grapheme."""


def missing(problem: str) -> NoReturn:
    """In CI the comparison must not be skipped silently."""
    if os.environ.get("CI"):
        pytest.fail(f"Twilio's calculator is not compared: {problem}")
    pytest.skip(f"Twilio's calculator is not compared: {problem}")


@pytest.fixture(scope="module")
def calculate(tmp_path_factory: pytest.TempPathFactory) -> Calculated:
    """Twilio's calculator, installed by npm from the lock file."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        missing("node and npm are not installed")
    directory = tmp_path_factory.mktemp("calculator")
    shutil.copytree(CALCULATOR, directory, dirs_exist_ok=True)
    installed = subprocess.run(
        [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=directory, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    if installed.returncode:
        missing(f"npm could not install it: {installed.stderr.strip()[-300:]}")

    def calculated(texts: Sequence[str]) -> list[tuple[str, int, int]]:
        lines = "".join(f"{json.dumps(text)}\n" for text in texts)
        process = subprocess.run(
            [node, "count.js"],
            cwd=directory,
            input=lines,
            capture_output=True,
            text=True,
            timeout=600,
            check=True,
        )
        return [tuple(json.loads(line)) for line in process.stdout.splitlines()]

    return calculated


def compare(texts: Sequence[str], calculate: Calculated) -> None:
    """Our count equals the calculator's; for a grapheme larger than a segment, which the calculator
    ignores, it is not lower.
    """
    for text, (encoding, segments, widest) in zip(texts, calculate(texts), strict=True):
        counted = count_segments(text)
        assert counted.encoding == encoding, ascii(text)
        assert billed(text) == counted.count, ascii(text)
        if widest <= SINGLE_SEGMENT:
            assert counted.count == segments, ascii(text)
        else:
            assert counted.count >= segments, ascii(text)


GSM = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./09:;<=>?¡AZÄÖÑÜ§¿azäöñüà^{}\\[~]|€\f"
NOT_GSM = "яжçêŁ`\u2019“\u2013\u00a0\u00ad\u200b\ufeff\u2028中文한글ㄱ각\u1100\u1161\u11a8\ud7cb"
MARKS = "\u0301\u0308\ufe0f\u20e3\u093f\u0e33\u0903\u200d\u200c\u0600\U0001f3fb\U0001f3ff\U000e0067\U000e007f"
EMOJI = "😀❤🔥👍👩👨👦💋☝🏳🏴🌈♂✈🇩🇪🇫🇷🧑🦰🫠🐈⬛🧡"
WHOLE = [
    "❤️‍🔥",
    "👨‍👩‍👧‍👦",
    "👩🏽‍🚒",
    "👩‍❤️‍💋‍👨🏽",
    "🇩🇪",
    "🏴\U000e0067\U000e0062\U000e007f",
    "☝🏿",
    "☝️🏿",
    "\r\n",
    "नि",
    "각",
]


def texts(seed: int, number: int) -> list[str]:
    """Texts padded so that some characters fall on a segment's border."""
    chance = random.Random(seed)
    signs = [*GSM, *NOT_GSM, *MARKS, *EMOJI, *WHOLE]
    drawn = []
    for _ in range(number):
        fill = chance.choice(["я", "a", "aя", "€", "😀"]) * chance.randint(0, 160)
        middle = "".join(chance.choices(signs, k=chance.randint(0, 12)))
        drawn.append(fill[: chance.randint(0, 320)] + middle + "я" * chance.randint(0, 140))
    return drawn


def of_all_planes(seed: int, number: int) -> list[str]:
    """Texts of every kind of character, most of them at the borders of Unicode's classes."""
    chance = random.Random(seed)
    borders = [
        int(code, 16) + step
        for ranges in _RANGES.values()
        for part in ranges.split()
        for code in part.split("-")
        for step in (-1, 0, 1)
    ]
    usable = [code for code in borders if code >= 0 and not 0xD800 <= code <= 0xDFFF]
    return [
        "я" * chance.randint(50, 67)
        + "".join(map(chr, chance.choices(usable, k=chance.randint(1, 30))))
        + "я" * chance.randint(30, 67)
        for _ in range(number)
    ]


def test_every_character_counts_as_twilios_calculator_counts_it(calculate: Calculated) -> None:
    every = [chr(code) for code in range(1, 0x110000) if not 0xD800 <= code <= 0xDFFF]
    texts = ["я" * 66 + "☝" + character + "ж" * 65 for character in every[:0x700]]
    texts += ["я" * 65 + character + "\u0301" + "ж" * 67 for character in every[:0x3200:5]]
    texts += ["".join(every[at : at + 64]) for at in range(0, len(every), 64)]

    compare(texts, calculate)


def test_random_texts_count_as_twilios_calculator_counts_them(calculate: Calculated) -> None:
    compare([*texts(seed=1, number=14_000), *of_all_planes(seed=2, number=6_000)], calculate)
