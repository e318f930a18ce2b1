"""The report page in a real browser: nothing overflows and no name is broken, from a telephone to a wide screen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from churnrisk.present import write_report
from churnrisk.records import Colour, RedList

#: Words that stand on more than one line.
BROKEN = """() => [...document.querySelectorAll("td, th, dd, dt, h1, h2, p")].flatMap(cell => {
  const texts = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT), broken = [];
  while (texts.nextNode()) {
    for (const found of texts.currentNode.data.matchAll(/[\\p{L}\\d]+/gu)) {
      const range = document.createRange();
      range.setStart(texts.currentNode, found.index);
      range.setEnd(texts.currentNode, found.index + found[0].length);
      if (new Set([...range.getClientRects()].map(box => Math.round(box.top))).size > 1) broken.push(found[0]);
    }
  }
  return broken;
})"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1160, 1230, 1600])
def test_no_word_is_broken_and_nothing_overflows(
    make_redlist: Callable[..., RedList],
    tmp_path: Path,
    browser: Browser,
    width: int,
    scheme: str,
) -> None:
    rows = [
        {"owner": "Paul Mercier", "name": "Summit Press Ltd"},
        {
            "owner": "Wilhelmine Oberhuber-Castellanos",
            "name": "Wilderness Outfitters Cooperative",
            "segment": None,
        },
        {"colour": Colour.AMBER, "renewal_at": None, "days_to_renewal": None, "annual_value": 11_151_731.0},
    ]
    path = write_report(tmp_path / "report.html", make_redlist(*rows), company="Sample company")
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.goto(path.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(BROKEN) == []
    context.close()
