"""The words that say what a plug-in needs."""

import pytest

from flowgauge.core.errors import UsageError
from flowgauge.core.needs import NEEDS, check_needs
from flowgauge.metrics.registry import METRICS, metric


def test_words_are_returned_as_a_set():
    assert check_needs("method", "mine", ()) == frozenset()
    assert check_needs("method", "mine", "target") == {"target"}
    assert check_needs("metric", "mine", list(NEEDS)) == set(NEEDS) == {"transformer", "target", "path_samples", "training"}


@pytest.mark.parametrize(
    ("word", "remedy"),
    [
        ("layered", "leave it out.*'transformer' where a transformer is needed"),
        ("gradients", "leave it out"),
        ("attention", "the word is 'transformer' now"),
        ("path", "the word is 'path_samples' now"),
        ("torch", "the words are transformer, target, path_samples, training"),
    ],
)
def test_other_words_are_refused_with_a_remedy(word: str, remedy: str):
    with pytest.raises(UsageError, match=f"method 'mine' declares needs='{word}'.*{remedy}"):
        check_needs("method", "mine", {"transformer", word})


def test_metrics_use_the_same_words():
    with pytest.raises(UsageError, match="metric 'mine' declares needs='path': the word is 'path_samples' now"):
        metric("mine", reads="tokens", higher_is_better=True, unit="share", needs={"path"})
    assert METRICS.create("random_rank").needs == {"transformer", "path_samples"}
