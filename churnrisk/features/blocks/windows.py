"""The columns of the windows, whatever the rows come from."""

from __future__ import annotations

from collections.abc import Callable

from churnrisk.features.blocks.rollup import HISTORY_DAYS, Shape

#: Windows as ages in days: above the first, up to the second.
_SPANS = {"7": (0, 7), "30": (0, 30), "90": (0, 90), "prev_30": (30, 60)}


def window_columns(shape: Shape, active_days: Callable[[int, int], str]) -> str:
    """Return the select list of every window, over rows with age, n, quantity, first_day, last_day and masks.

    Parameters
    ----------
    active_days : callable
        Returns SQL for the number of days above the first age, up to the second; null where there is none.
    """
    spans = {name: ages(*span) for name, span in _SPANS.items()}
    columns = [f"(sum(n) filter (where {where}))::bigint as events_{name}" for name, where in spans.items()]
    columns += [
        f"{shape.amount(f'sum(quantity) filter (where {where})')} as quantity_{name}"
        for name, where in spans.items()
    ]
    columns += [f"{active_days(low, high)} as active_days_{name}" for name, (low, high) in _SPANS.items()]
    columns += [f"{active_days(0, days)} as active_days_{days}" for days in (180, HISTORY_DAYS)]
    columns += [
        "sum(n)::bigint as events_365",
        f"{shape.amount('sum(quantity)')} as quantity_365",
        "min(first_day) as first_day_365",
        "max(last_day) as last_day",
    ]
    columns += [
        f"{shape.bits(f'bit_or(mask_{{i}}) filter (where age <= {days})')} as features_{days}"
        for days in (7, 30, 90)
    ]
    recent = "coalesce(bit_or(mask_{i}) filter (where age <= 30), 0)"
    before = "coalesce(bit_or(mask_{i}) filter (where age > 30 and age <= 90), 0)"
    columns += [
        f"{shape.bits(f'{before} & ~{recent}')} as features_dropped",
        f"{shape.bits(f'{recent} & ~{before}')} as features_adopted",
    ]
    return ", ".join(columns) + shape.keys("max(last_key_{i}) as last_key_{i}")


def last_days(shape: Shape) -> tuple[str, ...]:
    """Return the columns that say when something was last seen."""
    return ("last_day", *(f"last_key_{i}" for i in range(len(shape.key_features))))


def complete(shape: Shape) -> str:
    """Return the condition that all was last seen within the windows, so that nothing before them matters."""
    return " and ".join(f"{name} is not null" for name in last_days(shape))


def ages(low: int, high: int) -> str:
    """Return the condition of an age above the first, up to the second."""
    return f"age > {low} and age <= {high}" if low else f"age <= {high}"


def user_columns(rows: str) -> str:
    """Return the query of the users, over rows of the last 60 days with account_key, as_of, user_id, age and n."""
    return (
        "select account_key, as_of, count(*) filter (where recent > 0) as users_30, "
        "count(*) filter (where before > 0) as users_prev_30, max(recent) as top_user_events_30, "
        "sum(recent)::bigint as user_events_30 from ("
        "select account_key, as_of, user_id, (sum(n) filter (where age <= 30))::bigint as recent, "
        f"(sum(n) filter (where age > 30))::bigint as before from {rows} where user_id is not null group by 1, 2, 3) "
        "group by account_key, as_of"
    )
