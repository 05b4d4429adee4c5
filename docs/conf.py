"""Sphinx's configuration: `make docs` builds the site into build/docs, without the network."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))

import headtohead

project = "headtohead"
author = "the headtohead authors"
copyright = author  # noqa: A001  # Sphinx's name for it
version = release = headtohead.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "site_pages"]
exclude_patterns = ["ledgers/**", "article/**", "figures/**"]
myst_heading_anchors = 4
nitpicky = True
# Types of other libraries, and of this one that have no page: the site links to none of them.
nitpick_ignore_regex = [("py:.*", ".*")]
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True}

html_theme = "pydata_sphinx_theme"
html_title = "headtohead"
html_show_sourcelink = False
html_copy_source = False
html_show_sphinx = False
html_show_search_summary = False  # it fetches pages, which no browser allows from a disk
html_sidebars = {"index": [], "start": []}
html_theme_options = {
    "logo": {"text": "headtohead"},
    "navbar_align": "left",
    "header_links_before_dropdown": 7,
    "show_prev_next": True,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
}
