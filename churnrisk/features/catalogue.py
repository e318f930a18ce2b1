"""The catalogue: the feature groups of all raw tables, and which features a project's tables can feed."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from churnrisk.contract import TABLES, Available, identifier
from churnrisk.errors import UsageError
from churnrisk.features.attributes import ATTRIBUTES
from churnrisk.features.block import FeatureGroup
from churnrisk.features.complaints import COMPLAINTS
from churnrisk.features.events import EVENTS, key_feature
from churnrisk.features.subscriptions import SUBSCRIPTIONS
from churnrisk.features.surveys import SURVEYS
from churnrisk.records import Feature, Violation

#: Columns that every feature table has beside its features.
_TAKEN = frozenset({"account_id", "as_of", "grey_reason", "churned"})

#: By table, in the order of the catalogue.
GROUPS: dict[str, FeatureGroup] = {
    group.table: group for group in (EVENTS, COMPLAINTS, SURVEYS, SUBSCRIPTIONS, ATTRIBUTES)
}
CATALOGUE: tuple[Feature, ...] = tuple(feature for group in GROUPS.values() for feature in group.features)


@dataclass(frozen=True)
class OwnFeature:
    """A signal of the user's own: one entry of ``[[features.own]]`` in churnrisk.toml.

    ``sql`` is an expression over the prepared columns that ``churnrisk features --sql`` lists.
    """

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it as a class attribute

    name: str
    sql: str
    unit: str = ""
    label: str = ""
    why: str = ""
    monotone: int = 0

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.name):
            raise UsageError(
                f"[[features.own]] name {self.name!r} must be lower-case letters, digits and underscores."
            )
        if self.monotone not in (-1, 0, 1):
            raise UsageError(
                f"[[features.own]] {self.name}: monotone must be -1, 0 or 1; found {self.monotone}."
            )

    def declare(self) -> Feature:
        """Return the feature as the catalogue holds it."""
        label = self.label or self.name.replace("_", " ")
        why = self.why or f"{label[:1].upper()}{label[1:]} is {{value:.4g}}"
        return Feature(self.name, "own", self.unit, self.sql, label, why, self.monotone, ())


@dataclass(frozen=True)
class FeatureConfig:
    """The settings of ``[features]``."""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it as a class attribute

    #: Product features whose own recency matters, like "login".
    key_features: tuple[str, ...] = ()
    #: Columns of ``accounts`` that never change (a country, an acquisition channel). Other columns of ``accounts`` show
    #: today's state and would leak the future into older snapshots.
    static: tuple[str, ...] = ()
    #: Features to leave out.
    exclude: tuple[str, ...] = ()
    #: Signals that tell the outcome so well that they look like leaks, and that you vouch for: their values were known
    #: before each as-of date.
    trust: tuple[str, ...] = ()
    own: tuple[OwnFeature, ...] = ()


def select_features(config: FeatureConfig, available: Available) -> tuple[Feature, ...]:
    """Return the features that the tables can feed, in catalogue order; UsageError for a wrong setting."""
    _require_static(config, available)
    offered = (
        *(feature for group in GROUPS.values() for feature in group.features),
        *(key_feature(name, position) for position, name in enumerate(config.key_features)),
        *_attribute_features("attributes", available.own_columns("attributes"), available),
        *_attribute_features("accounts", config.static, available),
        *(own.declare() for own in config.own),
    )
    names = {feature.name for feature in offered}
    for setting, named in (("exclude", config.exclude), ("trust", config.trust)):
        if unknown := sorted(set(named) - names):
            raise UsageError(
                f"[features] {setting} names {', '.join(unknown)}, which are not features of this project."
            )
    chosen = tuple(
        feature
        for feature in offered
        if feature.name not in config.exclude and all(available.has(need) for need in feature.requires)
    )
    if taken := _taken(chosen):
        raise UsageError(
            f"the feature name {', '.join(sorted(taken))} is taken. Rename the column under [tables.*.columns] or the "
            "own feature, or leave one out by [features] exclude."
        )
    return chosen


def clashing_columns(config: FeatureConfig, available: Available) -> list[Violation]:
    """Return the user's columns that are called like another signal, as violations of the contract."""
    own = [("attributes", name) for name in available.own_columns("attributes")]
    own += [("accounts", name) for name in config.static if available.has(f"accounts.{name}")]
    groups = (feature for group in GROUPS.values() for feature in group.features)
    fed = [one.name for one in groups if all(available.has(need) for need in one.requires)]
    names = [name.lower() for name in (*fed, *(name for _, name in own))]
    return [
        Violation(
            table,
            name,
            "the column is called like a signal"
            if name.lower() not in _TAKEN
            else "the column's name is reserved",
            "error",
            0,
            (),
            f"Give it another name, my_{name} = {json.dumps(name)} under [tables.{table}.columns], or leave what is "
            f"called so out: exclude = [{json.dumps(name)}] under [features].",
        )
        for table, name in own
        if name not in config.exclude and (names.count(name.lower()) > 1 or name.lower() in _TAKEN)
    ]


def _require_static(config: FeatureConfig, available: Available) -> None:
    spec = TABLES["accounts"]
    unfit = {column.name for column in spec.columns if column.type in ("id", "timestamp")} | {"name"}
    there = [name for name in available.tables["accounts"] if name not in unfit]
    unknown = sorted(set(config.static) - set(there))
    if unknown:
        raise UsageError(
            f"[features] static names {', '.join(unknown)}; of accounts it may name "
            f"{', '.join(there) or 'nothing, as there are no further columns'}."
        )


def _taken(features: tuple[Feature, ...]) -> set[str]:
    names = [feature.name.lower() for feature in features]
    return {name for name in names if names.count(name) > 1 or name in _TAKEN}


def _attribute_features(table: str, columns: tuple[str, ...], available: Available) -> list[Feature]:
    categorical = set(available.categorical.get(table, ())) | {"segment", "plan", "owner"}
    return [
        Feature(
            name=column,
            family="attributes",
            unit="",
            sql=identifier(f"{table}.{column}"),
            label=_words(column),
            why=f"{_words(column)}: {{value}}"
            if column in categorical
            else f"{_words(column)}: {{value:.4g}}",
            requires=(f"{table}.{column}",),
            categorical=column in categorical,
        )
        for column in columns
    ]


def _words(column: str) -> str:
    """Turn ``MonthlyMinutes`` or ``monthly_minutes`` into "monthly minutes"."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", column).replace("_", " ")
    return spaced.lower().strip()
