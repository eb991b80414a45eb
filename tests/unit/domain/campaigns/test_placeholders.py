"""Placeholders in the syntax of the common tools, and texts that only look similar."""

import pytest

from domain.campaigns import placeholders


@pytest.mark.parametrize(
    "placeholder",
    [
        "{{name}}",
        "{{ first name }}",
        "{{\nname\n}}",
        "{% if vip %}",
        "{name}",
        "{First Name}",
        "${name}",
        "#{name}",
        "*|FNAME|*",
        "[[name]]",
        "<%= name %>",
        "%name%",
    ],
)
def test_a_placeholder_is_found(placeholder: str) -> None:
    assert placeholders.find(f"Hello {placeholder}, 20 % off today") == placeholder


@pytest.mark.parametrize(
    "text",
    [
        "20 % off, 30% on shoes",
        "5%or10%",
        "Call {SALE",
        "a [b] c",
        "<3 you",
        "$5 {}",
        "100% {1,2}",
        "#1 *|* :-}",
    ],
)
def test_a_text_without_one_is_left_alone(text: str) -> None:
    assert placeholders.find(text) is None
