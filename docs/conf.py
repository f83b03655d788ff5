"""Sphinx configuration; nothing is fetched from the network."""

import re
import shutil
import sys
import warnings
from pathlib import Path

import bs4
import hyperspy.api as hs
from sphinx_gallery.sorting import ExplicitOrder

import rsciio_xfm

project = "rsciio_xfm"
author = "The rsciio_xfm developers"
release = version = rsciio_xfm.__version__
extensions = [
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosectionlabel",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "examples", "new_format", "notebooks"]
html_theme = "pydata_sphinx_theme"
html_title = "rsciio_xfm"
html_theme_options = {
    "navbar_center": [],
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": False,
    "search_bar_text": "An element, a format, an option ...",
    "footer_end": [],
}
# Every page has the side bar with all sections.
html_sidebars = {"**": ["sections.html"]}
templates_path = ["_templates"]
html_math_renderer = "mathml"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
autosectionlabel_prefix_document = True
autodoc_typehints = "signature"
toc_object_entries_show_parents = "hide"
viewcode_follow_imported_members = False
numpydoc_show_class_members = False
copybutton_prompt_text = ">>> |$ "
copybutton_prompt_is_regexp = True

# The examples run beside the files that they make: not among the sources.
_docs = Path(__file__).parent
_examples = _docs / "_build" / "examples"
shutil.rmtree(_examples, ignore_errors=True)
shutil.copytree(_docs / "examples", _examples)
sphinx_gallery_conf = {
    "examples_dirs": str(_examples),
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    "within_subsection_order": ExplicitOrder(
        [
            "element_maps.py",
            "concentrations.py",
            "regions.py",
            "classes.py",
            "embedding.py",
            "colours.py",
            "dead_time.py",
            "solder_joint.py",
            "painting.py",
            "lazy.py",
            "cluster.py",
            "other_programs.py",
            "flatfield.py",
        ]
    ),
    "copyfile_regex": r".*GALLERY_HEADER\.rst",
    "image_scrapers": ("matplotlib",),
    "capture_repr": ("_repr_html_", "__repr__"),
    "abort_on_example_error": True,
    "remove_config_comments": True,
    "show_memory": False,
    "write_computation_times": False,
    "min_reported_time": 1000,
}
# Progress bars and the deprecations of other packages are not for the pages.
hs.preferences.General.show_progressbar = False
warnings.simplefilter("ignore")


def write_generated(app):
    """Write the parts of pages that are made from the package."""
    import generated

    generated.write(Path(app.srcdir))


def fit_tables(app, pagename, templatename, context, doctree):
    """Make tables fit: long names of what is in a file may be broken at their parts.

    In a table of class `cards` cells say what their column is, for small screens.
    """
    if "<table" not in context.get("body", ""):
        return
    soup = bs4.BeautifulSoup(context["body"], "html.parser")
    for text in soup.select("table code .pre"):
        parts = re.split(r"(?<=[/_|.)>])(?=\w|[<(*])", text.get_text())
        text.clear()
        text.append(parts[0])
        for part in parts[1:]:
            text.extend([soup.new_tag("wbr"), part])
    for table in soup.select("table.cards"):
        titles = [th.get_text(" ", strip=True) for th in table.select("thead th")]
        for row in table.select("tbody tr"):
            for title, cell in zip(titles, row.find_all(["td", "th"]), strict=True):
                cell["data-label"] = title
                if not cell.get_text(strip=True):
                    cell["class"] = [*cell.get("class", []), "empty"]
    context["body"] = str(soup)


def setup(app):
    sys.path.insert(0, str(app.confdir))
    import formulas

    formulas.add_renderer(app)
    app.connect("builder-inited", write_generated)
    app.connect("html-page-context", fit_tables)
