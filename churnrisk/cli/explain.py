"""The account page in the terminal."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from churnrisk.records import Reason
from churnrisk.workflows.account import AccountView

_BAR = "▁▂▃▄▅▆▇█"


def account_text(view: AccountView) -> str:
    """Return the account as text for people."""
    latest = view.latest
    title = f"{view.name} ({view.account_id})" if view.name else view.account_id
    lines = [f"{title}: {latest.colour}, decided by {_decided(view)}"]
    if latest.probability is not None:
        lines.append(f"  churn probability {latest.probability:.1%} as of {latest.as_of:%Y-%m-%d}")
    facts = [
        f"owner {view.owner}" if view.owner else "",
        f"segment {view.segment}" if view.segment else "",
        f"worth {view.annual_value:,.0f} a year" if view.annual_value is not None else "",
        f"renews {view.renewal_at:%Y-%m-%d}" if view.renewal_at else "",
        f"stage {view.stage}" if view.stage else "",
    ]
    lines.append("  " + ", ".join(fact for fact in facts if fact))
    lines += ["", f"Do first: {view.next_step}"] if view.next_step else []
    if view.reasons:
        lines += ["", "Why:", *(f"  {_reason(reason)}" for reason in view.reasons)]
    lines += ["", "History:", *_history(view)]
    return "\n".join(lines) + "\n"


def account_dict(view: AccountView) -> dict[str, Any]:
    """Return the account as programs get it."""
    return asdict(view)


def _decided(view: AccountView) -> str:
    latest = view.latest
    return f"{latest.decided_by} ({latest.rule})" if latest.rule else latest.decided_by


def _reason(reason: Reason) -> str:
    usual = ""
    if reason.usual_low is not None and reason.usual_high is not None:
        usual = f"; usual among those who stay: {reason.usual_low:.4g} to {reason.usual_high:.4g}"
    before = "" if reason.previous is None else f"; at the last run: {_value(reason.previous)}"
    return f"{reason.text} ({reason.contribution:+.2f} log-odds{usual}{before})"


def _value(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"


def _history(view: AccountView) -> list[str]:
    return [
        f"  {past.as_of:%Y-%m-%d}  {past.colour:6} {_bar(past.probability)} "
        f"{'' if past.probability is None else f'{past.probability:.1%}'}"
        for past in view.history[-12:]
    ]


def _bar(probability: float | None) -> str:
    return " " if probability is None else _BAR[min(7, int(probability * 8))]
