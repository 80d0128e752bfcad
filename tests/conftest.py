"""Fixtures for every folder of tests: tiny random models saved to disk, the embedded model, the shared data."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from flowgauge.leaderboards.reproduction.report import PaperReport
    from flowgauge.models.flow.flow_model import FlowModel

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"  # read when torch is first imported: two workers with a pool each fight over two cores

ROOT = Path(__file__).resolve().parents[1]
FULL_SIZE = os.environ.get("FLOWGAUGE_FULL_TESTS") == "1"
"""Whether slow tests take their full sizes; else they take a part of them."""
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LABELS = ("negative", "positive")
CIRCUITS = {"activation-patching", "attribution-patching", "eap-ig", "edge-patching"}
"""Methods that need a counterpart of each text; they are not on the published board."""
BERT_LIKE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
SIZES: dict[str, dict[str, Any]] = {
    "bert": BERT_LIKE,
    "roberta": BERT_LIKE,
    "electra": {**BERT_LIKE, "embedding_size": 16},
    "distilbert": {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48},
    "albert": {**BERT_LIKE, "embedding_size": 16},
    "camembert": BERT_LIKE,
    "deberta-v2": {
        **BERT_LIKE, "relative_attention": True, "position_buckets": 8, "max_relative_positions": 40,
        "pos_att_type": ["p2c", "c2p"], "share_att_key": True, "norm_rel_ebd": "layer_norm", "position_biased_input": False,
    },
    "modernbert": {**BERT_LIKE, "local_attention": 8, "layer_types": ["full_attention", "sliding_attention"]},
    "mpnet": BERT_LIKE,
    "roberta-prelayernorm": BERT_LIKE,
    "xlm-roberta": BERT_LIKE,
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_inner": 48},
    "llama": {**BERT_LIKE, "num_key_value_heads": 2, "bos_token_id": 2, "eos_token_id": 3},
}  # fmt: skip
CLASSES = {
    "bert": "Bert", "roberta": "Roberta", "electra": "Electra", "distilbert": "DistilBert", "gpt2": "GPT2", "llama": "Llama",
    "albert": "Albert", "camembert": "Camembert", "deberta-v2": "DebertaV2", "modernbert": "ModernBert", "mpnet": "MPNet",
    "roberta-prelayernorm": "RobertaPreLayerNorm", "xlm-roberta": "XLMRoberta",
}  # fmt: skip
DECODERS = {"gpt2": "LMHeadModel", "llama": "ForCausalLM"}
"""Families of decoders, and what their heads for the next word are called."""
HEADS = {
    "masked": "ForMaskedLM", "label": "ForSequenceClassification", "span": "ForQuestionAnswering",
    "score": "ForSequenceClassification", "labels": "ForSequenceClassification",
}  # fmt: skip
OUTPUTS: dict[str, dict[str, Any]] = {
    "label": {"id2label": dict(enumerate(LABELS)), "label2id": {name: i for i, name in enumerate(LABELS)}},
    "score": {"num_labels": 1},
    "labels": {
        "id2label": {0: "toxic", 1: "rude", 2: "fine"}, "label2id": {"toxic": 0, "rude": 1, "fine": 2},
        "problem_type": "multi_label_classification",
    },
}  # fmt: skip


@pytest.fixture(scope="session", autouse=True)
def _commands_built_once() -> Iterator[None]:
    """The commands are built once a session, not for every call: that takes longer than most of them."""
    from typer import main

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("typer.testing._get_command", cache(main.get_command))
        yield


@cache
def agreement_words() -> tuple[str, ...]:
    """Every word and answer of the built-in agreement tasks."""
    from flowgauge.tasks.registry import TASKS

    words: set[str] = set()
    for name in TASKS.builtin:
        if name.startswith(("sva/", "ra/")):
            for instance in TASKS.create(name).instances("test", None, 0):
                words.update(" ".join(instance.segments).split(), map(str, (*instance.answer, *instance.against)))
    return tuple(sorted(words - set(SPECIAL)))


def save_tiny(folder: Path, family: str = "bert", head: str = "masked", seed: int = 1) -> Path:
    """Saves a random model of a family, with a word-level tokenizer that has every agreement word as one token.

    Tokenizers of decoders have neither padding nor a mask token; GPT-2's sets no token before a text, Llama's one. Weights are
    drawn wide (0.3), so that words and layers matter as they do in a trained model.
    """
    import torch
    import transformers
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    vocabulary = {word: i for i, word in enumerate((*SPECIAL, *agreement_words()))}
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    raw.normalizer, raw.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.WhitespaceSplit()
    ends = [("[CLS]", 2), ("[SEP]", 3)]
    tokens = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
    single, pair = "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1"
    if family in DECODERS:
        tokens = {"unk_token": "[UNK]", "bos_token": "[CLS]", "eos_token": "[SEP]"}
        single, pair = ("$A", "$A $B") if family == "gpt2" else ("[CLS] $A", "[CLS] $A $B")
    raw.post_processor = processors.TemplateProcessing(single=single, pair=pair, special_tokens=ends)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=raw, **tokens)
    common = {
        "vocab_size": len(vocabulary),
        "pad_token_id": 0,
        "max_position_embeddings": 40,
        "initializer_range": 0.3,
        "type_vocab_size": 2,
    }
    config = getattr(transformers, f"{CLASSES[family]}Config")(**common, **SIZES[family], **OUTPUTS.get(head, {}))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = getattr(transformers, CLASSES[family] + (DECODERS[family] if head == "next" else HEADS[head]))(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`tiny_folder(family="bert", head="masked", seed=1)`: the folder of a random model; made once a session."""
    made: dict[tuple[str, str, int], Path] = {}

    def folder(family: str = "bert", head: str = "masked", seed: int = 1) -> Path:
        key = (family, head, seed)
        if key not in made:
            made[key] = save_tiny(tmp_path_factory.mktemp("models") / f"tiny-{family}-{head}-{seed}", *key)
        return made[key]

    return folder


@pytest.fixture(scope="session")
def tiny_bert(tiny_folder: Callable[..., Path]) -> Path:
    """The folder of a random two-layer masked LM that has every word of the agreement tasks as one token."""
    return tiny_folder()


@pytest.fixture(scope="session")
def tiny_model(tiny_bert: Path) -> Path:
    """The same folder, as `--model` takes it."""
    return tiny_bert


@pytest.fixture(scope="session")
def tiny_flow(tiny_bert: Path) -> FlowModel:
    """The tiny masked LM in float64, loaded."""
    from flowgauge.models.load import load_model

    return load_model(str(tiny_bert), dtype="float64")


@pytest.fixture(scope="session")
def tiny_flows(tiny_folder: Callable[..., Path]) -> Callable[..., FlowModel]:
    """`tiny_flows(family, head)`: a tiny model of any family in float64, loaded."""
    from flowgauge.models.load import load_model

    return lambda family="bert", head="masked", seed=1: load_model(str(tiny_folder(family, head, seed)), dtype="float64")


def save_tiny_data(folder: Path) -> Path:
    """Writes a few rows of every published task in the layout of `--data-dir`, in words that the tiny models know."""
    good, bad = ("the {} is tall", "the {} that likes the {} is old"), ("the {} hates the {}", "the {} is short")
    nouns = ("author", "pilot", "surgeon", "farmer", "manager", "chef", "guard", "skater")
    forms = (*bad, *good)  # label 0, then 1
    texts = [(i % 4 // 2, forms[i % 4].format(nouns[i % 8], nouns[(i + 3) % 8])) for i in range(24)]
    files: dict[str, list[str]] = {}
    for split, rows in (("train", texts), ("dev", texts[::-1][:16])):
        files[f"sst2/{split}.tsv"] = ["sentence\tlabel", *(f"{text}\t{label}" for label, text in rows)]
        for name, columns, names in (
            ("rte", "id\tsentence1\tsentence2\tlabel", ("entailment", "not_entailment")),
            ("mrpc", "id\tsentence1\tsentence2\tlabel", ("0", "1")),
            ("mnli", "id\tpremise\thypothesis\tlabel", ("entailment", "contradiction")),
        ):
            stem = f"{name}/{split}_matched_part" if (name, split) == ("mnli", "dev") else f"{name}/{split}"
            pairs = zip(rows, rows[1:] + rows[:1], strict=True)
            files[f"{stem}.tsv"] = [columns, *(f"{i}\t{a}\t{b}\t{names[label]}" for i, ((label, a), (_, b)) in enumerate(pairs))]
    for split in ("train", "dev", "test"):
        files[f"sst/trees_{split}.txt"] = [f"({i % 5} (2 ({i % 5} the) (2 {noun})) (2 tall))" for i, noun in enumerate(nouns)]
    for split, turn in (("train", 0), ("dev", 3)):
        files[f"squad/{split}.jsonl"] = [squad_row(i, noun, nouns[(i + turn + 1) % 8]) for i, noun in enumerate(nouns * 2)]
    from flowgauge.tasks.pairs.blimp import PARADIGMS

    agreement = [(f"the {noun} is {word} .", f"the {noun} are {word} .") for noun in nouns for word in ("tall", "short")]
    minimal = [{"sentence_good": good, "sentence_bad": bad, "pairID": str(n)} for n, (good, bad) in enumerate(agreement)]
    files |= {f"blimp/{name}.jsonl": [json.dumps(row | {"UID": name}) for row in minimal] for name in PARADIGMS}
    columns = "pattern\tconstr_id\tsent_id\ttype\tsentence\tgood\tbad\tcorrect_number"
    files["gulordava/english_pairs.tsv"] = [
        columns,
        *(f"L\t{n}\t{n}\toriginal\tthe {noun} [MASK] tall .\tis\tare\tsing" for n, noun in enumerate(nouns)),
    ]
    columns = "subtask\tgrammatical\ttarget_idx\tgood\tbad\tcue_idx\tcue_number\tattractor_number"
    files["marvin_linzen/pairs_current.tsv"] = [
        columns,
        *(f"obj_rel_across_anim\tthe {noun} that the guards like is tall\t6\tis\tare\t1\tsing\tplur" for noun in nouns),
    ]
    for name, lines in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def squad_row(number: int, one: str, other: str) -> str:
    """Who likes whom: every second answer is given in two ways."""
    context = f"the {one} likes the tall {other}"
    answers = [f"tall {other}", f"the tall {other}"][: 1 + number % 2]
    found = [{"text": text, "answer_start": context.index(text)} for text in answers]
    question = f"who likes the {other}" if number % 4 == 3 else "the author likes"
    return json.dumps({"id": f"q{number}", "question": question, "context": context, "answers": found})


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of published data in miniature, as `--data-dir` takes it."""
    return save_tiny_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def toy_paper() -> Path:
    """The file of a paper that does not exist, with every kind of comparison, on tasks that the tiny models know."""
    return ROOT / "tests" / "fixtures" / "toy-paper.toml"


@pytest.fixture(scope="session")
def toy_report(toy_paper: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> PaperReport:
    """That paper's numbers on the tiny masked LM; its other run has no model."""
    from flowgauge.benchmark.reproduction.paper import load_paper
    from flowgauge.benchmark.reproduction.reproduce import reproduce
    from flowgauge.leaderboards.reproduction.report import compare_with_paper

    store = str(tmp_path_factory.mktemp("reproduced") / "store")
    return compare_with_paper(reproduce(load_paper(toy_paper), store, models=(str(tiny_model),), device="cpu"))


@pytest.fixture(scope="session")
def agreement_model() -> FlowModel:
    """The embedded model; skips where its weights are not there (a checkout without them)."""
    from flowgauge.models.load import load_model
    from flowgauge.models.zoo import ZOO

    if not (ZOO["agreement-bert"] / "model.safetensors").is_file():
        pytest.skip("the weights of agreement-bert are not in this checkout.")
    return load_model("agreement-bert")


@pytest.fixture(scope="session")
def agreement_decoder() -> FlowModel:
    """The embedded decoder."""
    from flowgauge.models.load import load_model

    return load_model("agreement-gpt2")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The developers' data: `$FLOWGAUGE_SHARED/data`, else `../shared/data` beside the repository; skips where absent."""
    shared = Path(os.environ.get("FLOWGAUGE_SHARED", ROOT.parent / "shared"))
    if not (shared / "data").is_dir():
        pytest.skip(f"no shared data at {shared / 'data'} (set FLOWGAUGE_SHARED to the folder that holds data/).")
    return shared / "data"


@pytest.fixture(scope="session")
def shared_models(shared_data: Path) -> Path:
    """The developers' real models, beside their data."""
    return shared_data.parent / "models"


@pytest.fixture(scope="module")  # while it is open, asyncio is taken: notebooks could not run
def browser() -> Iterator[Any]:
    """Chromium without a window, for tests marked `browser`; where it or Playwright is missing they are skipped."""
    sync = pytest.importorskip("playwright.sync_api", reason="the browser tests need playwright.")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("the browser tests need Chromium: apt-get install chromium.")
    with sync.sync_playwright() as running:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        opened = running.chromium.launch(executable_path=chromium, headless=True, args=flags)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, str], Any]]:
    """What the environment says of an S3 server of moto without buckets, and a client of it."""
    server = pytest.importorskip("moto.server", reason="moto is not installed: pip install 'flowgauge[test]'.")
    pytest.importorskip("s3fs", reason="s3fs is not installed: pip install 'flowgauge[test]'.")
    boto3 = pytest.importorskip("boto3")
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    address = "http://{}:{}".format(*running.get_host_and_port())
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    names = dict(zip(("aws_access_key_id", "aws_secret_access_key", "region_name"), keys.values(), strict=True))
    client = boto3.client("s3", endpoint_url=address, **names)
    nowhere = str(tmp_path_factory.getbasetemp() / "no-aws")
    files = dict.fromkeys(("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"), nowhere)
    yield keys | files | {"AWS_ENDPOINT_URL": address, "NO_PROXY": "127.0.0.1"}, client
    client.close()
    running.stop()
