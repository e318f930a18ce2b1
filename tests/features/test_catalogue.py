"""Which features a project gets: key features, static columns, own signals, exclusions."""

from __future__ import annotations

import pytest

from churnrisk.contract import Available
from churnrisk.errors import UsageError
from churnrisk.features import FeatureConfig, OwnFeature, clashing_columns, lasting_features, select_features
from churnrisk.records import Feature
from churnrisk.snapshots import ChurnConfig, build_panel
from tests.features.computing import compute
from tests.world import at, opened, random_world, row

WORLD = random_world(4)


def selected(config: FeatureConfig, *absent: str) -> dict[str, Feature]:
    with opened(WORLD.without(*absent)) as tables:
        return {feature.name: feature for feature in select_features(config, tables.available)}


def test_static_columns_of_accounts_are_features_and_others_are_not() -> None:
    features = selected(FeatureConfig(static=("region", "staff")))
    assert features["region"].categorical
    assert not features["staff"].categorical
    assert "staff" not in selected(FeatureConfig())


def test_static_values_are_those_of_the_account() -> None:
    frame = compute(
        WORLD, [at(300)], config=FeatureConfig(static=("region", "staff", "segment", "mrr"), exclude=("mrr",))
    )
    for account in WORLD.rows("accounts"):
        if account["account_id"] in frame.X.index.get_level_values("account_id"):
            values = frame.X.loc[(account["account_id"], at(300))]
            assert values["region"] == account["region"] or account["region"] is None
            assert values["staff"] == account["staff"] or account["staff"] is None


@pytest.mark.parametrize("name", ["nothing", "account_id", "name", "signed_up_at", "renewal_at"])
def test_columns_that_cannot_be_static_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match=rf"static names {name}; of accounts it may name .*region"):
        selected(FeatureConfig(static=(name,)))


def test_exclude_leaves_features_out_and_knows_its_names() -> None:
    assert "events_7" not in selected(FeatureConfig(exclude=("events_7",)))
    with pytest.raises(UsageError, match="exclude names event_7, which are not features"):
        selected(FeatureConfig(exclude=("event_7",)))


def test_excluding_a_feature_that_the_tables_cannot_feed_is_fine() -> None:
    assert "events_7" not in selected(FeatureConfig(exclude=("events_7",)), "events")


def test_feature_names_are_unique() -> None:
    with pytest.raises(UsageError, match="name events_7 is taken"):
        selected(FeatureConfig(own=(OwnFeature("events_7", "1"),)))
    with pytest.raises(UsageError, match="name mrr is taken"):
        selected(FeatureConfig(static=("mrr",)))


def test_a_name_of_the_catalogue_is_free_where_the_tables_cannot_feed_it() -> None:
    assert "mrr" in selected(FeatureConfig(static=("mrr",)), "subscriptions.mrr")
    assert "mrr" in selected(FeatureConfig(static=("mrr",), exclude=()), "subscriptions")


@pytest.mark.parametrize("name", ["churned", "as_of", "account_id", "grey_reason"])
def test_no_feature_may_be_called_like_a_column_beside_the_features(name: str) -> None:
    with pytest.raises(UsageError, match=f"name {name} is taken"):
        selected(FeatureConfig(own=(OwnFeature(name, "1"),)))


@pytest.mark.parametrize("name", ["Big", "with space", "7days", ""])
def test_own_names_are_plain(name: str) -> None:
    with pytest.raises(UsageError, match="lower-case"):
        OwnFeature(name, "1")


def test_an_own_direction_is_plus_or_minus_one_or_nothing() -> None:
    with pytest.raises(UsageError, match="monotone must be -1, 0 or 1; found 2"):
        OwnFeature("mine", "1", monotone=2)


def test_an_own_feature_is_computed_from_the_prepared_columns() -> None:
    own = OwnFeature("intensity", "coalesce(events_30, 0) / 30.0", unit="a day", monotone=-1)
    frame = compute(WORLD, [at(300)], config=FeatureConfig(own=(own,)))
    assert frame.X["intensity"].tolist() == pytest.approx((frame.X["events_30"] / 30).tolist())
    feature = own.declare()
    assert (feature.family, feature.monotone, feature.label) == ("own", -1, "intensity")
    assert feature.why.format(value=2.0) == "Intensity is 2"


def test_an_own_feature_over_a_column_that_is_not_there_is_one_clear_error() -> None:
    config = FeatureConfig(own=(OwnFeature("mine", "no_such_column + 1"),))
    with pytest.raises(UsageError, match=r"SQL does not run: .*no_such_column.*churnrisk.toml"):
        compute(WORLD, [at(300)], config=config)


def test_key_features_with_quotes_and_spaces_work() -> None:
    rows = [event | {"feature": 'it\'s "new" {x}'} for event in WORLD.rows("events")]
    world = WORLD.with_rows(events=rows)
    frame = compute(world, [at(450)], config=FeatureConfig(key_features=('it\'s "new" {x}',)))
    assert frame.X['days_since_it\'s "new" {x}'].equals(
        frame.X["days_since_last_event"].rename('days_since_it\'s "new" {x}')
    )


def test_own_attribute_columns_are_features_with_readable_labels() -> None:
    features = selected(FeatureConfig())
    assert features["tier"].categorical
    assert features["load"].label == "load"
    assert features["load"].family == "attributes"


def test_a_column_called_like_a_signal_is_named_with_its_new_name() -> None:
    there = {
        "accounts": ("account_id", "segment"),
        "attributes": ("account_id", "valid_from", "Tenure_Days", "churned", "segment", "fine"),
    }
    available = Available(there, {})
    found = {
        (one.table, one.column): one
        for one in clashing_columns(FeatureConfig(static=("segment",)), available)
    }
    assert set(found) == {
        ("attributes", "Tenure_Days"),
        ("attributes", "churned"),
        ("attributes", "segment"),
        ("accounts", "segment"),
    }
    assert (
        'my_Tenure_Days = "Tenure_Days" under [tables.attributes.columns]'
        in found["attributes", "Tenure_Days"].fix
    )
    assert not clashing_columns(FeatureConfig(exclude=("Tenure_Days", "churned", "segment")), available)


@pytest.mark.parametrize(
    ("dates", "dated_back"),
    [
        ({"A0": [0], "A1": [100], "A2": [200]}, True),
        ({"A0": [-50], "A1": [-50], "A2": [-50]}, True),
        ({"A0": [0], "A1": [130], "A2": [201]}, False),
        ({"A0": [0, 30], "A1": [100, 160], "A2": [200, 230]}, False),
    ],
    ids=["at sign-up", "on one day", "later", "a history"],
)
def test_attributes_with_one_row_from_the_start_on_are_dated_back(
    dates: dict[str, list[int]], dated_back: bool
) -> None:
    accounts = [row("accounts", account_id=name, signed_up_at=at(100 * int(name[1:]))) for name in dates]
    facts = [
        row("attributes", account_id=name, valid_from=at(day), tier="gold", load=1.0)
        for name, days in dates.items()
        for day in days
    ]
    world = WORLD.with_rows(accounts=accounts, attributes=facts)
    with opened(world) as tables:
        build_panel(tables, ChurnConfig(), [at(250)], data_end=at(300))
        features = select_features(FeatureConfig(static=("region",)), tables.available)
        found = lasting_features(tables, features)
    assert ("tier" in found) == dated_back
    assert "region" in found
    assert "events_7" not in found
