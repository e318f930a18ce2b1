"""An override ends without a trace: hysteresis goes on from what the model and the rules had said."""

import numpy as np
import pandas as pd
import pytest

from churnrisk.lights import TrafficLight, decide

LIGHT = TrafficLight("fixed", amber_from=0.1, red_from=0.5).fit([0.1, 0.9], [0, 1])


def after(p, *, shown, raw, decided_by="override", **settings):
    ids = pd.Index(["a"], name="account_id")
    previous = pd.DataFrame({"colour": shown, "raw_colour": raw, "decided_by": decided_by}, index=ids)
    return decide(np.array([p]), pd.DataFrame(index=ids), light=LIGHT, previous=previous, **settings).iloc[0]


def test_a_red_that_a_person_had_set_does_not_hold_an_amber_back():
    assert after(0.49, shown="red", raw="amber")["colour"] == "amber"
    assert after(0.49, shown="red", raw="red", decided_by="model")["colour"] == "red"


def test_a_green_that_a_person_had_set_does_not_let_a_red_go():
    row = after(0.49, shown="green", raw="red")
    assert (row["colour"], row["decided_by"]) == ("red", "hysteresis")


@pytest.mark.parametrize("shown", ["green", "amber", "red"])
@pytest.mark.parametrize("p", [0.05, 0.099, 0.3, 0.49, 0.9])
@pytest.mark.parametrize("raw", ["green", "amber", "red"])
def test_the_colour_after_an_override_does_not_depend_on_the_override(shown, p, raw):
    without = after(p, shown=raw, raw=raw, decided_by="model")
    assert after(p, shown=shown, raw=raw)["colour"] == without["colour"]


def test_an_override_in_force_stays_whatever_hysteresis_says():
    overrides = pd.Series(["green"], index=["a"])
    assert after(0.9, shown="green", raw="red", overrides=overrides)["decided_by"] == "override"
