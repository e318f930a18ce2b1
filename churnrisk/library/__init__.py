"""The data scientist's door: what ``import churnrisk`` offers, in the manner of scikit-learn.

Every name is offered by :mod:`churnrisk` itself and loads on first use; docs/api.md shows all of it on one page.
"""
