"""A plan trains the GRU over word vectors of an encoder on the plan's data folder."""

from __future__ import annotations

import json

from flowgauge.benchmark.engine.model_handle import shown_name
from flowgauge.benchmark.engine.run import run


def test_a_plan_trains_it_once_on_its_own_data_folder_and_names_no_folder(make_plan, tiny_bert, tiny_data, tmp_path) -> None:
    name = f"sst-gru:embeddings={tiny_bert},task=sst/binary,epochs=1"
    plan = make_plan(model=name, tasks=["sst/binary"], methods=["random:draws=1"], data_dir=str(tiny_data), limit=None)
    results = run(plan)
    assert results.exit_code == 0, results.records[0].error
    assert results.records[0].model == f"sst-gru:embeddings={tiny_bert.name},task=sst/binary,epochs=1"
    (folder,) = (tmp_path / "store" / "fits").iterdir()
    assert str(tiny_bert) not in (folder / "fit.json").read_text()
    assert json.loads((folder / "fit.json").read_text())["key"]["settings"]["task"] == "sst/binary"
    assert shown_name("toy-counting") == "toy-counting"
