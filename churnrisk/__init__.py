"""churnrisk: raw customer tables in, a red list with reasons and next steps out.

>>> import churnrisk as cr
>>> sorted(dir(cr))  # doctest: +NORMALIZE_WHITESPACE
['ChurnClassifier', 'ChurnRiskError', 'OpenProject', 'PanelSplit', 'RecencyRule', 'Signal', 'TrafficLight',
 '__version__', 'evaluate', 'explain', 'load']

Names load on first use, because pandas and scikit-learn take more than a second to import.
"""

import lazy_loader

__version__ = "0.2.0"

__getattr__, _dir, _names = lazy_loader.attach_stub(__name__, __file__)
__all__ = [*_names, "__version__"]


def __dir__() -> list[str]:
    return sorted(__all__)
