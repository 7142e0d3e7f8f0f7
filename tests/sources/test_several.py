from __future__ import annotations

import pytest

from abkit.errors import SourceUnreachable
from abkit.sources.base import Source
from abkit.sources.labelled import LabelledSource
from abkit.sources.several import SeveralSources
from abkit.window import Window
from tests.sources.data import MemorySource, Series, fetched

WINDOW = Window(0, 100)


def _cluster(name: str, *points: tuple[int, float], **labels: str) -> LabelledSource:
    return LabelledSource(MemorySource([Series({"__name__": "a", "pod": "p-0"} | labels, points)]), {"cluster": name})


def test_the_same_series_of_two_clusters_are_two() -> None:
    both = SeveralSources([_cluster("east", (1, 1.0)), _cluster("west", (1, 5.0))])
    assert fetched(both, "a", WINDOW) == {
        '{"__name__":"a","cluster":"east","pod":"p-0"}': [(1, 1.0)],
        '{"__name__":"a","cluster":"west","pod":"p-0"}': [(1, 5.0)],
    }


def test_a_label_that_a_series_has_itself_is_kept_beside_it() -> None:
    assert fetched(_cluster("east", (1, 1.0), cluster="mine"), "a", WINDOW) == {
        '{"__name__":"a","cluster":"east","exported_cluster":"mine","pod":"p-0"}': [(1, 1.0)]
    }


@pytest.mark.parametrize(
    ("selector", "clusters"),
    [
        ('a{cluster="west"}', {"west"}),
        ('a{cluster!="west"}', {"east"}),
        ('a{cluster=~"w.*|e.*",pod="p-0"}', {"east", "west"}),
        ('a{cluster=~"w.*|e.*",pod="p-1"}', set()),
        ('a{cluster=""}', set()),
    ],
)
def test_selectors_see_added_labels(selector: str, clusters: set[str]) -> None:
    both = SeveralSources([_cluster("east", (1, 1.0)), _cluster("west", (1, 5.0))])
    assert {labels["cluster"] for batch in both.fetch(selector, WINDOW) for labels in batch.labels} == clusters


def test_the_server_is_not_asked_for_labels_that_it_does_not_know() -> None:
    server = MemorySource([])
    list(LabelledSource(server, {"cluster": "east"}).fetch('a{cluster="east", x=~"1|\\"2\\n"}', WINDOW))
    list(LabelledSource(server, {"cluster": "east"}).fetch('a{x="1"}', WINDOW))
    assert [selector for selector, _ in server.asked] == ['a{x=~"1|\\"2\\n"}', 'a{x="1"}']


def test_one_that_fails_fails_all() -> None:
    class Broken(MemorySource):
        def fetch(self, selector: str, window: Window):  # type: ignore[no-untyped-def]
            msg = "west: gone"
            raise SourceUnreachable(msg)

    with pytest.raises(SourceUnreachable, match="west: gone"):
        list(SeveralSources([_cluster("east", (1, 1.0)), Broken([])]).fetch("a", WINDOW))


def test_what_they_say_of_themselves() -> None:
    class File(MemorySource):
        name = "file"
        way = "recording"

        def span(self) -> Window:
            return WINDOW

    sources: list[Source] = [File([], ("late",)), MemorySource([], ("partial",))]
    both = SeveralSources(sources)
    assert (both.name, both.way) == ("file and memory", "recording and memory")
    assert both.warnings == ("file: late", "memory: partial")
    assert both.span() is None
    assert SeveralSources(sources[:1]).span() == WINDOW
