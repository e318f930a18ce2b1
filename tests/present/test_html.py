"""The report page: complete, self-contained, safe against what customers are called, and readable."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from churnrisk.errors import UsageError
from churnrisk.present import UNKNOWN, Figure, render_report, write_report
from churnrisk.records import AtRisk, Colour, ColourEvidence, DecidedBy, Interval, Reason, RedList, Total

from .conftest import ROW, RUN

Make = Callable[..., RedList]
ATTACK = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
EVIDENCE = (
    ColourEvidence(Colour.GREEN, 900, 3, 0.0033, 0.0007, 0.0097, "at most 1.0 % churn", True),
    ColourEvidence(Colour.AMBER, 210, 12, 0.057, 0.03, 0.098),
    ColourEvidence(Colour.RED, 80, 31, 0.3875, 0.28, 0.503, "at least 14 % churn", False),
)
FIGURES = (
    Figure("AUC", {"model": Interval(0.881, 0.86, 0.902), "days since last event": 0.771, "base rate": 0.5}),
    Figure("log loss", {"model": Interval(0.121, 0.11, 0.132), "champion": None}, higher_is_better=False),
)


class _Page(HTMLParser):
    """Collects what a browser would see."""

    VOID = frozenset({"meta", "br", "input", "img", "link"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.extend(attrs)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.text += data + "\n"


def test_the_totals_stand_first_with_their_change(make_redlist: Make) -> None:
    text = _Page(render_report(make_redlist({}), company="Sample company")).text
    assert text.index("Revenue at risk") < text.index("Cedar Bakery")
    for expected in ("1,234", "▲ +4 since 1 Jun 2026", "▼ -3", "no change since", "98,765", "▲ +8,765"):
        assert expected in text


def test_a_first_run_has_nothing_to_compare_with(make_redlist: Make) -> None:
    text = _Page(render_report(make_redlist({}, previous=False), company="Sample company")).text
    assert "the first run" in text
    assert "nothing to compare with yet" in text


def test_a_row_says_who_how_serious_why_and_what_next(make_redlist: Make) -> None:
    text = _Page(render_report(make_redlist({}), company="Sample company")).text
    for expected in (
        "Cedar Bakery", "C10042", "Ana Castillo", "Enterprise", "red", "▲", "↑", "84,000", "in 23 days",
        "24 Jul 2026", "62 %", "+31 points", "No activity for 34 days", "2 complaints open", "for 1 day",
        "by the model", "Call the owner's contact",
    ):  # fmt: skip
        assert expected in text


@pytest.mark.parametrize(("colour", "shape"), [("red", "▲"), ("amber", "◆"), ("green", "●"), ("grey", "○")])
def test_each_colour_is_shown_by_word_and_shape(colour: str, shape: str, make_redlist: Make) -> None:
    page = render_report(make_redlist({"colour": Colour(colour)}), company="c")
    assert f'<span aria-hidden="true">{shape}</span>{colour}</span>' in page


@pytest.mark.parametrize(
    ("decided_by", "rule", "expected"),
    [
        (DecidedBy.RULE, "open_critical_complaint", "by the rule open critical complaint"),
        (DecidedBy.OVERRIDE, None, "by a person"),
        (DecidedBy.HYSTERESIS, None, "kept until"),
        (DecidedBy.ELIGIBILITY, None, "not enough data"),
    ],
)
def test_a_row_says_what_decided(
    decided_by: DecidedBy, rule: str | None, expected: str, make_redlist: Make
) -> None:
    redlist = make_redlist({"decided_by": decided_by, "rule": rule})
    assert expected in render_report(redlist, company="c")


def test_an_empty_list_says_so(make_redlist: Make) -> None:
    page = render_report(make_redlist(), company="Sample company")
    assert "No account is on the list" in page
    assert "<script" not in page


def test_a_long_list_is_cut_and_says_so(make_redlist: Make) -> None:
    page = render_report(make_redlist(*[{"account_id": f"A{i}"} for i in range(5)]), company="c", limit=3)
    assert "3 of 5 accounts" in page
    assert "A2" in page
    assert "A3" not in page


def test_unknown_values_are_dashes_and_never_zeros(make_redlist: Make) -> None:
    unknown = {
        "name": None, "owner": None, "segment": None, "annual_value": None, "renewal_at": None,
        "days_to_renewal": None, "reasons": (), "next_step": "", "churn_probability": float("nan"),
        "previous_probability": None, "colour": Colour.GREY,
    }  # fmt: skip
    text = _Page(render_report(make_redlist(unknown), company="c")).text
    assert "nan" not in text.lower()
    assert "None" not in text
    assert text.count(UNKNOWN) >= 7


def test_script_in_any_text_is_shown_and_not_run(make_redlist: Make) -> None:
    fields = ("account_id", "name", "owner", "segment", "next_step", "rule")
    reason = Reason(ATTACK, ATTACK, ATTACK, ATTACK, 1.0)
    redlist = make_redlist(
        {**dict.fromkeys(fields, ATTACK), "reasons": (reason,), "decided_by": DecidedBy.RULE}
    )
    run = replace(RUN, model_version=ATTACK, policy_version=ATTACK, inputs_digest=ATTACK, forced_by=ATTACK)
    redlist = replace(redlist, run=run, totals=(Total(ATTACK, 1.0, 2.0),))
    page = render_report(
        redlist,
        company=ATTACK,
        evidence=(replace(EVIDENCE[0], promise=ATTACK),),
        metrics=(Figure(ATTACK, {ATTACK: 0.5}),),
    )
    seen = _Page(page)
    assert seen.tags.count("script") == 1
    assert "img" not in seen.tags
    assert not [name for name, _ in seen.attributes if name.startswith("on")]
    assert seen.text.count("alert(1)") >= 15


def test_the_page_needs_nothing_from_elsewhere(make_redlist: Make) -> None:
    page = render_report(make_redlist({}), company="c", evidence=EVIDENCE, metrics=FIGURES)
    assert "://" not in page
    assert not re.search(r"@import|url\((?!#)|<link|<iframe|\bsrc=|\bfetch\(", page)


def test_every_element_is_closed_and_every_header_scoped(make_redlist: Make) -> None:
    page = render_report(make_redlist({}, {}), company="c", evidence=EVIDENCE, metrics=FIGURES)
    assert not _Page(page).open
    assert all("scope=" in header for header in re.findall(r"<th\b[^>]*>", page))
    assert page.count("<caption>") == page.count("<table")
    assert '<html lang="en">' in page


def test_the_evidence_shows_promise_rate_and_bounds(make_redlist: Make) -> None:
    text = _Page(render_report(make_redlist({}), company="c", evidence=EVIDENCE)).text
    assert "What the colours promise" in text
    for expected in ("at most 1.0 % churn", "kept", "not kept", "no promise", "0.3 % (0.1 % to 1.0 %)"):
        assert expected in text
    assert "39 % (28 % to 50 %)" in text


def test_the_models_figures_stand_beside_simple_rules(make_redlist: Make) -> None:
    text = _Page(render_report(make_redlist({}), company="c", metrics=FIGURES)).text
    for expected in ("0.881 (0.860 to 0.902)", "0.771", "0.500", "base rate", "champion", "lower is better"):
        assert expected in text


def test_sections_without_content_are_left_out(make_redlist: Make) -> None:
    text = _Page(render_report(make_redlist({"colour": Colour.GREEN}), company="c")).text
    assert "What the colours promise" not in text
    assert "How good the model is" not in text
    assert "What red and amber accounts are worth" not in text


def test_writing_replaces_the_file_and_leaves_nothing_else(make_redlist: Make, tmp_path: Path) -> None:
    target = tmp_path / "out" / "report.html"
    write_report(target, make_redlist(), company="c")
    write_report(target, make_redlist({"name": "Zoë \ud800"}), company="Müller")
    assert "Zoë ?" in target.read_text(encoding="utf-8")
    assert [file.name for file in target.parent.iterdir()] == ["report.html"]


def test_a_place_that_cannot_be_written_is_named(make_redlist: Make, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="found the folder"):
        write_report(tmp_path, make_redlist(), company="c")
    with pytest.raises(UsageError, match="expected to write"):
        write_report(tmp_path / "file" / "report.html", make_redlist(), company="c")


@pytest.mark.slow
@given(name=st.text(), owner=st.text(), text=st.text())
def test_any_text_gives_a_well_formed_page(name: str, owner: str, text: str) -> None:
    row = replace(ROW, name=name, owner=owner, reasons=(Reason("f", "own", text, 1.0, 1.0),))
    groups = (AtRisk(name, 1, 0, 84_000.0, 0.0, 52_416.0),)
    redlist = RedList(RUN, None, (), (row,), by_segment=groups, by_quarter=groups)
    seen = _Page(render_report(redlist, company="c"))
    assert not seen.open
    assert seen.tags.count("tr") == 2 + 2 * 2


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_all_text_has_the_contrast_that_wcag_aa_asks_for(theme: int) -> None:
    css = files("churnrisk.present").joinpath("templates/report.css").read_text()
    block = re.findall(r":root \{(.*?)\}", css, flags=re.DOTALL)[theme]
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block))
    pairs = [(ink, paper) for ink in ("ink", "soft") for paper in ("paper", "card")]
    pairs += [(name, f"{name}-card") for name in ("red", "amber", "green", "grey")]
    for ink, paper in pairs:
        light, dark = sorted((_luminance(colours[ink]), _luminance(colours[paper])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, paper)
