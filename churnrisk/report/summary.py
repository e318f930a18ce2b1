"""What a report says, worked out before it is drawn: templates show, they do not calculate."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from churnrisk.records import Colour, ColourEvidence, Interval, RedList, RedListRow, Total
from churnrisk.report import wording

NO_SEGMENT = "no segment"
NO_RENEWAL = "no renewal date"
_MONEY_WORDS = ("revenue", "value", "loss", "mrr", "arr")
_AT_RISK = (Colour.RED, Colour.AMBER)
_MOST_GROUPS = 8


@dataclass(frozen=True, slots=True)
class Figure:
    """One model figure beside those of simpler rules, on the same test block.

    Attributes
    ----------
    label : str
        Which figure: "AUC", "log loss".
    values : mapping of str to Interval, float or None
        By whom: "model", "days since last event", "base rate"; the order of the columns.
    higher_is_better : bool
        Which way is good.
    """

    label: str
    values: Mapping[str, Interval | float | None] = field(default_factory=dict)
    higher_is_better: bool = True


@dataclass(frozen=True, slots=True)
class TotalView:
    """A total in words, with its change since the run before."""

    label: str
    value: str
    change: str


@dataclass(frozen=True, slots=True)
class Bar:
    """Annual value at risk in one group, split by colour; widths are percentages of the longest bar."""

    label: str
    red: str
    amber: str
    red_width: float
    amber_width: float


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars of one grouping; ``counted`` says what is added up."""

    title: str
    counted: str
    bars: tuple[Bar, ...]


def totals(redlist: RedList, *, currency: str) -> tuple[TotalView, ...]:
    """Return the totals with their change since the run before."""
    since = wording.day(redlist.previous_run.as_of) if redlist.previous_run else ""
    return tuple(_total(total, since, currency) for total in redlist.totals)


def _total(total: Total, since: str, currency: str) -> TotalView:
    show = _shower(total, currency)
    if total.previous is None:
        change = "nothing to compare with yet"
    elif round(total.value - total.previous, 6) == 0:
        change = f"no change since {since}" if since else "no change"
    else:
        step = total.value - total.previous
        change = f"{'▲' if step > 0 else '▼'} {'+' if step > 0 else '-'}{show(abs(step))}"
        change += f" since {since}" if since else ""
    return TotalView(total.label, show(total.value), change)


def _shower(total: Total, currency: str) -> Callable[[float], str]:
    words = total.label.lower().split()
    if any(word.strip(",.()") in _MONEY_WORDS for word in words):
        return lambda amount: wording.money(amount, currency)
    return wording.count


def charts(redlist: RedList, *, currency: str) -> tuple[Chart, ...]:
    """Return what red and amber accounts are worth by segment and by renewal quarter.

    Where no account has a value, accounts are counted instead.
    """
    rows = [row for row in redlist.rows if row.colour in _AT_RISK]
    if not rows:
        return ()
    by_segment = _chart("By segment", rows, lambda row: row.segment or NO_SEGMENT, currency)
    by_quarter = _chart(
        "By renewal quarter", rows, lambda row: _quarter(row.renewal_at), currency, ordered=True
    )
    return by_segment, by_quarter


def _quarter(moment: datetime | None) -> str:
    return NO_RENEWAL if moment is None else f"{moment.year} Q{(moment.month - 1) // 3 + 1}"


def _chart(
    title: str,
    rows: Sequence[RedListRow],
    group: Callable[[RedListRow], str],
    currency: str,
    *,
    ordered: bool = False,
) -> Chart:
    in_money = any(wording.is_known(row.annual_value) for row in rows)
    sums: dict[str, dict[Colour, float]] = {}
    for row in rows:
        amounts = sums.setdefault(group(row), dict.fromkeys(_AT_RISK, 0.0))
        amounts[row.colour] += _weight(row, in_money=in_money)
    kept = _fold(sums, by_name=ordered)
    longest = max((sum(amounts.values()) for amounts in kept.values()), default=0.0) or 1.0
    show: Callable[[float], str] = (lambda x: wording.money(x, currency)) if in_money else wording.count
    bars = tuple(
        Bar(
            label,
            show(amounts[Colour.RED]),
            show(amounts[Colour.AMBER]),
            round(amounts[Colour.RED] / longest * 100, 1),
            round(amounts[Colour.AMBER] / longest * 100, 1),
        )
        for label, amounts in kept.items()
    )
    return Chart(title, "annual value" if in_money else "accounts", bars)


def _weight(row: RedListRow, *, in_money: bool) -> float:
    if not in_money:
        return 1.0
    return row.annual_value if row.annual_value is not None and wording.is_known(row.annual_value) else 0.0


def _fold(sums: Mapping[str, dict[Colour, float]], *, by_name: bool) -> dict[str, dict[Colour, float]]:
    """Order the groups and add up all beyond the eighth, so that the first screen stays one."""
    unknown = (NO_SEGMENT, NO_RENEWAL)
    if by_name:
        order = sorted(sums, key=lambda label: (label in unknown, label))
    else:
        order = sorted(sums, key=lambda label: (label in unknown, -sum(sums[label].values()), label))
    if len(order) <= _MOST_GROUPS:
        return {label: sums[label] for label in order}
    shown, rest = order[: _MOST_GROUPS - 1], order[_MOST_GROUPS - 1 :]
    folded = {label: sums[label] for label in shown}
    name = f"{len(rest)} later" if by_name else f"{len(rest)} others"
    folded[name] = {colour: sum(sums[label][colour] for label in rest) for colour in _AT_RISK}
    return folded


def kept(evidence: ColourEvidence) -> str:
    """Return whether a colour kept its promise."""
    if evidence.kept is None:
        return "no promise"
    return "kept" if evidence.kept else "not kept"


def figure_columns(figures: Iterable[Figure]) -> tuple[str, ...]:
    """Return by whom there are figures, in order of first appearance."""
    return tuple(dict.fromkeys(name for figure in figures for name in figure.values))
