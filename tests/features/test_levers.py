"""What a lever says about the signals is what the raw rows say once the team has done it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import timedelta

import pandas as pd
import pyarrow as pa
import pytest
from pandas.testing import assert_frame_equal

from churnrisk.features import (
    FEATURE_TABLE,
    LEVERS,
    FeatureConfig,
    Lever,
    LeverEffects,
    OwnFeature,
    build_features,
    influenced,
    pairs_of,
    select_features,
    select_levers,
)
from churnrisk.snapshots import ChurnConfig, build_panel
from tests.world import DAY, Row, World, at, opened, row

pytestmark = pytest.mark.slow

AS_OF = at(400)
INPUTS = FEATURE_TABLE.inputs
CONFIG = FeatureConfig(
    key_features=("f0",), own=(OwnFeature("events_per_seat", "coalesce(events_30, 0) / nullif(seats, 0)"),)
)
ACCOUNTS = [f"a{i:02}" for i in range(24)]
#: Only these use the key feature f0 late, which other levers than its own leave alone.
LOYAL_TO_KEY = ACCOUNTS[16:]


@pytest.fixture(scope="module")
def world() -> World:
    """Accounts from never seen to used every day, with and without open complaints and surveys."""
    rng = random.Random(1)
    tables: dict[str, list[Row]] = {
        name: [] for name in ("accounts", "events", "complaints", "subscriptions", "surveys", "attributes")
    }
    for i, name in enumerate(ACCOUNTS):
        tables["accounts"].append(row("accounts", account_id=name, signed_up_at=at(0)))
        tables["subscriptions"].append(
            row("subscriptions", account_id=name, started_at=at(10), seats=float(3 + i % 5))
        )
        last = rng.choice((395, 398, 360, 330, 200)) if i else 0
        for _ in range(rng.randrange(3, 90) if i else 0):
            day = rng.randrange(max(last - 100, 60), last)
            tables["events"].append(event(name, day, rng, key=name in LOYAL_TO_KEY or day < 300))
        for _ in range(i % 3):
            resolved = at(350) if rng.random() < 0.5 else None
            opened_at = at(rng.randrange(290, 340))
            tables["complaints"].append(
                row("complaints", account_id=name, opened_at=opened_at, resolved_at=resolved, severity=3.0)
            )
            if resolved is None:
                break  # exact for one open complaint only
        for _ in range(i % 4):
            score, day = float(rng.randrange(0, 11)), rng.randrange(200, 395)
            tables["surveys"].append(row("surveys", account_id=name, answered_at=at(day), score=score))
        tables["attributes"].append(
            row("attributes", account_id=name, valid_from=at(5), contacts=float(i % 4))
        )
    return World(tables)


@pytest.fixture(scope="module")
def now(world) -> pd.DataFrame:
    return features(world)


@pytest.fixture(scope="module")
def levers(world) -> dict[str, Lever]:
    with opened(world) as tables:
        return {lever.name: lever for lever in select_levers(CONFIG, tables.available)}


def event(account: str, day: int, rng: random.Random, *, key: bool) -> Row:
    used = {
        "feature": f"f{rng.randrange(0 if key else 1, 7)}",
        "user_id": f"u{rng.randrange(4)}",
        "quantity": 2.0,
    }
    return row("events", account_id=account, occurred_at=at(day) + timedelta(hours=9), **used)


# --- what the team does, as rows ---------------------------------------------------------------------


def events_of(world: World, account: str, days: int) -> list[Row]:
    since = AS_OF - days * DAY
    return [e for e in world.rows("events") if e["account_id"] == account and e["occurred_at"] >= since]


def with_events(world: World, account: str, days: Iterable[int], each: int, **values: object) -> World:
    year = events_of(world, account, 365)
    mine = Counter(e["user_id"] for e in events_of(world, account, 30))
    quantity = sum(e["quantity"] for e in year) / len(year) if year else 0.0
    plain = {"user_id": mine.most_common(1)[0][0] if mine else "u0", "quantity": quantity}
    new = [
        row("events", account_id=account, occurred_at=AS_OF - day * DAY, **(plain | values))
        for day in days
        for _ in range(each)
    ]
    return world.with_rows(events=[*world.rows("events"), *new])


def known_feature(world: World, account: str) -> str:
    """A product feature that the account uses, the more recently the better."""
    for days in (7, 30, 90):
        found = sorted({str(e["feature"]) for e in events_of(world, account, days)})
        if found:
            return found[0]
    return "f1"


def dropped(world: World, account: str) -> list[str]:
    recent, before = (({e["feature"] for e in events_of(world, account, days)}) for days in (30, 90))
    return sorted(before - recent)


def more_days(world: World, account: str, n: int) -> World:
    taken = {(AS_OF - e["occurred_at"]).days + 1 for e in events_of(world, account, 7)}
    year = events_of(world, account, 365)
    per_day = len(year) / max(1, len({e["occurred_at"].date() for e in year}))
    # as a database rounds: halves away from zero
    each = max(1, int(per_day + 0.5))
    free = [day for day in range(1, 8) if day not in taken][:n]
    return with_events(world, account, free, each, feature=known_feature(world, account))


def more_people(world: World, account: str, n: int) -> World:
    month = events_of(world, account, 30)
    each = max(1, int(len(month) / max(1, len({e["user_id"] for e in month})) + 0.5))
    feature = known_feature(world, account)
    for number in range(n):
        world = with_events(world, account, [1], each, feature=feature, user_id=f"new{number}")
    return world


def use(world: World, account: str, names: Iterable[str]) -> World:
    for name in names:
        world = with_events(world, account, [1], 1, feature=name)
    return world


def unused(world: World, account: str) -> list[str]:
    used = {e["feature"] for e in events_of(world, account, 90)}
    return [f"f{i}" for i in range(1, 7) if f"f{i}" not in used]


def resolved(world: World, account: str, n: int) -> World:
    done = {"resolved_at": AS_OF - timedelta(seconds=1)}
    rows = [
        c | done if c["account_id"] == account and c["resolved_at"] is None else c
        for c in world.rows("complaints")
    ]
    return world.with_rows(complaints=rows)


def answered(world: World, account: str, n: int) -> World:
    new = row("surveys", account_id=account, answered_at=AS_OF - DAY, score=float(n))
    return world.with_rows(surveys=[*world.rows("surveys"), new])


def met(world: World, account: str, n: int) -> World:
    known = max(
        (a for a in world.rows("attributes") if a["account_id"] == account), key=lambda a: a["valid_from"]
    )
    new = row("attributes", account_id=account, valid_from=AS_OF - DAY, contacts=known["contacts"] + n)
    return world.with_rows(attributes=[*world.rows("attributes"), new])


DONE: dict[str, Callable[[World, str, int], World]] = {
    "resolve complaints": resolved,
    "return": more_days,
    "more days": more_days,
    "more people": more_people,
    "resume features": lambda world, account, n: use(world, account, dropped(world, account)[:n]),
    "wider use": lambda world, account, n: use(world, account, unused(world, account)[:n]),
    "more contacts": met,
    "better answer": answered,
    "use f0": lambda world, account, n: use(world, account, ["f0"]),
}


# --- the tests -----------------------------------------------------------------------------------------


def features(world: World) -> pd.DataFrame:
    with opened(world) as tables:
        build_panel(tables, ChurnConfig(definition="inactivity"), [AS_OF], data_end=at(10_000))
        chosen = select_features(CONFIG, tables.available)
        frame = build_features(tables, chosen, key_features=CONFIG.key_features, labelled_only=False)
        return frame.X.droplevel("as_of")


def pulled(world: World, levers: list[Lever]) -> pd.DataFrame:
    with opened(world) as tables:
        build_panel(tables, ChurnConfig(definition="inactivity"), [AS_OF], data_end=at(10_000))
        chosen = select_features(CONFIG, tables.available)
        build_features(tables, chosen, key_features=CONFIG.key_features, labelled_only=False)
        (frame,) = LeverEffects(tables.engine, INPUTS, chosen, pd.Index(ACCOUNTS), as_of=AS_OF).features(
            levers
        )
        return frame.assign(account_id=[ACCOUNTS[place] for place in frame["place"]])


NAMES = [*(lever.name for lever in LEVERS), "use f0"]
TOGETHER = [
    ("resolve complaints", "return"),
    ("return", "more people"),
    ("more days", "more people"),
    ("more days", "resume features"),
    ("more people", "wider use"),
    ("more people", "use f0"),
    ("more contacts", "better answer"),
]


@pytest.mark.parametrize("names", [*((name,) for name in NAMES), *TOGETHER], ids="+".join)
def test_applied_levers_equal_changed_rows(world, now, levers, names):
    frame = (
        pulled(world, [levers[name] for name in names])
        .sample(frac=1, random_state=0)
        .drop_duplicates("account_id")
    )
    if names != ("use f0",):
        frame = frame[~frame["account_id"].isin(LOYAL_TO_KEY)]
    if "wider use" in names:
        place = names.index("wider use")
        frame = frame[
            [
                len(unused(world, a)) >= n
                for a, n in zip(frame["account_id"], frame[f"dose_{place}"], strict=True)
            ]
        ]
    assert len(frame)
    frame, after = frame.set_index("account_id"), world
    for account in frame.index:
        for i, name in enumerate(names):
            after = DONE[name](after, account, int(frame.loc[account, f"dose_{i}"]))
    found = features(after).loc[frame.index]
    for feature in now.select_dtypes("float64"):
        expected = (frame if feature in frame else now.loc[frame.index])[feature]
        gap = (found[feature] - expected).abs() > 1e-3 * (1 + expected.abs())
        differs = gap | (found[feature].isna() != expected.isna())
        assert not differs.any(), (feature, found[feature][differs], expected[differs])


def test_levers_about_one_signal_are_no_pair(levers):
    names = {frozenset((a.name, b.name)) for a, b in pairs_of(list(levers.values()))}
    assert {frozenset(pair) for pair in TOGETHER} <= names
    assert frozenset(("return", "more days")) not in names
    assert frozenset(("resume features", "use f0")) not in names


def test_every_lever_changes_what_it_is_about(world, now, levers):
    for lever in levers.values():
        frame = pulled(world, [lever])
        aims = [aim for aim in lever.aims if aim in now]
        assert aims, lever.name
        changed = frame.set_index("account_id")[aims] != now.loc[frame["account_id"], aims].to_numpy()
        assert changed.any(axis=1).all(), lever.name


def test_more_of_a_lever_never_does_less(world, levers):
    for lever in levers.values():
        frame = pulled(world, [lever]).sort_values("dose_0")
        aim = lever.aims[0]
        steps = frame.groupby("account_id")[aim].diff().dropna()
        assert (steps >= 0).all() or (steps <= 0).all(), lever.name


def test_no_lever_changes_the_past_or_the_customers_own_choices():
    from churnrisk.features import CATALOGUE

    names = {feature.name for feature in influenced(CATALOGUE, LEVERS)}
    assert {"open_complaints", "worst_open_severity", "users_30", "features_30", "contacts"} <= names
    for past in (
        "complaints_30",
        "complaints_90",
        "owner_changed_60d",
        "tenure_days",
        "mrr",
        "term_age_days",
    ):
        assert past not in names


def test_levers_that_the_tables_do_not_feed_are_not_offered(world):
    with opened(world.without("complaints", "events.user_id", "surveys")) as tables:
        names = {lever.name for lever in select_levers(FeatureConfig(), tables.available)}
    assert "more days" in names
    assert not names & {"resolve complaints", "more people", "better answer", "use f0"}


def test_features_of_the_users_own_follow_the_levers(world, now, levers):
    frame = pulled(world, [levers["more days"]])
    own = frame["events_per_seat"].to_numpy()
    assert (own > now["events_per_seat"].loc[frame["account_id"]].to_numpy()).all()


def test_only_the_requested_doses_are_tried(world, levers, monkeypatch):
    pair = [levers["resolve complaints"], levers["more people"]]
    with opened(world) as tables:
        build_panel(tables, ChurnConfig(definition="inactivity"), [AS_OF], data_end=at(10_000))
        chosen = select_features(CONFIG, tables.available)
        build_features(tables, chosen, key_features=CONFIG.key_features, labelled_only=False)
        looked = LeverEffects(tables.engine, INPUTS, chosen, pd.Index(ACCOUNTS), as_of=AS_OF)
        (everything,) = looked.features(pair)
        places = everything["place"].unique()[:3].tolist()
        resolved = pa.table({"place": places, "dose": [1] * len(places)})
        people = pa.table({"place": [places[0], places[0], places[2]], "dose": [1, 4, 2]})
        order = ["place", "dose_0", "dose_1"]
        monkeypatch.setattr("churnrisk.features.levers.CHUNK", 3)
        parts = list(looked.features(pair, [resolved, people]))
        assert len(parts) == -(-len(ACCOUNTS) // 3)
        found = pd.concat(parts).sort_values(order, ignore_index=True)
        assert found[order].to_numpy().tolist() == sorted(
            [[places[0], 1, 1], [places[0], 1, 4], [places[2], 1, 2]]
        )
        assert_frame_equal(found, found[order].merge(everything, on=order))
        assert not sum(map(len, looked.features(pair, [resolved.slice(0, 0), people])))
