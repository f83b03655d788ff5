"""Reads a page as a browser does, and tells what it holds and what it would fetch."""

import re
from html.parser import HTMLParser

VOID = {"br", "img", "link", "meta", "input", "hr"}


class Page(HTMLParser):
    """A page of HTML: its tags, which close, its text, its tables and what they name.

    Attributes
    ----------
    attributes
        Tag, name and value of each attribute.
    tables
        Rows of texts, of each table.
    """

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.attributes, self.tables, self.texts = [], [], []
        self.headings, self.style, self.tags = [], "", []
        self._open = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if "style" in self._open:
            self.style += data
            return
        if self._open and self._open[-1] in ("h1", "h2"):
            self.headings.append(data)
        if {"td", "th"} & set(self._open):
            self.tables[-1][-1][-1] += data
        self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())

    @property
    def bare(self):
        """The text without spaces, which are between thousands too."""
        return "".join(self.text.split())

    def values(self, name):
        return [value for _, own, value in self.attributes if own == name]

    def check_alone(self):
        """Nothing is run or fetched."""
        assert not {"script", "iframe", "object", "link", "embed"} & set(self.tags)
        assert not [name for _, name, _ in self.attributes if name.startswith("on")]
        assert all(
            value.startswith("data:image/png;base64,") for value in self.values("src")
        )
        ids = set(self.values("id"))
        assert all(value[:1] == "#" and value[1:] in ids for value in self.values("href"))
        assert len(ids) == len(self.values("id"))
        assert not re.search(r"url\(|@import|https?:", self.style)
        assert all(value for tag, name, value in self.attributes if name == "alt")
