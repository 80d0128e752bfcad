"""File names of pages."""

from __future__ import annotations

from flowgauge.leaderboards.site.page_names import PageNames


def test_each_key_has_a_name_of_its_own() -> None:
    names = PageNames()
    given = [names.of("a", "b c"), names.of("a b", "c"), names.of("a-b-c"), names.of("a", "b c")]
    assert given == ["a-b-c", "a-b-c-2", "a-b-c-3", "a-b-c"]


def test_names_are_safe_and_short() -> None:
    names = PageNames()
    assert names.of("../../etc", "<script>") == "etc-script"
    long = [names.of("x" * 300 + end) for end in "ab"]
    assert long == ["x" * 80, "x" * 80 + "-2"]
