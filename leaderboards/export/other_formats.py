"""Results in the formats of others: Every Eval Ever's JSON, and the Hub's evaluation results. No torch."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from ...benchmark.store.cell import safe_name
from ...benchmark.store.key import short_hash
from ...benchmark.store.record import Aggregate, Record, Score
from ...core.errors import UnknownName, UsageError
from ...core.version import VERSION
from ..stored.comparable_cells import ComparableCells, groups
from ..tables.task_tables import stored_records

EEE_SCHEMA = "0.3.0"
"""Version of Every Eval Ever's schema that `every_eval_ever` writes."""


def every_eval_ever(records: Sequence[Record], organization: str) -> list[dict[str, Any]]:
    """One document a model, as Every Eval Ever's `eval.schema.json` has it; each ranked score of each cell is one result.

    Scores without a direction or without a number are left out: the schema has no place for them.

    Args:
        records: Of one or more models.
        organization: Who evaluated.
    """
    found = []
    for model in dict.fromkeys(group.model for group in groups(records)):
        mine = [group for group in groups(records) if group.model == model]
        results = [result for group in mine for result in _results(group)]
        if not results:
            continue
        now = str(int(datetime.now(UTC).timestamp()))
        fingerprint = str(mine[0].records[0].key.get("fingerprint", ""))
        found.append(
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
                    "id": str(mine[0].records[0].asked.get("model", model)),
                    "additional_details": {
                        "deployment_type": "self_deployed",
                        "model_availability": "open_weights",
                        "fingerprint": fingerprint,
                    },
                },
                "eval_library": {"name": "flowgauge", "version": VERSION},
                "evaluation_results": results,
            }
        )
    return found


def _results(group: ComparableCells) -> Iterator[dict[str, Any]]:
    for label, record in group.by_label().items():
        for score, ranked in _ranked(record):
            if score.higher_is_better is not None:
                yield _result(group, label, record, score, ranked)


def _ranked(record: Record) -> Iterator[tuple[Score, Aggregate]]:
    """Scores whose ranked variant has a number."""
    for score in record.scores.values():
        found = next((a for a in score.aggregates if a.variant == score.ranked), None)
        if score.status == "done" and found is not None and math.isfinite(found.value):
            yield score, found


def _result(group: ComparableCells, label: str, record: Record, score: Score, ranked: Aggregate) -> dict[str, Any]:
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
        bounds = {"lower": ranked.low, "upper": ranked.high, "confidence_level": 0.95, "method": "bootstrap over instances"}
        uncertainty["confidence_interval"] = bounds
    return {
        "evaluation_result_id": short_hash([record.cell, score.metric], 16),
        "evaluation_name": f"{group.task}: {label}",
        "source_data": {"dataset_name": record.task, "source_type": "other"},
        "evaluation_timestamp": record.finished,
        "metric_config": metric,
        "score_details": {**details, "uncertainty": uncertainty},
    }


def _plain(value: Any) -> str | int | float | bool | None:
    return value if isinstance(value, (str, int, float, bool)) or value is None else json.dumps(value)


def hub_results(records: Sequence[Record], dataset: str, source_url: str = "") -> str:
    """YAML for `.eval_results/` of a model repository on the Hub: one entry a ranked score.

    Args:
        records: Of one model.
        dataset: Id of the benchmark's dataset on the Hub.
        source_url: A link to the board.

    Raises:
        UsageError: Records of several models, or none with a score.
    """
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    models = {record.model for record in records}
    if len(models) > 1:
        raise UsageError(f"these results are of {len(models)} models ({', '.join(sorted(models))}); name one with --model.")
    entries = [
        EvalResultEntry(
            dataset_id=dataset,
            task_id=f"{group.task}/{score.name}",
            value=ranked.value,
            date=record.finished[:10] or None,
            source_url=source_url or None,
            source_name="flowgauge" if source_url else None,
            notes=f"{label}, {score.ranked}, 95 % interval {ranked.low:.4g} to {ranked.high:.4g}, {ranked.count} instances",
        )
        for group in groups(records)
        for label, record in group.by_label().items()
        for score, ranked in _ranked(record)
    ]
    if not entries:
        raise UsageError("no cell has a score to write.")
    return yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False, allow_unicode=True)


def write_every_eval_ever(url: str, out: str | Path, organization: str) -> list[Path]:
    """Writes one JSON file a model of a store; returns their paths.

    Raises:
        UsageError: No such store, or no score that the schema has a place for.
    """
    documents = every_eval_ever(stored_records(url), organization)
    if not documents:
        raise UsageError(f"{url!r} has no score with a direction to write.")
    return [_write(Path(out), d["model_info"]["name"], ".json", json.dumps(d, indent=1)) for d in documents]


def write_hub_results(url: str, out: str | Path, dataset: str, model: str | None = None, source_url: str = "") -> list[Path]:
    """Writes one model's results as YAML for `.eval_results/`; returns its path.

    Raises:
        UsageError: No such store or model, several models, or no score.
    """
    records = [record for record in stored_records(url) if model in (None, record.model)]
    if not records:
        raise UnknownName("model in this store", str(model), {record.model for record in stored_records(url)})
    return [_write(Path(out), records[0].model, ".yaml", hub_results(records, dataset, source_url))]


def _write(folder: Path, name: str, ending: str, text: str) -> Path:
    path = folder / f"{safe_name(name).replace('/', '_')}{ending}"
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        return temporary.replace(path)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}; choose another --out.") from error
