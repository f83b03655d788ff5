"""Sphinx configuration; nothing is fetched from the network."""

from pathlib import Path

import rsciio_xfm
from rsciio_xfm._register import read_specifications

project = "rsciio_xfm"
author = "The rsciio_xfm developers"
release = version = rsciio_xfm.__version__
extensions = [
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosectionlabel",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]
html_theme = "pydata_sphinx_theme"
html_title = "rsciio_xfm"
html_theme_options = {"secondary_sidebar_items": ["page-toc"], "show_prev_next": False}
html_show_sourcelink = False
autosectionlabel_prefix_document = True
autodoc_typehints = "signature"
numpydoc_show_class_members = False
copybutton_prompt_text = ">>> |$ "
copybutton_prompt_is_regexp = True


def write_format_table(app):
    """Make the table of formats from what RosettaSciIO is told about each."""
    rows = [
        ".. This file is made by conf.py from the formats' specifications.yaml.",
        "",
        ".. list-table::",
        "   :header-rows: 1",
        "",
        "   * - Format",
        "     - Extension",
        "     - Read",
        "     - Write",
        "     - Lazy",
        "     - Distributed",
        "     - Source of the facts",
    ]
    for s in read_specifications():
        folder = s["api"].rsplit(".", 1)[-1]
        yes_no = [
            "yes" if flag else "no"
            for flag in (True, s["writes"], s["lazy"], s["distributed"])
        ]
        cells = [
            f":doc:`{s['name']} <{folder}>`",
            f"``.{s['file_extensions'][s['default_extension']]}``",
            *yes_no,
            s["source"],
        ]
        rows += [f"   {'* ' if i == 0 else '  '}- {c}" for i, c in enumerate(cells)]
    table = Path(app.srcdir, "formats", "_table.txt")
    table.write_text("\n".join(rows) + "\n", encoding="utf-8")


def setup(app):
    app.connect("builder-inited", write_format_table)
