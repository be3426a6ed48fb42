"""Chains of faults as users write them: what is read, and what is refused and how."""

from __future__ import annotations

import hypothesis
import pytest
from hypothesis import strategies as st

from audiofix.errors import SettingError
from audiofix.faultlist import AUTO, KINDS, Wanted, parse_chain

ARGUMENTS = st.text(
    st.characters(exclude_characters="|", exclude_categories=("Z", "C")), min_size=1, max_size=8
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("clip", [("clip", AUTO)]),
        ("clip:auto", [("clip", AUTO)]),
        ("lowpass:4000", [("lowpass", "4000")]),
        (" lowpass : 40 Hz |clip:auto| gap:1-1.3 ", [("lowpass", "40 Hz"), ("clip", AUTO), ("gap", "1-1.3")]),
        ("gap:1-2|gap:3+0.5|gap", [("gap", "1-2"), ("gap", "3+0.5"), ("gap", AUTO)]),
        ("noise:20|quantise:8", [("noise", "20"), ("quantise", "8")]),
        ("gap:0:30-0:31", [("gap", "0:30-0:31")]),
        ("clip\n|\tnoise", [("clip", AUTO), ("noise", AUTO)]),
    ],
)  # fmt: skip
def test_chains_are_read_in_their_order(text: str, expected: list[tuple[str, str]]) -> None:
    assert parse_chain(text) == [Wanted(*pair) for pair in expected]


@hypothesis.given(st.permutations(list(KINDS)), st.lists(ARGUMENTS, min_size=5, max_size=5), st.booleans())
def test_what_is_written_is_read(kinds: list[str], arguments: list[str], airy: bool) -> None:
    wanted = [Wanted(kind, argument) for kind, argument in zip(kinds, arguments, strict=True)]
    text = (" | " if airy else "|").join(f"{one.kind}:{one.argument}" for one in wanted)
    assert parse_chain(text) == wanted


@pytest.mark.parametrize(
    "text",
    ["", " ", "|", "clip|", "|clip", "clip||gap", "clipp", "CLIP", ":0.5", "clip 0.5", "a\nb", "gap-1:2"],
)
def test_what_is_no_fault_is_refused_with_what_is_possible(text: str) -> None:
    with pytest.raises(SettingError) as refused:
        parse_chain(text)
    message = str(refused.value)
    assert "\n" not in message
    assert f"--ops {text!r}" in message
    assert "no fault that is known; possible:" in message
    assert all(f"{kind}:({what})" in message for kind, what in KINDS.items())


@pytest.mark.parametrize("kind", KINDS)
def test_a_colon_wants_an_argument(kind: str) -> None:
    for text in (f"{kind}:", f"gap|{kind}: "):
        with pytest.raises(SettingError) as refused:
            parse_chain(text)
        assert str(refused.value) == f"--ops {text!r}: {kind} lacks its argument: {KINDS[kind]}"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "gap"])
def test_only_gaps_may_come_twice(kind: str) -> None:
    with pytest.raises(SettingError, match=rf"\A--ops .*: {kind} is there twice; give it once\Z"):
        parse_chain(f"{kind}:1 | gap | {kind}")
    assert len(parse_chain("gap|gap")) == 2
