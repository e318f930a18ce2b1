"""What is absent yields fewer features: never an error, and never a silent zero."""

from __future__ import annotations

import pytest

from churnrisk.contract import TABLES
from churnrisk.features import CATALOGUE, FeatureConfig, build_features, facts_query, select_features
from churnrisk.records import Feature
from churnrisk.snapshots import ChurnConfig, build_panel
from tests.features.computing import KEYS, bits, compute
from tests.world import World, at, opened, random_world, row

pytestmark = pytest.mark.slow

WHOLE = random_world(11).with_rows(
    labels=[row("labels", account_id=f"A{n}", as_of=at(250), churned=bool(n % 2)) for n in range(4)]
)
CHURN = ChurnConfig(definition="labels")
CONFIG = FeatureConfig(key_features=KEYS)
OPTIONAL = [
    f"{spec.name}.{column.name}" for spec in TABLES.values() for column in spec.columns if not column.required
]
TABLE_NAMES = ["events", "complaints", "subscriptions", "surveys", "attributes"]


def names(world: World) -> set[str]:
    return set(compute(world, [at(250)], config=CONFIG, churn=CHURN).X.columns)


@pytest.fixture(scope="module")
def all_names() -> set[str]:
    return names(WHOLE)


def needing(absent: str) -> set[str]:
    """Features that declare that they need a table or column."""
    return {
        feature.name
        for feature in CATALOGUE
        if any(need == absent or need.startswith(f"{absent}.") for need in feature.requires)
    }


@pytest.mark.parametrize("absent", [*TABLE_NAMES, *OPTIONAL])
def test_without_a_table_or_column_the_features_that_need_it_are_gone_and_no_others(
    absent: str, all_names: set[str]
) -> None:
    lost = all_names - names(WHOLE.without(absent))
    expected = needing(absent)
    if absent in ("events", "events.feature"):
        expected |= {f"days_since_{key}" for key in KEYS}
    if absent == "attributes":
        expected |= {"tier", "load", "trial"}
    assert lost == expected


@pytest.mark.parametrize("absent", [*TABLE_NAMES, *OPTIONAL])
def test_facts_for_display_do_without_any_table_or_column(absent: str) -> None:
    with opened(WHOLE.without(absent)) as tables:
        build_panel(tables, CHURN, [at(250)], data_end=at(300))
        features = select_features(CONFIG, tables.available)
        build_features(tables, features, key_features=KEYS, labelled_only=False)
        facts = tables.engine.arrow(facts_query(tables)).to_pandas().set_index("account_id")
    assert list(facts.columns) == [
        "name", "owner", "segment", "annual_value", "renewal_at", "tenure_days", "last_survey_score",
    ]  # fmt: skip


def test_facts_are_those_of_the_latest_date_with_gaps_filled_from_the_account() -> None:
    accounts = [
        row(
            "accounts", account_id="A", name="Acme", owner="old", segment="small", mrr=5.0, signed_up_at=at(0)
        ),
        row("accounts", account_id="B", name="Bolt", owner="kim", mrr=7.0, renewal_at=at(400)),
    ]
    world = World(
        {
            "accounts": accounts,
            "subscriptions": [
                row("subscriptions", account_id="A", started_at=at(10), mrr=100.0, renewal_at=at(300))
            ],
            "attributes": [row("attributes", account_id="A", valid_from=at(20), owner="new")],
        }
    )
    churn = ChurnConfig(definition="contractual")
    with opened(world) as tables:
        build_panel(tables, churn, [at(5), at(200)], data_end=at(300))
        features = select_features(FeatureConfig(), tables.available)
        build_features(tables, features, labelled_only=False)
        facts = tables.engine.arrow(facts_query(tables)).to_pandas().set_index("account_id")
    assert sorted(facts.index) == ["A", "B"]
    assert facts["owner"].to_dict() == {"A": "new", "B": "kim"}
    assert facts["annual_value"].to_dict() == {"A": 1200.0, "B": 84.0}
    assert facts["renewal_at"].to_dict() == {"A": at(300), "B": at(400)}
    assert facts.loc["A", "tenure_days"] == 200
    assert facts["tenure_days"].isna()["B"]


def test_accounts_and_labels_alone_have_hardly_any_features() -> None:
    bare = WHOLE.without(*TABLE_NAMES)
    assert names(bare) == {"tenure_days"}


@pytest.mark.parametrize("empty", TABLE_NAMES)
def test_a_table_without_rows_counts_nothing_and_fails_nothing(empty: str) -> None:
    frame = compute(WHOLE.with_rows(**{empty: []}), [at(250)], config=CONFIG, churn=CHURN)
    assert len(frame.X) == len(compute(WHOLE, [at(250)], config=CONFIG, churn=CHURN).X)
    if empty == "events":
        assert (frame.X["events_90"] == 0).all()
        assert frame.X["days_since_last_event"].isna().all()


def test_unknown_is_not_zero() -> None:
    quiet = World(
        {"accounts": [row("accounts", account_id="A")], "events": [], "surveys": [], "complaints": []}
    )
    values = compute(quiet, [at(100)], churn=ChurnConfig(), config=FeatureConfig()).X.iloc[0]
    unknown = [
        "tenure_days",
        "days_since_last_event",
        "last_survey_score",
        "detractor",
        "first_response_hours",
    ]
    assert values[unknown].isna().all()
    assert (values[["events_30", "complaints_90", "open_complaints"]] == 0).all()


def test_every_need_of_the_catalogue_is_a_table_or_column_of_the_contract() -> None:
    for feature in CATALOGUE:
        for need in feature.requires:
            table, _, column = need.partition(".")
            assert table in TABLES, feature.name
            assert not column or TABLES[table].column(column), feature.name


def test_the_catalogue_has_unique_names_and_sound_declarations() -> None:
    assert len({feature.name for feature in CATALOGUE}) == len(CATALOGUE)
    for feature in CATALOGUE:
        assert_sound(feature)


def assert_sound(feature: Feature) -> None:
    assert feature.monotone in (-1, 0, 1), feature.name
    assert feature.label, feature.name
    value: float | str = "x" if feature.categorical else 1.5
    assert feature.why.format(value=value), feature.name


def test_the_same_world_gives_the_same_bits() -> None:
    assert bits(compute(WHOLE, [at(250)])) == bits(compute(WHOLE, [at(250)]))
