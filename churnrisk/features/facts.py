"""Facts about accounts for display: names, owners, values. They are today's state, never features."""

from __future__ import annotations

from typing import TYPE_CHECKING

from churnrisk.features.build import FEATURE_TABLE, FeatureTable
from churnrisk.snapshots import PANEL, Panel
from churnrisk.sources import Tables

if TYPE_CHECKING:
    import pandas as pd

MONTHS = 12


def facts_query(tables: Tables, *, panel: Panel = PANEL, features: FeatureTable = FEATURE_TABLE) -> str:
    """Return SQL for what the red list shows of each account of the latest panel date, one row per account.

    The columns are account_id, name, owner, segment (text or missing), annual_value (twelve times the monthly revenue),
    renewal_at, tenure_days and last_survey_score.
    """
    available = tables.available
    mrr = _first(tables, ("subscriptions.mrr", "i.mrr"), ("accounts.mrr", "a.mrr"), absent="null::double")
    renewal = _first(
        tables,
        ("subscriptions.renewal_at", "i.next_renewal_at"),
        ("accounts.renewal_at", "a.renewal_at"),
        absent="null::timestamp",
    )
    owner = _first(
        tables, ("attributes.owner", "i.owner"), ("accounts.owner", "a.owner"), absent="null::varchar"
    )
    name = _first(tables, ("accounts.name", "a.name"), absent="null::varchar")
    segment = _first(tables, ("accounts.segment", "a.segment"), absent="null::varchar")
    survey = "i.last_score" if available.has("surveys") else "null::double"
    return (
        f"select i.account_id, {name} as name, {owner} as owner, {segment} as segment, "
        f"({mrr})::double * {MONTHS} as annual_value, {renewal} as renewal_at, "
        "case when i.dated then date_diff('day', i.first_seen_at, i.as_of) end::double as tenure_days, "
        f"{survey} as last_survey_score "
        f"from {features.inputs} i join accounts a on a.account_id = i.account_id "
        f"where i.as_of = (select max(as_of) from {panel.dates})"
    )


def annual_value(X: pd.DataFrame) -> pd.Series | None:
    """Return what each account was worth a year at its as-of date; None without a feature for it."""
    return X["mrr"] * MONTHS if "mrr" in X else None


def _first(tables: Tables, *choices: tuple[str, str], absent: str) -> str:
    """Return the first expression whose column is there, with the later ones to fill its gaps."""
    there = [expression for need, expression in choices if tables.available.has(need)]
    return f"coalesce({', '.join(there)})" if there else absent
