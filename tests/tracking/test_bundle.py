"""A bundle comes back as it was written, or not at all."""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version as installed
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pandas as pd
import pytest
import skops.io
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from churnrisk.errors import NoChampionError, UsageError
from churnrisk.tracking import StoredModel, Tracking, TrainingRecord, build, is_bundle, pack, unpack

Panel = tuple[pd.DataFrame, np.ndarray]


class Marks:
    """Writes a file when a pickle of it is opened."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return (open, (str(self.marker), "w"))


@pytest.fixture(scope="module")
def stored() -> StoredModel:
    model = LogisticRegression().fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1])
    documents = {
        "policy.json": {"amber_from": 0.1},
        "profile.json": {"a": 1.5},
        "features.json": [{"name": "ä"}],
    }
    return StoredModel(
        model=skops.io.dumps(model),
        documents=documents,
        texts={"model_card.md": "# Card\n"},
        versions={"python": "3.11.7", "scikit-learn": installed("scikit-learn")},
        version=3,
        run_id="abc",
        tags={"seed": "7"},
    )


@pytest.fixture(scope="module")
def content(stored: StoredModel) -> bytes:
    return pack(stored, project="acme")


def refusal(content: bytes) -> str:
    with pytest.raises(UsageError) as refused:
        unpack(content, name="churn.joblib")
    return str(refused.value)


@pytest.mark.slow
def test_a_logged_model_comes_back_from_its_bundle_with_the_same_probabilities(
    project: Tracking,
    make_record: Callable[..., TrainingRecord],
    panel: Panel,
    boosting: HistGradientBoostingClassifier,
) -> None:
    project.log_training(make_record())
    bundle = unpack(pack(project.stored("candidate"), project="demo"), name="b")
    loaded = build(bundle, name="b").load()

    np.testing.assert_array_equal(loaded.classifier.predict_proba(panel[0]), boosting.predict_proba(panel[0]))
    assert loaded.documents == project.load("candidate").documents
    assert (loaded.version, loaded.tags) == (1, {"data_digest": "abc", "seed": "7"})
    assert bundle.stored.texts == {"model_card.md": "# Model card\nWho, what, how good.\n"}
    named = {"python", "scikit-learn", "numpy", "pandas", "skops", "churnrisk"}
    assert named <= set(bundle.stored.versions)


def test_the_same_model_gives_the_same_bytes(stored: StoredModel, content: bytes) -> None:
    assert pack(stored, project="acme") == content
    assert unpack(content, name="b").stored == stored
    assert pack(replace(stored, version=4), project="acme") != content


@given(data=st.data())
def test_a_bundle_altered_by_one_byte_anywhere_is_refused(content: bytes, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(content) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != content[place]))
    refusal(content[:place] + bytes([other]) + content[place + 1 :])


def test_every_byte_of_the_first_line_and_of_the_end_counts(content: bytes) -> None:
    first_line = content.index(b"\n") + 1
    for place in (*range(first_line + 60), *range(len(content) - 60, len(content))):
        refusal(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])


@given(data=st.data())
def test_a_bundle_cut_short_or_longer_is_refused(content: bytes, data: st.DataObject) -> None:
    refusal(content[: data.draw(st.integers(0, len(content) - 1))])
    refusal(content + data.draw(st.binary(min_size=1, max_size=40)))


@given(st.binary(max_size=300))
def test_other_files_are_no_bundles(other: bytes) -> None:
    assert "is none" in refusal(other)
    assert not is_bundle(other)


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    marker = tmp_path / "opened"
    assert "is none" in refusal(pickle.dumps(Marks(marker)))
    assert not marker.exists()


def test_a_pickle_in_the_place_of_the_model_is_never_opened(stored: StoredModel, tmp_path: Path) -> None:
    marker = tmp_path / "opened"
    bundle = unpack(pack(replace(stored, model=pickle.dumps(Marks(marker))), project="acme"), name="b")
    with pytest.raises(UsageError, match="cannot be read"):
        build(bundle, name="b")
    assert not marker.exists()


def test_a_bundle_that_vouches_for_itself_still_meets_the_allow_list(stored: StoredModel) -> None:
    foreign = replace(stored, model=skops.io.dumps(Path("x").joinpath))
    with pytest.raises(UsageError, match="types that churnrisk does not trust"):
        build(unpack(pack(foreign, project="acme"), name="b"), name="b")


def test_another_minor_version_of_scikit_learn_is_refused_with_both_versions(stored: StoredModel) -> None:
    old = replace(stored, versions={"scikit-learn": "1.2.7"})
    said = refusal(pack(old, project="acme"))
    assert "trained with scikit-learn 1.2.7" in said
    assert installed("scikit-learn") in said


def test_a_correction_of_scikit_learn_is_taken(stored: StoredModel) -> None:
    near = ".".join([*installed("scikit-learn").split(".")[:2], "99"])
    bundle = unpack(pack(replace(stored, versions={"scikit-learn": near}), project="acme"), name="b")
    assert build(bundle, name="b").load().version == 3


def test_a_bundle_that_does_not_say_its_versions_is_refused(stored: StoredModel) -> None:
    assert "scikit-learn unknown" in refusal(pack(replace(stored, versions={}), project="acme"))


def test_a_newer_format_is_refused_with_what_to_do(content: bytes) -> None:
    said = refusal(content.replace(b"bundle 1 ", b"bundle 2 ", 1))
    assert "says format 2" in said
    assert "Score with the churnrisk that wrote it" in said


@pytest.mark.parametrize("name", ["policy.json", "profile.json", "features.json"])
def test_a_bundle_without_what_scoring_needs_is_refused(stored: StoredModel, name: str) -> None:
    fewer = {key: value for key, value in stored.documents.items() if key != name}
    assert f"lacks {name}" in refusal(pack(replace(stored, documents=fewer), project="acme"))


def test_a_bundle_holds_its_one_version_only(content: bytes) -> None:
    held = build(unpack(content, name="b"), name="b")
    assert held.load("champion") is held.load(3) is held.load("3")
    with pytest.raises(NoChampionError, match="holds model version 3 only, not 2"):
        held.load("2")


def test_people_can_look_into_a_bundle_with_any_zip_tool(content: bytes) -> None:
    with ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        assert archive.read("model_card.md") == b"# Card\n"
        assert json.loads(archive.read("bundle.json"))["project"] == "acme"
