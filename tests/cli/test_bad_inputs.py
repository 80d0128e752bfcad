"""No traceback and no exception's name in any answer to a mistake: what is wrong is named in a line or two."""

from __future__ import annotations

import gzip
import json
import os
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flowgauge.cli import app

FIXTURES = Path(__file__).parents[1] / "fixtures"
LABELLED = "sentence\tlabel\nthe author is tall\tpositive\nthe pilot is old\tnegative\n"
PAIRS = "sentence\tgood\tbad\nThe author near the guards [MASK] tall .\tis\tare\n"


def declared(decorator: str, arguments: str, body: str) -> str:
    """A file with one plug-in, whose seventh line is its body."""
    head = f"import os\nimport flowgauge\n\n@flowgauge.{decorator}\ndef mine({arguments}):"
    return f'{head}\n    """Mine."""\n    {body}\n'


def a_method(body: str, arguments: str = "model, batch") -> str:
    return declared("method('mine', gives={'tokens'})", arguments, body)


def a_metric(body: str) -> str:
    return declared("metric('mine', reads='tokens', higher_is_better=True, unit='q')", "model, explained, reference", body)


def a_task(body: str) -> str:
    return declared("task('mine')", "seed", body)


FILES: dict[str, str | bytes] = {
    # files of sentences
    "good.tsv": PAIRS,
    "empty.tsv": "",
    "header.tsv": "sentence\tlabel\n",
    "ragged.tsv": "sentence\tlabel\na b\tx\ty\n",
    "twice.tsv": "sentence\tsentence\na\tb\n",
    "nolabel.tsv": "sentence\tkind\na b\tx\n",
    "noheader.csv": "the film is good .,positive\nthe film is bad .,negative\n",
    "quote.csv": 'sentence,label\n"the film,positive\n',
    "latin.tsv": b"sentence\tlabel\ncaf\xe9\tx\n",
    "null.tsv": b"sentence\tlabel\na\0b\tx\n",
    "torn.tsv.gz": gzip.compress(LABELLED.encode())[:20],
    "plain.tsv.gz": LABELLED,
    "torn.jsonl": '{"sentence": "a", "label": \n',
    "list.jsonl": '["a", "b"]\n',
    "deep.jsonl": "[" * 20_000,
    "digits.jsonl": '{"sentence": "a b", "label": ' + "9" * 5000 + "}\n",
    "doubled.jsonl": '{"sentence": "a", "sentence": "b", "label": "x"}\n',
    "object.jsonl": '{"sentence": {"text": "a b"}, "label": "positive"}\n',
    "labels.jsonl": '{"sentence": "a b", "label": ["x", "y"]}\n',
    "number.json": "7",
    "torn.parquet": b"PAR1 and no more",
    "gapless.tsv": "sentence\tgood\tbad\nThe author is tall .\tis\tare\n",
    "two.tsv": "sentence\tgood\tbad\n[MASK] author [MASK] tall\tis\tare\n",
    "same.tsv": "sentence\tgood\tbad\nThe author [MASK] tall .\tis\tis\n",
    "unknown.tsv": "sentence\tgood\tbad\nThe author [MASK] tall .\tsupercalifragilistic\tare\n",
    "blank.tsv": "sentence\tlabel\n\tpositive\n",
    "unlabelled.tsv": "sentence\tlabel\nthe author is tall\t\n",
    "foreign.tsv": "sentence\tlabel\nthe author is tall\tentailment\n",
    "numbered.tsv": "sentence\tlabel\nthe author is tall\t7\n",
    "mixed.tsv": "sentence\tlabel\nthe author is tall\t1\nthe pilot is old\tnegative\n",
    "labelled.tsv": LABELLED,
    "wide.tsv": "sentence\tlabel\n" + "the " * 300 + "\tpositive\n",
    "notes.docx": b"PK\x03\x04",
    # plans
    "aliases.yaml": "tasks: &a [sva/obj]\nmethods: *a\n",
    "torn.yaml": "tasks: [a\nlimit: 3\n",
    "list.yaml": "- sva/obj\n",
    "void.yaml": "",
    "typo.yaml": "tasks: sva/obj\nmethds: attention\n",
    "doubled.yaml": "tasks: sva/obj\ntasks: sva/subj\n",
    "none.yaml": "tasks: []\n",
    "limit.yaml": "tasks: sva/obj\nlimit: many\n",
    "nameless.yaml": "tasks: sva/obj\nmethods: [{samples: 3}]\n",
    "digits.yaml": "tasks: sva/obj\nlimit: " + "9" * 5000 + "\n",
    "deep.yaml": "tasks: " + "[" * 3000 + "\n",
    "object.yaml": "tasks: !!python/object/apply:os.getcwd []\n",
    "large.yaml": "#" * (1 << 20) + "\ntasks: sva/obj\n",
    "binary.yaml": b"\xff\xfe\x00\x01",
    "dtype.yaml": "tasks: sva/obj\ndtype: int8\n",
    "long.yaml": f"tasks: sva/obj\nsplit: {['x'] * 3000}\n",
    # plug-ins
    "empty.py": "",
    "torn.py": "def (\n",
    "null.py": b"x = '\0'\n",
    "divides.py": "x = 1\ny = x / 0\n",
    "imports.py": "import a_module_that_is_not_there\n",
    "leaves.py": "import sys\nsys.exit(0)\n",
    "ends.py": "import os\nos._exit(0)\n",
    "aborts.py": "import os\nos.abort()\n",
    "becomes.py": "import os\nos.execv('/bin/true', ['true'])\n",
    "panics.py": "class Panic(BaseException): ...\nraise Panic('index out of range')\n",
    "dtype.py": "import torch\ntorch.set_default_dtype(torch.float64)\n",
    "moves.py": "import os\nos.chdir('/')\n",
    "view.py": "import flowgauge\nflowgauge.method('a', gives={'thoughts'})(print)\n",
    "name.py": "import flowgauge\nflowgauge.method('../a', gives={'tokens'})(print)\n",
    "needs.py": "import flowgauge\nflowgauge.method('a', gives={'tokens'}, needs={'magic'})(print)\n",
    "bounds.py": "import flowgauge\nflowgauge.metric('a', reads='tokens', higher_is_better=True, unit='q', bounds=(1, 0))\n",
    "middle.tsv": "sentence\tgood\tbad\nthe author [MASK] tall .\tis\tare\n",
    "split-answer.tsv": "prefix\tgood\tbad\nthe author\tsupercalifragilistic\tare\n",
    "first.tsv": "sentence\tgood\tbad\n[MASK] .\tis\tare\n",
    "pairs-of-texts.tsv": "sentence\tsentence2\tlabel\nthe author\tis tall\tyes\n",
    "prefix.tsv": "prefix\tgood\tbad\n\tis\tare\n",
    "undecided.tsv": "prefix\tgood\tbad\tleft_to_right\nthe author\tis\tare\tmaybe\n",
    "counterpart.tsv": "prefix\tgood\tbad\tcounterpart\nthe author\tis\tare\tauthors [MASK]\n",
    "builtin.py": "from flowgauge.methods.registry import METHODS\nMETHODS.builtin['attention'] = 'os:getcwd'\n",
    "raises.py": a_method("raise KeyError('gold')"),
    "returns.py": a_method("return 3"),
    "exits.py": a_method("os._exit(0)"),
    "long.py": a_method("raise ValueError('x' * 10**6)"),
    "negates.py": a_method("[w.data.neg_() for w in model.parameters()]\n    return 3"),
    "trains.py": a_method("model.hf.train()"),
    "two.py": a_method("return 3") + "\n\nother = flowgauge.method('other', gives={'tokens'})(lambda model, batch: 3)\n",
    "settings.py": a_method("return 3", "model, batch, size"),
    "refuses.py": "import flowgauge\n\n\n@flowgauge.method('mine', gives={'tokens'})\nclass Mine:\n"
    "    def __init__(self, size: int = 3) -> None:\n        {}[size]\n",
    "forgets.py": "import flowgauge\n\n\n@flowgauge.method('mine', gives={'tokens'})\nclass Mine:\n"
    "    def __init__(self, size: int = 3) -> None: ...\n",
    "metric.py": a_metric("raise IndexError"),
    "rows.py": a_metric("return 3"),
    "task.py": a_task("raise AssertionError"),
    "notask.py": a_task("return []"),
    "words.py": a_task("return ['a', 'b']"),
    "model.py": "import flowgauge\n\n\n@flowgauge.model('mine')\nclass Mine:\n"
    "    def build(self, weights):\n        return weights['missing']\n",
}

ROWS = """
# commands and options
frobnicate | No such command
run | name at least one --task
run --tsak sva/obj | No such option
run --task sva/obj --limit many | '--limit'
run --task sva/obj --limit 0 | greater than 0
run --task sva/obj --limit 2 --seed -1 | greater than or equal to 0
run --task sva/obj --batch-size 0 | batch-size
run --task sva/obj --dtype int8 | dtype
run --task sva/obj --on-split maybe | on_split
run --task sva/obj --split train2 | train2
run --task sva/obj --store '' | store
run --task sva/obj --store nowhere://x | nowhere
run --task sva/obj --store good.tsv --limit 2 --model {tiny} | good.tsv
run --task sva/obj --column label=x | column
run --task sva/obj --column label | --column
run --task sva/obj --where label | --where
run --task sva/obj --data-dir nowhere | nowhere
run --task sva/obj --device tpu9 --limit 2 --model {tiny} | tpu9
run --task sva/obj --fit-limit 0 | fit_limit
run --task sva/obj --sample-seed -1 | sample_seed
run --task sva/obj --max-tokens 0 | max_tokens
# names
run --task nope | nope
run --task 'zz*' | zz*
run --task sva/obi | sva/obj
run --task sva/obj:sentences=x | sentences
run --task sva/obj:size=3 | size
run --task sva/obj --method atention | attention
run --task sva/obj --method attention:residual=x | residual
run --task sva/obj --method attention:residual=1,residual=2 | each key once
run --task sva/obj --method 'attention:residual=[' | cannot read the settings
run --task sva/obj --method influence-patterns:samples=0 | samples
run --task sva/obj --metric nope | nope
run --task sva/obj --metric ablated_accuracy:operator=x | operator
run --task sva/obj --model ./nowhere | nowhere
run --task sva/obj --model agreement-brt | agreement-bert
run --task sva/obj --model planted:depth=x | depth
run --task sva/obj --revision main --model planted | revision
run --task sst2 --data-dir . --limit 2 --model {label} | sst2
# one text
explain | TEXT
explain '' | the text is empty
explain 'The author is tall .' | no model is named
explain 'The author is tall .' --model {tiny} | write [MASK] once
explain '[MASK] author [MASK] tall .' --model {tiny} | has 2 gaps
explain 'The author [MASK] tall .' --model {label} | fills no gaps
explain 'The author [MASK] tall .' --text2 'The pilot .' --model {tiny} | write both into one text
explain 'the author is tall' --text2 'the pilot' --model single | was trained on single texts (sst2)
explain 'the author is tall' --model pairs | was trained on pairs (rte): give the second text
explain '{long} [MASK]' --model {tiny} | shorten it by
explain 'The author [MASK] tall .' --model {tiny} --method nope | no method is called
explain 'The author [MASK] tall .' --model {tiny} --method saliency:colour=3 | colour
explain 'The author [MASK] tall .' --model {tiny} --method diffmask-input | is trained on a task first
explain 'The author [MASK] tall .' --model {tiny} --method raises.py | 'gold' in a mapping (raises.py, line 7)
explain 'The author [MASK] tall .' --model {tiny} --good supercalifragilistic | name another word
explain 'The author [MASK] tall .' --model {tiny} --bad is | name the answer too
explain 'The author is tall .' --model {label} --good nope | has no class 'nope'
explain 'The author [MASK] tall .' --model nowhere/x/y | nowhere
explain 'The author [MASK] tall .' --model {tiny} --out picture.pdf | must end in
explain 'The author [MASK] tall .' --model {tiny} --method saliency --out good.tsv/a.png | cannot write
explain 'The author [MASK] tall .' --model {tiny} --method saliency --html good.tsv/a.html | --html
# files of sentences
run --task none.tsv | none.tsv
run --task notes.docx | notes.docx
run --task folder | folder
run --task pipe.tsv | pipe.tsv
run --task empty.tsv --model {label} | empty.tsv
run --task header.tsv --model {label} | header.tsv
run --task ragged.tsv --model {label} | line 2
run --task twice.tsv --model {label} | sentence
run --task nolabel.tsv --model {label} | nolabel.tsv
run --task noheader.csv --model {label} | noheader.csv
run --task quote.csv --model {label} | quote.csv
run --task latin.tsv --model {label} | UTF-8
run --task null.tsv --model {label} | null character
run --task torn.tsv.gz --model {label} | gzip
run --task plain.tsv.gz --model {label} | gzip
run --task torn.jsonl --model {label} | line 1
run --task list.jsonl --model {label} | list.jsonl
run --task deep.jsonl --model {label} | too deep
run --task digits.jsonl --model {label} | digits
run --task doubled.jsonl --model {label} | stands twice
run --task object.jsonl --model {label} | object.jsonl
run --task labels.jsonl --model {label} | 'labels/1/x' has label 'x'
run --task number.json --model {label} | number.json
run --task torn.parquet --model {label} | torn.parquet
run --task gapless.tsv --model {label} | gapless.tsv
run --task two.tsv --model {tiny} | two.tsv
run --task same.tsv --model {tiny} | same.tsv
run --task unknown.tsv --model {tiny} | supercalifragilistic
run --task blank.tsv --model {label} | blank.tsv
run --task unlabelled.tsv --model {label} | unlabelled.tsv
run --task foreign.tsv --model {label} | entailment
run --task numbered.tsv --model {label} | 7
run --task mixed.tsv --model {label} | has label '1'
run --task good.tsv --model {label} | head
run --task labelled.tsv --model {tiny} | head
run --task labelled.tsv:on_broken=x --model {label} | on_broken
run --task labelled.tsv:colour=x --model {label} | colour
run --task labelled.tsv --column sentence=text --model {label} | text
run --task labelled.tsv --where label=7 --model {label} | 7
# plans
run pipe.yaml | pipe.yaml
run demoo | demo
run folder | folder
run aliases.yaml | alias
run torn.yaml | line
run list.yaml | list.yaml
run void.yaml | empty
run typo.yaml | methods
run doubled.yaml | stands twice
run none-of.yaml | none-of.yaml
run none.yaml | tasks: Value should have at least 1 item
run limit.yaml | many
run nameless.yaml | name
run digits.yaml | digits.yaml
run deep.yaml | too deep
run object.yaml | object.yaml
run large.yaml | 1 MiB
run binary.yaml | UTF-8
run dtype.yaml | int8
run long.yaml | split
# models
run --task sva/obj --limit 2 --model folder | folder
run --task sva/obj --limit 2 --model gpt2 | gpt2
run --task sva/obj --limit 2 --model another | of family 'xlnet'
run --task sva/obj --limit 2 --model quantised | are quantised by gptq
run --task sva/obj --limit 2 --model own-code | code that comes with a checkpoint (auto_map) is not run
run --task sva/obj --limit 2 --model huge | take 40000.0 GB in float32
run --task sva/obj --limit 2 --model as-decoder | is configured as a decoder
run --task sva/obj --limit 2 --model reads-two | reads a second text
# models of the next word
run --task middle.tsv --model {gpt} | choose a masked LM
run --task first.tsv --model {gpt} | has nothing to go on with
run --task split-answer.tsv --model {gpt} | supercalifragilistic
run --task two.tsv --model {gpt} | two.tsv
run --task pairs-of-texts.tsv --model {gpt} | sequence-classification head
run --task labelled.tsv --model {gpt} | It fits sva/obj
run --task blimp/adjunct_island --model {gpt} | differ in several words
run --task blimp/passive_3 --model {gpt} | did you mean blimp/passive_
run --task gulordava --model {gpt} | --data-dir
run --task ioi:sentences=0 --model {gpt} | sentences
run --task ioi --limit 2 --model {gpt} | --on-split skip
run --task prefix.tsv --model {gpt} | the cell prefix is empty
run --task undecided.tsv --model {gpt} | left_to_right must be true or false
run --task counterpart.tsv --model {gpt} | the counterpart must have as many words
explain 'the author [MASK] tall' --model {gpt} | end the text where the next word is to stand
explain '[MASK] tall' --model {gpt} | end the text where the next word is to stand
explain 'the author' --text2 'tall' --model {gpt} | write both into one text
explain 'the author' --model {gpt} --method eap-ig | one text: --counterpart
explain 'the author' --model {gpt} --method eap-ig --counterpart 'the' | flip what decides the answer and leave the rest
explain 'the author' --good supercalifragilistic --model {gpt} | name another word
run --task sva/obj --limit 2 --model headless | headless
run --task sva/obj --limit 2 --model torn-config | torn-config
run --task sva/obj --limit 2 --model deep-model | deep-model
run --task sva/obj --limit 2 --model pipe-model | pipe-model
run --task sva/obj --limit 2 --model torn-weights | torn-weights
run --task sva/obj --limit 2 --model no-weights | no-weights
run --task sva/obj --limit 2 --model no-tokenizer | tokenizer
run --task sva/obj --limit 2 --model wide | wide
run --task labelled.tsv --model regression | regression
run --task labelled.tsv --model swapped | knows stars, moons
run --task sva/obj --limit 2 --model model.py | model.py
run --task sva/obj --limit 2 --model empty.py | empty.py
# plug-ins
run --task sva/obj --method none.py | none.py
run --task sva/obj --method empty.py | defines no method
run --task sva/obj --method torn.py | line 1
run --task sva/obj --method null.py | null
run --task sva/obj --method divides.py | line 2
run --task sva/obj --method imports.py | a_module_that_is_not_there
run --task sva/obj --method leaves.py | exit code 0
run --task sva/obj --method ends.py | os._exit
run --task sva/obj --method aborts.py | os.abort
run --task sva/obj --method becomes.py | os.execv
run --task sva/obj --method panics.py | index out of range
run --task sva/obj --method dtype.py | default dtype
run --task sva/obj --method moves.py | working folder
run --task sva/obj --method view.py | thoughts
run --task sva/obj --method name.py | ../a
run --task sva/obj --method needs.py | magic
run --task sva/obj --method builtin.py | line 2
run --task sva/obj --method two.py | other
run --task sva/obj --method settings.py | size
run --task sva/obj --method refuses.py | refused its settings
run --task sva/obj --method forgets.py | self.size
run --task sva/obj --method raises.py:size=3 | size
run --task sva/obj --method raises.py:other | other
run {plain} --method raises.py --metric none | 'gold' in a mapping (raises.py, line 7)
run {plain} --method returns.py --metric none | list of Explanation
run {plain} --method exits.py --metric none | os._exit, which ends Python at once (exits.py, line 7)
run {plain} --method long.py --metric none | xxx
run {plain} --method negates.py --metric none | the model's weights
run {plain} --method trains.py --metric none | training mode
run --task sva/obj --metric bounds.py | bounds
run {go} --metric metric.py | metric.py, line 7
run {go} --metric rows.py | must return Scores, got int
run --task task.py --model {tiny} | task.py, line 7
run --task notask.py --model {tiny} | no instances
run --task words.py --model {tiny} | Instance
check none.py | none.py
check empty.py | declares no
check torn.py | line 1
check ends.py | os._exit
check folder | folder
check raises.py | raises.py, line 7
check returns.py | list of Explanation
check task.py | task.py, line 7
# stores
score nowhere --metric stability | nowhere
score {store} --metric nope | nope
score {store} --metric empty.py | defines no metric
score {store} --metric stability --model {label} | model
show nowhere | nowhere
show folder | folder
show good.tsv | good.tsv
show newer | newer
show damaged | damaged
show {store} --method nope | No such option: --method
show | STORE
compare nowhere | nowhere
compare {store} --metric nope | nope
compare {store} --metric empty.py | empty.py
compare {store} attention nope | nope
plot nowhere | nowhere
plot {store} --figure nope | No such option: --figure
plot {store} nope | nope
plot {store} --method nope | nope
plot {store} --task nope | nope
list nothing | nothing
questions --task nope | nope
questions --task sva/obj --limit 2 --model folder | folder
import nowhere | nowhere
import folder | manifest
import no-method --model {tiny} | method
train --model {tiny} --task sva/obj --out out | sva/obj
train --model folder --task sst2 --data-dir . --out out | sst2
train --model {label} --task none.tsv --out out | none.tsv
train --model {label} --task labelled.tsv --out out --epochs 0 | epochs
train --model {label} --task labelled.tsv --out out --lr -1 | lr
# bundles and boards
leaderboard frobnicate | No such command
leaderboard submit nowhere --out out --name me | nowhere
leaderboard submit {store} --out out --name '' | name
leaderboard submit {store} --out out --name me --method nope | nope
leaderboard submit {store} --out {store} --name me | store
leaderboard verify nowhere | nowhere
leaderboard verify folder | manifest
leaderboard verify torn-bundle | torn-bundle
leaderboard verify future-bundle | schema
leaderboard verify linked-bundle | manifest
leaderboard verify cut-bundle --form-only | cells
leaderboard verify {bundle} --sample 0 | sample
leaderboard verify {bundle} --seed 7 | --board
leaderboard merge nowhere board | nowhere
leaderboard merge {bundle} board --trust highest | highest
leaderboard merge {bundle} good.tsv --form-only | good.tsv
leaderboard build nowhere --out site | nowhere
leaderboard build {store} --out good.tsv | good.tsv
leaderboard export {store} --format nope | nope
leaderboard export {store} --format csv --table nope | nope
leaderboard export {store} --format hub --out out | --dataset
leaderboard export {store} --format csv --model nope | nope
leaderboard publish nowhere there | nowhere
leaderboard publish folder there | folder
leaderboard publish folder nowhere://x | folder
leaderboard ledger nowhere | nowhere
leaderboard check nowhere | nowhere
leaderboard withdraw {store} --cell nope --why x | nope
leaderboard withdraw {store} --cell '*' --why '' | --why
leaderboard reveal-seed {store} 7 | seed
leaderboard rescore nowhere --metric stability --why x | nowhere
leaderboard order {store} --metric nope --why x | nope
"""


BAD = [tuple(part.strip() for part in line.rsplit(" | ", 1)) for line in ROWS.splitlines() if " | " in line]
DISTINCT = 150


def variant(of: Path, folder: Path, **config: Any) -> None:
    """A checkpoint with the files of another, and other entries in its config.json."""
    folder.mkdir()
    for file in of.iterdir():
        (folder / file.name).symlink_to(file)
    (folder / "config.json").unlink()
    (folder / "config.json").write_text(json.dumps(json.loads((of / "config.json").read_text()) | config))


def save_odd_models(tiny: Path, label: Path, gpt: Path, home: Path) -> None:
    """Checkpoints that are damaged, or of another kind than what is asked of them."""
    variant(tiny, home / "gpt2", model_type="gpt2", architectures=["GPT2LMHeadModel"])
    variant(tiny, home / "another", model_type="xlnet", architectures=["XLNetLMHeadModel"])
    variant(tiny, home / "quantised", quantization_config={"quant_method": "gptq", "bits": 4})
    variant(tiny, home / "own-code", model_type="own", auto_map={"AutoConfig": "own.Own"})
    variant(tiny, home / "as-decoder", architectures=["BertLMHeadModel"])
    variant(gpt, home / "reads-two", add_cross_attention=True)
    variant(tiny, home / "huge")
    (home / "huge" / "model.safetensors").unlink()
    count = 10**13
    header = json.dumps({"x": {"dtype": "F16", "shape": [count], "data_offsets": [0, 2 * count]}}).encode()
    with (home / "huge" / "model.safetensors").open("wb") as stream:
        stream.write(len(header).to_bytes(8, "little") + header)
        os.truncate(stream.fileno(), 10**9)  # of which the disk holds next to nothing
    variant(tiny, home / "headless", architectures=["BertModel"])
    variant(tiny, home / "wide", vocab_size=7)
    variant(tiny, home / "deep-model", num_hidden_layers=100_000)
    variant(label, home / "regression", problem_type="regression", id2label={"0": "score"}, label2id={"score": 0})
    variant(label, home / "multilabel", problem_type="multi_label_classification")
    variant(label, home / "single", finetuning_task="sst2")
    variant(label, home / "pairs", finetuning_task="rte")
    variant(label, home / "swapped", id2label={"0": "stars", "1": "moons"}, label2id={"stars": 0, "moons": 1})
    for name, torn in (("torn-weights", "model.safetensors"), ("torn-config", "config.json"), ("pipe-model", "config.json")):
        variant(tiny, home / name)
        (home / name / torn).unlink()
        os.mkfifo(home / name / torn) if name == "pipe-model" else (home / name / torn).write_bytes(b"{\x00")
    for name, absent in (("no-weights", "model*"), ("no-tokenizer", "tokenizer*")):
        variant(tiny, home / name)
        for file in (home / name).glob(absent):
            file.unlink()


@pytest.fixture(scope="module")
def words(tiny_folder: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The folder that all commands run in, and what the names in braces stand for."""
    home, tiny, label = tmp_path_factory.mktemp("bad"), tiny_folder(), tiny_folder(head="label")
    gpt = tiny_folder("gpt2", "next")
    for name, content in FILES.items():
        (home / name).write_bytes(content.encode() if isinstance(content, str) else content)
    for name in ("folder", "torn-bundle", "future-bundle", "linked-bundle", "no-method"):
        (home / name).mkdir()
    for name in ("pipe.tsv", "pipe.yaml", "pipe.py"):
        os.mkfifo(home / name)
    for name in ("store", "newer", "damaged"):
        shutil.copytree(FIXTURES / "store-3", home / name)
    for record in (home / "newer").rglob("record.json"):
        record.write_text(record.read_text().replace('"schema_version": 3', '"schema_version": 99'))
    for record in (home / "damaged").rglob("record.json"):
        record.write_text("{")
    save_odd_models(tiny, label, gpt, home)
    bundle = home / "bundle"
    shutil.copytree(FIXTURES / "bundle-1", bundle)
    shutil.copytree(bundle, home / "cut-bundle")
    next((home / "cut-bundle").rglob("record.json")).unlink()
    (home / "torn-bundle" / "manifest.json").write_text("{")
    (home / "future-bundle" / "manifest.json").write_text('{"schema_version": 99}')
    (home / "linked-bundle" / "manifest.json").symlink_to(bundle / "manifest.json")
    (home / "no-method" / "manifest.json").write_text("{}")
    shutil.copy(FIXTURES / "outside-1" / "explanations.safetensors", home / "no-method")
    before = os.getcwd()
    os.chdir(home)
    yield {
        "tiny": str(tiny), "label": str(label), "gpt": str(gpt), "store": "store", "bundle": "bundle", "long": "the " * 60,
        "plain": f"--task sva/obj --limit 2 --device cpu --model {tiny}",
        "go": f"--task sva/obj --limit 2 --method attention --device cpu --model {tiny}",
    }  # fmt: skip
    os.chdir(before)


@pytest.mark.parametrize(("line", "said"), BAD, ids=[line for line, _ in BAD])
def test_a_mistake_is_named_in_a_line_or_two(line: str, said: str, words: dict[str, str]) -> None:
    result = CliRunner().invoke(app, shlex.split(line.format(**words)), env={"COLUMNS": "200", "FLOWGAUGE_DATA": None})
    answer = result.stdout + result.stderr
    assert result.exit_code in (1, 2), (result.exit_code, result.output)
    assert said in answer, answer
    for text in (result.stdout, result.stderr):
        assert "Traceback" not in text and not re.search(r"\w+(Error|Exception)\b", text), text
    assert len(result.stderr.splitlines()) <= 12 and len(result.stderr) < 4500, result.stderr


def test_the_mistakes_are_many_and_distinct() -> None:
    assert len({line for line, _ in BAD}) == len(BAD) >= DISTINCT
