import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from churnrisk.model import ChurnClassifier, FrameEncoder

pytestmark = pytest.mark.slow

# scikit-learn's checks fit on 10 to 300 rows, some with a single row of a class; a churn model refuses so
# few by default, hence min_class_count=1. Few trees keep the checks short and touch every candidate.
SMALL = {"min_class_count": 1, "max_iter": 20, "n_splits": 2}


@parametrize_with_checks(
    [
        ChurnClassifier(**SMALL),
        ChurnClassifier(candidates=("logistic",), **SMALL),
        ChurnClassifier(candidates=("full",), **SMALL),
        FrameEncoder(),
    ]
)
def test_estimators_keep_the_conventions_of_scikit_learn(estimator, check):
    check(estimator)


def test_a_model_of_too_few_churners_is_refused_by_default():
    with pytest.raises(ValueError, match="at least 10 churned"):
        ChurnClassifier().fit([[float(i)] for i in range(40)], [1] * 5 + [0] * 35)
