"""The six agreement tasks: templates, agreement by construction, sampling, ids."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowgauge.core.errors import NoSplit, UnknownName, UsageError
from flowgauge.tasks.agreement import AgreementTask, capacity, decode, flipped, numbered, sentence
from flowgauge.tasks.instance import Quantity, Task
from flowgauge.tasks.lexicon import ATTRACTOR, SUBJECT, noun_pairs_of_tests, templates
from flowgauge.tasks.registry import TASKS

NAMES = ("sva/obj", "sva/subj", "sva/wsc", "sva/app", "ra/na", "ra/ga")
NUMBER, GENDER = ("SS", "SP", "PS", "PP"), ("MM", "MF", "FF", "FM")
SHAPES = {"sva/obj": (11, 7), "sva/subj": (11, 7), "sva/wsc": (10, 6), "sva/app": (11, 7), "ra/na": (11, 8), "ra/ga": (13, 10)}
"""Tokens with [CLS] and [SEP], and the position of [MASK]."""
SLOTS = {
    "sva/obj": "the1 SUBJ that the2 ATTR EVERB [MASK] ADJ .",
    "sva/subj": "the1 SUBJ that EVERB the2 ATTR [MASK] ADJ .",
    "sva/wsc": "the1 ATTR BVERB the2 SUBJ [MASK] ADJ .",
    "sva/app": "the1 SUBJ PREP1 PREP2 the2 ATTR [MASK] ADJ .",
    "ra/na": "the1 SUBJ that the2 ATTR EVERB RVERB [MASK] .",
    "ra/ga": "DET1 SUBJ who MODAL1 VERB1 DET2 ATTR MODAL2 VERB2 [MASK] .",
}
EXAMPLES = [
    ("sva/obj/SP/author-guard-like-tall", "the author that the guards like [MASK] tall .", "is", "are"),
    ("sva/obj/PS/author-guard-like-tall", "the authors that the guard likes [MASK] tall .", "are", "is"),
    ("sva/subj/SP/pilot-hate-chef-old", "the pilot that hates the chefs [MASK] old .", "is", "are"),
    ("sva/subj/PS/pilot-hate-chef-old", "the pilots that hate the chef [MASK] old .", "are", "is"),
    ("sva/wsc/SP/banker-said-farmer-short", "the bankers said the farmer [MASK] short .", "is", "are"),
    ("sva/app/PS/senator-across from-skater-young", "the senators across from the skater [MASK] young .", "are", "is"),
    ("ra/na/SP/officer-parent-love-hurt", "the officer that the parents love hurt [MASK] .", "himself", "themselves"),
    ("ra/na/PP/officer-parent-love-hurt", "the officers that the parents love hurt [MASK] .", "themselves", "himself"),
    ("ra/ga/FM/her-witch-can-hit-his-king-may-dress", "her witch who can hit his king may dress [MASK] .", "herself", "himself"),
]


def test_there_are_six_tasks_and_the_names_are_the_registered_ones() -> None:
    assert tuple(templates()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_sentence_has_the_tokens_slots_and_gap_of_its_template(name: str) -> None:
    tokens, gap = SHAPES[name]
    for instance in AgreementTask(name, 20).instances():
        words = ["[CLS]", *instance.segments[0].split(), "[SEP]"]
        assert (len(words), words.index("[MASK]"), words.count("[MASK]")) == (tokens, gap, 1)
        assert " ".join(instance.slots) == SLOTS[name]


@pytest.mark.parametrize(("name", "text", "good", "bad"), EXAMPLES)
def test_words_agree_with_their_nouns(name: str, text: str, good: str, bad: str) -> None:
    group, kind, condition, words = name.split("/")
    template = templates()[f"{group}/{kind}"]
    made = sentence(template, condition, dict(zip(template.slots, words.split("-"), strict=True)))
    assert (made.segments, made.answer, made.against) == ((text,), (good,), (bad,))
    assert (made.condition, made.id) == (condition, name.replace(" ", "-"))


def test_truth_names_lemmas_and_features() -> None:
    lemmas = {"SUBJ": "author", "ATTR": "guard", "EVERB": "like", "ADJ": "tall"}
    assert sentence(templates()["sva/obj"], "SP", lemmas).truth == {**lemmas, "SUBJ_number": "singular", "ATTR_number": "plural"}
    first = AgreementTask("ra/ga", 1).instances()[1]
    assert (first.condition, first.truth["SUBJ_gender"], first.truth["ATTR_gender"]) == ("MF", "male", "female")


@pytest.mark.parametrize("name", NAMES)
def test_the_answer_is_decided_by_the_subject_alone(name: str) -> None:
    right = (
        {"S": "is", "P": "are"} if name.startswith("sva") else {"S": "himself", "P": "themselves", "M": "himself", "F": "herself"}
    )
    for instance in AgreementTask(name).instances():
        assert instance.answer == (right[instance.condition[0]],)
        assert {*instance.answer, *instance.against} == set(templates()[name].answers.values())


@pytest.mark.parametrize("name", NAMES)
def test_the_words_before_the_gap_decide_the_answer(name: str) -> None:
    instances = AgreementTask(name).instances()
    assert all(i.left_to_right for i in instances)
    answers: dict[str, set[object]] = {}
    for instance in instances:
        answers.setdefault(instance.segments[0].partition("[MASK]")[0], set()).update(instance.answer)
    assert all(len(found) == 1 for found in answers.values())


@pytest.mark.parametrize("name", NAMES)
def test_the_counterpart_has_the_subject_s_other_feature_and_the_other_answer(name: str) -> None:
    template, task = templates()[name], AgreementTask(name)
    for instance in task.instances():
        lemmas = {slot: str(instance.truth[slot]) for slot in template.slots}
        condition, other_lemmas = flipped(template, instance.condition, lemmas)
        other = sentence(template, condition, other_lemmas)
        assert instance.counterpart == other.segments and len(other.slots) == len(instance.slots)
        assert (other.answer, other.against) == (instance.against, instance.answer)
        assert other.condition[1] == instance.condition[1] and other.condition[0] != instance.condition[0]
        assert other_lemmas[ATTRACTOR] == lemmas[ATTRACTOR] != other_lemmas[SUBJECT]
        changed = {
            slot for slot, word, new in zip(instance.slots, *map(str.split, (*instance.segments, *other.segments)), strict=True)
            if word != new
        }  # fmt: skip
        assert changed == ({"SUBJ", "EVERB"} if name == "sva/subj" else {"SUBJ"})


def test_counterparts_of_numbers_are_their_own_and_gendered_nouns_have_partners() -> None:
    for name in NAMES[:5]:
        template = templates()[name]
        lemmas = decode(template, "SP", 5)
        assert flipped(template, *flipped(template, "SP", lemmas)) == ("SP", lemmas)
    template = templates()["ra/ga"]
    lemmas = decode(template, "MM", 0)
    assert flipped(template, "MF", {**lemmas, "SUBJ": "king", "ATTR": "woman"})[1]["SUBJ"] == "queen"
    assert flipped(template, "MF", {**lemmas, "SUBJ": "king", "ATTR": "queen"})[1]["SUBJ"] == "woman"
    assert flipped(template, "FM", {**lemmas, "SUBJ": "girl", "ATTR": "boy"})[1]["SUBJ"] == "king"


@pytest.mark.parametrize("name", NAMES)
def test_a_task_has_250_distinct_sentences_a_condition(name: str) -> None:
    instances = AgreementTask(name).instances("test", None, 0)
    assert Counter(i.condition for i in instances) == dict.fromkeys(GENDER if name == "ra/ga" else NUMBER, 250)
    assert len({i.id for i in instances}) == len({i.segments for i in instances}) == 1000


@pytest.mark.parametrize("name", NAMES)
def test_the_two_nouns_differ(name: str) -> None:
    assert all(i.truth["SUBJ"] != i.truth["ATTR"] for i in AgreementTask(name).instances())


def test_every_noun_pair_of_a_test_is_among_the_pairs_held_out_of_training() -> None:
    pairs = noun_pairs_of_tests()
    assert frozenset(("author", "guard")) in pairs
    assert frozenset(("author", "pilot")) not in pairs
    for name in NAMES:
        assert all(frozenset((i.truth["SUBJ"], i.truth["ATTR"])) in pairs for i in AgreementTask(name).instances())


@pytest.mark.parametrize(
    ("name", "count"), [("sva/obj", 1080), ("sva/subj", 1080), ("sva/wsc", 600), ("sva/app", 720), ("ra/na", 1620)]
)
def test_capacity_is_the_number_of_distinct_sentences(name: str, count: int) -> None:
    template = templates()[name]
    assert {capacity(template, condition) for condition in NUMBER} == {count}
    everything = {sentence(template, "SP", decode(template, "SP", code)).segments for code in range(count)}
    assert len(everything) == count


def test_capacity_leaves_out_sentences_with_one_noun_twice() -> None:
    template = templates()["ra/ga"]
    others = 7 * 5 * 7 * 7 * 5 * 7
    assert [capacity(template, c) for c in GENDER] == [13 * 12 * others, 13 * 13 * others] * 2


def test_all_sentences_of_a_condition_can_be_drawn() -> None:
    instances = AgreementTask("sva/wsc", 600).instances()
    assert len({i.id for i in instances}) == 2400


@given(limit=st.integers(1, 200), seed=st.integers(0, 2**32), name=st.sampled_from(NAMES))
@settings(max_examples=25, deadline=None)
def test_a_limit_takes_a_balanced_prefix(limit: int, seed: int, name: str) -> None:
    task = AgreementTask(name, 60)
    taken = task.instances("test", limit, seed)
    assert taken == task.instances("test", None, seed)[:limit]
    counts = Counter({condition: 0 for condition in templates()[name].conditions})
    counts.update(i.condition for i in taken)
    assert max(counts.values()) - min(counts.values()) <= 1


def test_more_sentences_extend_fewer_and_ids_do_not_depend_on_the_draw() -> None:
    few, many = AgreementTask("sva/obj", 10).instances(), AgreementTask("sva/obj", 200).instances()
    assert few == many[:40]
    by_id = {i.id: i for i in AgreementTask("sva/obj", 900).instances("test", None, 5)}
    shared = [i for i in many if i.id in by_id]
    assert len(shared) > 600
    assert all(by_id[i.id] == i for i in shared)


def test_the_seed_decides_the_draw() -> None:
    task = AgreementTask("ra/ga")
    assert task.instances("test", 40, 1) == task.instances("test", 40, 1)
    assert not {i.id for i in task.instances("test", 40, 1)} & {i.id for i in task.instances("test", 40, 2)}


def test_it_is_a_task() -> None:
    task = AgreementTask("sva/obj")
    assert isinstance(task, Task)
    assert (task.version, task.head, task.quantity, task.source) == (
        1,
        "masked",
        Quantity("logit_difference", "gold"),
        "built in",
    )
    assert task.doc == "Subject-verb agreement across an object relative clause: the author that the guards like is tall."


@pytest.mark.parametrize("name", NAMES)
def test_factories_summarise_their_task_and_tasks_name_what_they_follow(name: str) -> None:
    factory = TASKS.factory(name)
    assert (factory.__doc__ or "").partition("\n")[0] == templates()[name].summary
    assert factory(3) == AgreementTask(name, 3)
    assert ("Lin, Tan and Frank 2019" if name == "ra/ga" else "Marvin and Linzen 2018") in factory().reference


def test_another_split_is_refused() -> None:
    with pytest.raises(NoSplit, match=r"task 'sva/obj' has no split 'validation'; it has: train, test\."):
        AgreementTask("sva/obj").instances("validation", None, 0)


@pytest.mark.parametrize("name", sorted(templates()))
@pytest.mark.parametrize("seed", [0, 7])
def test_the_train_split_is_as_large_and_shares_no_sentence_with_the_test_split(name: str, seed: int) -> None:
    test, train = (AgreementTask(name).instances(split, None, seed) for split in ("test", "train"))
    assert len(train) == len(test)
    assert len({instance.id for instance in (*train, *test)}) == 2 * len(test)
    assert Counter(i.condition for i in train) == Counter(i.condition for i in test)
    assert AgreementTask(name).instances("train", 8, seed) == train[:8]


def test_the_train_split_has_what_the_test_split_leaves() -> None:
    task = AgreementTask("sva/wsc", 500)
    assert len(task.instances("train")) == 4 * 100
    with pytest.raises(NoSplit, match=r"no split 'train' left: with sentences=600, all are in `test`"):
        AgreementTask("sva/wsc", 600).instances("train")


@pytest.mark.parametrize("limit", [0, -3])
def test_a_limit_below_one_is_refused(limit: int) -> None:
    with pytest.raises(UsageError, match=f"limit must be 1 or more, got {limit}"):
        AgreementTask("sva/obj").instances("test", limit, 0)


@pytest.mark.parametrize("sentences", [0, 601, True])
def test_an_impossible_number_of_sentences_is_refused(sentences: int) -> None:
    with pytest.raises(
        UsageError, match=f"task 'sva/wsc' has 1 to 600 distinct sentences a condition, got sentences={sentences!r}"
    ):
        AgreementTask("sva/wsc", sentences)


def test_an_unknown_name_is_refused_with_near_names() -> None:
    with pytest.raises(UnknownName, match="did you mean sva/obj"):
        AgreementTask("sva/object")


def test_numbered_leaves_single_names_alone() -> None:
    assert numbered(["the", "X", "the"]) == ["the1", "X", "the2"]
