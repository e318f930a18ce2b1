"""Signals of one's own in Python: the same record as in churnrisk.toml, checked for leaks on the data."""

from __future__ import annotations

import pytest

import churnrisk as cr
from churnrisk.errors import ContractError, UsageError

HONEST = cr.Signal(
    "quiet_payer",
    "days_since_last_event * mrr",
    unit="euro days",
    why="Pays and is silent: {value:.0f}",
    monotone=1,
)
LEAKING = cr.Signal(
    "events_ever",
    "(select count(*) from events e where e.account_id = i.account_id)".replace("i.", "feature_inputs."),
)


def test_an_own_signal_becomes_a_column_with_its_constraint_and_its_reason(project) -> None:
    wider = project.with_features([HONEST])
    panel = wider.panel()

    assert list(panel.X.columns)[-1] == "quiet_payer"
    expected = panel.X["days_since_last_event"] * panel.X["mrr"]
    assert panel.X["quiet_payer"].equals(expected.rename("quiet_payer"))
    assert wider.classifier(panel.features).monotone["quiet_payer"] == 1
    assert "quiet_payer" not in project.panel().X
    model = wider.classifier(panel.features).fit(panel.X, panel.y)
    reasons = cr.explain(model, panel.X.head(200), panel=panel, top=8)
    assert reasons["text"].str.startswith("Pays and is silent:").any()


def test_a_signal_that_sees_the_future_is_named_and_refused(project) -> None:
    with pytest.raises(
        ContractError, match=r"expected signals that know the past only.* events_ever changes for"
    ) as failure:
        project.with_features([HONEST, LEAKING])
    assert "quiet_payer" not in str(failure.value)
    assert "events_ever" in project.with_features([LEAKING], check_leaks=False).panel().X


@pytest.mark.parametrize(
    ("signal", "said"),
    [
        (("mrr", "1"), "the feature name mrr is taken"),
        (("busy", "no_such_column + 1"), "no_such_column"),
    ],
)
def test_a_signal_that_cannot_be_is_one_clear_error(project, signal, said) -> None:
    with pytest.raises(cr.ChurnRiskError, match=said):
        project.with_features([cr.Signal(*signal)])


def test_a_signal_of_a_wrong_name_or_direction_is_refused_at_once() -> None:
    with pytest.raises(UsageError, match="lower-case"):
        cr.Signal("Busy One", "1")
    with pytest.raises(UsageError, match="monotone must be -1, 0 or 1"):
        cr.Signal("busy", "1", monotone=2)
