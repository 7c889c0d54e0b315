"""How the documentation is built: ``python -m sphinx -W docs docs/_build``."""

project = "cytoflow-car"
author = "The cytoflow-car developers"
copyright = "The cytoflow-car developers"

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "cytoflow-car"
html_static_path = ["_static"]
nitpicky = True
