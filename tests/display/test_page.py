"""The page of an explained text, parsed: what is shaded, escaped, labelled and shown by which tab."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from flowgauge.core.errors import UsageError
from flowgauge.display.page import explained_html, write_page
from flowgauge.methods.explanation import Explanation

from .conftest import EDGES, HEADS, NODES, TOKENS

VOID = {"input", "img", "meta", "br"}


class Page(HTMLParser):
    """The elements of a page; fails where tags are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[dict[str, str]] = []
        self.open: list[dict[str, str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        element = {"tag": tag, "text": "", **{name: value or "" for name, value in attrs}}
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag):
        assert self.open.pop()["tag"] == tag

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data

    def all(self, tag, **attributes):
        return [e for e in self.elements if e["tag"] == tag and all(v in e.get(k, "") for k, v in attributes.items())]


def test_words_are_shaded_with_their_scores_below(by_hand):
    page = Page(explained_html(by_hand(saliency=TOKENS), "x"))
    words = page.all("span", **{"class": "fg-score"})
    assert [(w["text"], w["class"], w["style"]) for w in words] == [
        ("[CLS]", "fg-score fg-none", "--s:0.0"), ("unhappy", "fg-score fg-for", "--s:1.0"),
        ("[MASK]", "fg-score fg-against", "--s:0.5"), (".", "fg-score fg-for", "--s:0.083"),
        ("[SEP]", "fg-score fg-none", "--s:0.0"),
    ]  # fmt: skip
    assert [n["text"] for n in page.all("span", **{"class": "fg-number"})] == ["0.00", "+3.00", "-1.50", "+0.25", "0.00"]


def test_texts_are_escaped_everywhere(by_hand):
    evil = "<script>alert(1)</script> [MASK] \"'&"
    explained = by_hand(text=evil, notes=(f"It does not know {evil}.",), **{"<b>mine": EDGES, "saliency": TOKENS})
    html = explained_html(explained)
    page = Page(html)
    assert page.all("script") == [] and page.all("b") == []
    assert not any(name.startswith("on") for element in page.elements for name in element)
    assert "<script>alert(1)</script>" in page.all("span", **{"class": "fg-score"})[1]["text"]


def test_nothing_is_loaded_from_outside(by_hand, tmp_path):
    write_page(by_hand(saliency=TOKENS, mine=EDGES), tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    page = Page(text)
    sources = [element[name] for element in page.elements for name in ("src", "href") if name in element]
    assert len(sources) == 1 and all(source.startswith("data:image/svg+xml;base64,") for source in sources)
    assert "url(" not in text and "@import" not in text and page.all("script") == []
    assert page.all("html")[0]["lang"] == "en" and page.all("title")[0]["text"] == "unhappy [MASK] ."


def test_every_tab_has_a_label_and_a_panel_that_it_shows(by_hand):
    both = Explanation(tokens=TOKENS.tokens, nodes=NODES.nodes)
    html = explained_html(by_hand(both=both, heads=HEADS, edges=EDGES), "x")
    page = Page(html)
    tabs, labels = page.all("input", type="radio"), page.all("label")
    assert [label["text"] for label in labels] == ["Words", "Nodes", "Heads", "Edges", "Graphs"]
    assert [label["for"] for label in labels] == [tab["id"] for tab in tabs] and len({tab["name"] for tab in tabs}) == 1
    assert ["checked" in tab for tab in tabs] == [True, False, False, False, False]
    panels = page.all("section")
    assert [panel["aria-label"] for panel in panels] == [label["text"] for label in labels]
    for tab, panel in zip(tabs, panels, strict=True):
        shown = panel["class"].split()[-1]
        assert f"#x .fg-tabs:has(> #{tab['id']}:checked) > .{shown} {{ display: block; }}" in html
    assert all(image["alt"] for image in page.all("img"))
    assert page.all("fieldset") and page.all("legend")[0]["text"] == "What is shown"


@pytest.mark.parametrize(("explanation", "first"), [(HEADS, "Heads"), (NODES, "Nodes"), (EDGES, "Heads")])
def test_a_method_without_words_opens_with_what_it_has(by_hand, explanation, first):
    page = Page(explained_html(by_hand(mine=explanation)))
    assert page.all("label")[0]["text"] == first
    assert [cell["text"] for cell in page.all("td") if re.search(r"[1-9]", cell["text"])]


def test_two_pages_of_one_document_share_no_identifier(by_hand):
    explained = by_hand(saliency=TOKENS)
    ids = [{e["id"] for e in Page(explained_html(explained)).elements if "id" in e} for _ in range(2)]
    assert ids[0] and not ids[0] & ids[1]
    assert explained_html(explained, "x") == explained_html(explained, "x")


def test_light_and_dark_follow_system_and_notebook(by_hand):
    html = explained_html(by_hand(saliency=TOKENS))
    for place in ("prefers-color-scheme: dark", '[data-jp-theme-light="false"]', '[data-jp-theme-light="true"]', "slate"):
        assert place in html


def test_a_file_that_cannot_be_written_is_refused(by_hand, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="choose another file with --html"):
        write_page(by_hand(saliency=TOKENS), tmp_path / "file" / "page.html")
