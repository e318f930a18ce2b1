import numpy as np
import pandas as pd

from churnrisk.decision import lifecycle_stage


def test_the_stage_follows_tenure_first_and_then_the_last_answer():
    X = pd.DataFrame(
        {"tenure_days": [10, 89, 90, 400, 400, np.nan], "last_survey_score": [10, 3, np.nan, 9, 8, 10]}
    )
    stages = ["adopter", "adopter", "loyalist", "advocate", "loyalist", None]
    assert lifecycle_stage(X).tolist() == stages


def test_without_a_tenure_no_stage_is_claimed():
    assert lifecycle_stage(pd.DataFrame({"last_survey_score": [10]})).tolist() == [None]


def test_without_surveys_nobody_is_an_advocate():
    assert lifecycle_stage(pd.DataFrame({"tenure_days": [400]})).tolist() == ["loyalist"]
