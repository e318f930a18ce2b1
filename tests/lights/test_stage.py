import numpy as np
import pandas as pd

from churnrisk.lights import lifecycle_stage


def test_the_stage_follows_tenure_first_and_then_the_last_answer():
    tenure = pd.Series([10, 89, 90, 400, 400, np.nan], index=list("abcdef"))
    score = pd.Series([10, 3, np.nan, 9, 8, 10], index=tenure.index)
    stages = ["adopter", "adopter", "loyalist", "advocate", "loyalist", "advocate"]
    assert lifecycle_stage(tenure, score).to_dict() == dict(zip("abcdef", stages, strict=True))
