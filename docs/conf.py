"""The site: the pages of the repository as they lie, the notebooks with their outputs, the reference.

Built by `make docs` with the repository as source folder, so that links between pages are the same here and there.
"""

from __future__ import annotations

from importlib.metadata import version as installed
from typing import Any

project = "churnrisk"
release = installed("churnrisk")
extensions = ["myst_nb", "numpydoc", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]

root_doc = "README"
include_patterns = ["*.md", "docs/*.md", "docs/**/*.md", "notebooks/*", "models/*.md"]
exclude_patterns = ["build/**", ".venv*/**", "**/.ipynb_checkpoints"]

myst_heading_anchors = 3
nb_execution_mode = "off"  # the outputs are those that the test of the notebooks has seen

numpydoc_show_class_members = False
autodoc_typehints = "none"  # numpydoc writes the types down
autodoc_member_order = "bysource"

html_theme = "pydata_sphinx_theme"
html_title = "churnrisk"
html_sidebars = {"**": ["globaltoc.html"]}  # all pages, on every page
html_theme_options = {
    "navbar_center": [],
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "show_toc_level": 2,
}
html_show_sourcelink = False

CONTENTS = """

```{toctree}
:hidden:
:caption: Pages
:glob:
docs/*
```

```{toctree}
:hidden:
:caption: Notebooks
:glob:
notebooks/0*
```

```{toctree}
:hidden:
:caption: Reference
:glob:
docs/reference/*
```

```{toctree}
:hidden:
:caption: Inside
:glob:
CHANGELOG
CONTRIBUTING
models/README
notebooks/README
docs/decisions/*
```
"""


def add_contents(app: Any, name: str, source: list[str]) -> None:
    """Put the table of contents under the README, which has none of its own."""
    if name == root_doc:
        source[0] += CONTENTS


def setup(app: Any) -> None:
    """Connect what this site adds to Sphinx."""
    app.connect("source-read", add_contents)
