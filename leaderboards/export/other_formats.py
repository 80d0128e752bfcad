"""Results in the formats of other projects: JSON for Every Eval Ever, and YAML for evaluation results on the Hugging Face Hub.

`EXCHANGE_FORMATS` lists the formats, and `write_exchange` writes one of them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import yaml

from ...benchmark.store.atomic_files import write_file
from ...benchmark.store.cell import safe_name
from ...benchmark.store.key import short_hash
from ...benchmark.store.record import Record, Score
from ...core.errors import UnknownName, UsageError, listing
from ...core.version import VERSION
from ...metrics.scores import Aggregate, count_in_words, without_interval
from ..stored.comparable_cells import ComparableCells, groups
from ..stored.records import stored_records

EEE_SCHEMA = "0.3.0"
"""Version of Every Eval Ever's schema that `every_eval_ever` writes."""
EXCHANGE_FORMATS: Final = {
    "every-eval-ever": "JSON for Every Eval Ever, one file for each model",
    "hub": "YAML for `.eval_results/` in a model's repository on the Hugging Face Hub",
}
"""The formats that `write_exchange` knows, with a description of each for help texts."""


def every_eval_ever(records: Sequence[Record], organization: str) -> list[dict[str, Any]]:
    """Converts records to documents that satisfy Every Eval Ever's `eval.schema.json`.

    Each ranked score of each cell becomes one result. Scores without a direction and scores that are undefined are left out,
    because the schema has no place for them.

    Args:
        records: Records of one or several models.
        organization: The name of the organization that evaluated.

    Returns:
        One document for each model that has a score to report.
    """
    documents = []
    for model in dict.fromkeys(group.model for group in groups(records)):
        model_groups = [group for group in groups(records) if group.model == model]
        results = [result for group in model_groups for result in _results(group)]
        if not results:
            continue
        now = str(int(datetime.now(UTC).timestamp()))
        first = model_groups[0].records[0]
        documents.append(
            {
                "schema_version": EEE_SCHEMA,
                "evaluation_id": f"flowgauge/{model}/{now}",
                "retrieved_timestamp": now,
                "source_metadata": {
                    "source_name": "flowgauge",
                    "source_type": "evaluation_run",
                    "source_organization_name": organization,
                    "evaluator_relationship": "third_party",
                },
                "model_info": {
                    "name": model,
                    "id": str(first.asked.get("model", model)),
                    "additional_details": {
                        "deployment_type": "self_deployed",
                        "model_availability": "open_weights",
                        "fingerprint": str(first.key.get("fingerprint", "")),
                    },
                },
                "eval_library": {"name": "flowgauge", "version": VERSION},
                "evaluation_results": results,
            }
        )
    return documents


def _results(group: ComparableCells) -> Iterator[dict[str, Any]]:
    """Every ranked score of a group that has a direction, as an entry of `evaluation_results`."""
    for label, record in group.by_label().items():
        for score, ranked in _ranked(record):
            if score.higher_is_better is not None:
                yield _result(group, label, record, score, ranked)


def _ranked(record: Record) -> Iterator[tuple[Score, Aggregate]]:
    """Every score of a cell with the aggregate that it is ranked by, where that is a finite number."""
    for score in record.scores.values():
        ranked = score.ranked_aggregate
        if score.status == "done" and ranked is not None and math.isfinite(ranked.value):
            yield score, ranked


def _result(group: ComparableCells, label: str, record: Record, score: Score, ranked: Aggregate) -> dict[str, Any]:
    """One score as an entry of `evaluation_results`, with its interval where the interval is known."""
    low, high = score.bounds
    metric: dict[str, Any] = {
        "evaluation_description": f"{score.name}, {score.ranked}: faithfulness of explanations by {label}. {score.source}",
        "metric_id": score.metric,
        "metric_name": score.name,
        "metric_unit": score.unit,
        "metric_parameters": {name: _plain(value) for name, value in score.settings.items()},
        "lower_is_better": not score.higher_is_better,
        "additional_details": {"variant": score.ranked, "method": label, "cell": record.folder},
    }
    if low is not None and high is not None:
        metric |= {"score_type": "continuous", "min_score": low, "max_score": high}
    details: dict[str, Any] = {"score": ranked.value, "details": {"undefined_instances": str(ranked.undefined)}}
    uncertainty: dict[str, Any] = {"num_samples": ranked.count}
    if math.isfinite(ranked.low) and math.isfinite(ranked.high):
        over = "instances" if ranked.clusters is None else f"{ranked.clusters} clusters of instances"
        ends = {"lower": ranked.low, "upper": ranked.high}
        uncertainty["confidence_interval"] = {**ends, "confidence_level": 0.95, "method": f"closed form over {over}"}
    return {
        "evaluation_result_id": short_hash([record.cell, score.metric], 16),
        "evaluation_name": f"{group.task}: {label}",
        "source_data": {"dataset_name": record.task, "source_type": "other"},
        "evaluation_timestamp": record.finished,
        "metric_config": metric,
        "score_details": {**details, "uncertainty": uncertainty},
    }


def _plain(value: Any) -> str | int | float | bool | None:
    """A value that the schema takes as it is, else its JSON text."""
    return value if isinstance(value, (str, int, float, bool)) or value is None else json.dumps(value)


def hub_results(records: Sequence[Record], dataset: str, source_url: str = "") -> str:
    """Converts the records of one model to YAML for `.eval_results/` in its repository on the Hub.

    Args:
        records: Records of one model.
        dataset: Identifier of the benchmark's dataset on the Hub, `owner/name`.
        source_url: A link to the board, or empty.

    Returns:
        The YAML text, with one entry for each ranked score.

    Raises:
        UsageError: The records are of several models, or none of them has a score.
    """
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    models = {record.model for record in records}
    if len(models) > 1:
        raise UsageError(f"these results are of {len(models)} models ({listing(models)}): choose one with --model.")
    entries = [
        EvalResultEntry(
            dataset_id=dataset,
            task_id=f"{group.task}/{score.name}",
            value=ranked.value,
            date=record.finished[:10] or None,
            source_url=source_url or None,
            source_name="flowgauge" if source_url else None,
            notes=f"{label}, {score.ranked}, {_interval(ranked)}, {count_in_words(ranked.count, ranked.clusters)}",
        )
        for group in groups(records)
        for label, record in group.by_label().items()
        for score, ranked in _ranked(record)
    ]
    if not entries:
        raise UsageError(
            "no cell of this model has a score to write: run its plan with metrics, or add them with `flowgauge score`."
        )
    return yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False, allow_unicode=True)


def _interval(ranked: Aggregate) -> str:
    """The interval in words, or why there is none."""
    if math.isnan(ranked.low):
        return without_interval(ranked.count, ranked.reason, ranked.clusters)
    return f"95 % interval {ranked.low:.4g} to {ranked.high:.4g}"


def write_exchange(
    format: str,
    url: str,
    out: str | Path,
    *,
    organization: str = "flowgauge user",
    dataset: str = "",
    model: str | None = None,
    source_url: str = "",
) -> list[Path]:
    """Writes the results of a store in the format of another project.

    Args:
        format: A name in `EXCHANGE_FORMATS`.
        url: Folder or fsspec URL of results.
        out: The folder to write into.
        organization: The name of the organization that evaluated; read by `every-eval-ever`.
        dataset: Identifier of the benchmark's dataset on the Hub; needed by `hub`.
        model: The model whose results are written; read by `hub`, which writes one model.
        source_url: A link to the board; read by `hub`.

    Returns:
        The files written.

    Raises:
        UsageError: The format or the model is unknown, the dataset is missing, or there is no score to write.
    """
    if format not in EXCHANGE_FORMATS:
        raise UnknownName("exchange format", format, EXCHANGE_FORMATS)
    if format == "hub" and not dataset:
        raise UsageError("the format `hub` needs the identifier of the benchmark's dataset on the Hub: name it with --dataset.")
    records = stored_records(url)
    if format == "hub":
        of_model = [record for record in records if model in (None, record.model)]
        if not of_model:
            raise UnknownName("model in this store", str(model), {record.model for record in records})
        return [_write(Path(out), of_model[0].model, ".yaml", hub_results(of_model, dataset, source_url))]
    documents = every_eval_ever(records, organization)
    if not documents:
        raise UsageError(f"{url!r} has no score with a direction (higher or lower is better), and only those can be written.")
    return [_write(Path(out), d["model_info"]["name"], ".json", json.dumps(d, indent=1)) for d in documents]


def _write(folder: Path, name: str, ending: str, text: str) -> Path:
    path = folder / f"{safe_name(name).replace('/', '_')}{ending}"
    try:
        write_file(path, text)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}; choose another folder with --out.") from error
    return path
