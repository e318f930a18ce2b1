"""What a review form says."""

from __future__ import annotations

import pytest

from churnrisk.errors import UsageError
from churnrisk.web import versions_of


@pytest.mark.parametrize("given", ["", "x", "[]", "{}", '{"a": null}', '{"a": "x"}', '{"a": Infinity}'])
def test_versions_that_are_none_are_reported(given):
    with pytest.raises(UsageError, match="on which versions"):
        versions_of({"versions": given}, ("a",))


def test_versions_are_those_of_the_accounts_that_are_ticked():
    assert versions_of({"versions": '{"a": 3, "b": 0}'}, ("a",)) == {"a": 3}
