"""What to run: `Plan`, from a YAML file, from flags or from both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError, WithJsonSchema

from ...core.errors import UnknownName, UsageError, quoted
from ...core.registry import Spec, plugin_file
from ...core.text_files import parse_yaml, read_text
from ...models.memory import DEFAULT as DEFAULT_MEMORY
from ...models.memory import memory_bytes

DEFAULT_MODEL = "agreement-bert"
DEFAULT_METHODS = ("influence-patterns", "attention", "conductance", "random")
CONTROL = Spec("random", {"draws": 5})
"""What stands beside the methods of a plan that names no metrics."""
PLANS = Path(__file__).parents[1] / "plans"
"""Plans that come with the package."""


def _spec(entry: Any) -> Any:
    entry = _path_as_text(entry)
    return Spec.parse(entry) if isinstance(entry, (str, Mapping)) else entry


def _path_as_text(entry: Any) -> Any:
    return str(entry) if isinstance(entry, PurePath) else entry


def _memory(entry: Any) -> str:
    memory_bytes(entry)
    return str(entry)


def _several(entry: Any) -> Any:
    return (entry,) if isinstance(entry, (str, int, Mapping, Spec)) else entry


_WORD = {"type": "string", "description": "name, or name:key=value,key=value"}
_MAPPING = {
    "type": "object",
    "properties": {"name": {"type": "string"}},
    "required": ["name"],
    "description": "name and settings",
}
_PLUG_IN: dict[str, Any] = {"anyOf": [_WORD, _MAPPING]}
Seed = Annotated[int, Field(ge=0, lt=2**63)]
"""A seed that every random generator takes."""
PlugIn = Annotated[Spec, BeforeValidator(_spec), WithJsonSchema(_PLUG_IN)]
PlugIns = Annotated[
    tuple[PlugIn, ...],
    BeforeValidator(_several),
    Field(min_length=1),
    WithJsonSchema({"anyOf": [_PLUG_IN, {"type": "array", "items": _PLUG_IN, "minItems": 1}]}),
]
_SEED = {"type": "integer", "minimum": 0, "exclusiveMaximum": 2**63}
_SEEDS = WithJsonSchema({"anyOf": [_SEED, {"type": "array", "items": _SEED, "minItems": 1}]})


METRICS_OF_PLAN = BeforeValidator(lambda entry: () if entry in ("none", ("none",), ["none"]) else _several(entry))
Metrics = Annotated[
    tuple[PlugIn, ...], METRICS_OF_PLAN, WithJsonSchema({"anyOf": [_PLUG_IN, {"type": "array", "items": _PLUG_IN}]})
]


class Plan(BaseModel):
    """Cells to run: every task with every method and seed, scored by every metric.

    Attributes:
        model: An embedded model's name, a Hugging Face name or a folder; None: the task's own model, else agreement-bert.
        revision: Branch, tag or commit on the Hub.
        tasks: Names, files or folders of rows, globs of either such as `sva/*`; `name:key=value` sets a setting.
        methods: Names or `file.py[:name]`, with settings after a colon.
        metrics: Names or `file.py[:name]`, with settings after a colon; `none`: nothing is scored. None: the scorecard, which has
            what the views of the methods allow (`metrics.scorecard`), with `random` beside the methods.
        seeds: Methods that draw have one cell a seed.
        limit: Instances a task, balanced over conditions, of those that `where` and `max_tokens` leave; None: all.
        fit_limit: Instances of the train split that methods are trained on, if they are trained; None: all.
        sample_seed: Seed of the two samples that `limit` and `fit_limit` draw.
        split: The split of the task that is explained.
        dtype: Floating-point type of the weights.
        device: A torch device; `auto`: the GPU if there is one.
        batch_size: Instances a batch; None: 32, fewer for long sentences.
        memory: What explaining and scoring may take at once above the loaded model, such as 4GiB; work is split to stay below.
        max_tokens: Sentences with more tokens are left out, before `limit` draws.
        on_split: Whether a word that is not one token stops the run or leaves the sentence out.
        columns: The file's name of each of flowgauge's columns, for tasks from a file.
        where: Values of columns that rows must have, for tasks from a file.
        data_dir: Folder of published data sets, for tasks that read them; None: $FLOWGAUGE_DATA, else the Hub.
        store: Folder or fsspec URL that results go to.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    model: str | None = None
    revision: str | None = None
    tasks: PlugIns
    methods: PlugIns = tuple(Spec(name, {}) for name in DEFAULT_METHODS)
    metrics: Metrics | None = None
    seeds: Annotated[tuple[Seed, ...], BeforeValidator(_several), Field(min_length=1), _SEEDS] = (0,)
    limit: PositiveInt | None = None
    fit_limit: PositiveInt | None = None
    sample_seed: NonNegativeInt = 0
    split: str = "test"
    dtype: Literal["float32", "float64", "bfloat16", "float16"] = "float32"
    device: str = "auto"
    batch_size: PositiveInt | None = None
    memory: Annotated[str, BeforeValidator(_memory)] = DEFAULT_MEMORY
    max_tokens: PositiveInt | None = None
    on_split: Literal["error", "skip"] = "error"
    columns: dict[str, str] = {}
    where: dict[str, str] = {}
    data_dir: str | None = None
    store: Annotated[str, Field(min_length=1)] = "results"

    @classmethod
    def make(cls, **fields: Any) -> Plan:
        """A plan from its fields; what is wrong with them is said in one line.

        Raises:
            UsageError: An unknown field, with near matches, or a value out of range.

        >>> Plan.make(tasks="sva/obj", limit=8).limit
        8
        """
        for key in fields:
            if key not in cls.model_fields:
                raise UnknownName("field of a plan", key, cls.model_fields)
        try:
            return cls(**{key: _path_as_text(value) for key, value in fields.items()})
        except ValidationError as error:
            faults = [_fault(e) for e in error.errors()]
            more = f"; and {len(faults) - 3} more" if len(faults) > 3 else ""
            raise UsageError(f"an option or a field of the plan is refused: {'; '.join(faults[:3])}{more}") from error

    @classmethod
    def load(cls, path: str | Path, **flags: Any) -> Plan:
        """A plan from a YAML file.

        Args:
            path: The file, or the name of a plan that comes with the package, such as `demo`. Plug-in files that it names and
                that are not in the working folder are those beside it.
            flags: Fields that override the file's, unless they are None.

        Raises:
            UsageError: No such file, a file that is not YAML (with the line), or no plan.
        """
        path = _find(path)
        stored = parse_yaml(read_text(path, "plan"), str(path))
        if stored is None:
            raise UsageError(f"the plan {path} is empty: write at least a line with tasks.")
        if not isinstance(stored, dict):
            raise UsageError(f"the plan {path} must be a mapping with tasks, methods and so on, got {type(stored).__name__}.")
        overriding = {key: value for key, value in flags.items() if value is not None}
        return cls.make(**{str(key): _beside(value, path) for key, value in stored.items()} | overriding)


def _find(path: str | Path) -> Path:
    """The file itself, or the packaged plan of that name."""
    packaged = {file.stem: file for file in PLANS.glob("*.yaml")}
    if Path(path).exists() or Path(path).suffix:
        return Path(path)
    if str(path) not in packaged:
        raise UnknownName("plan", str(path), packaged, "A plan of your own is a file with a name ending in .yaml.")
    return packaged[str(path)]


def _beside(entry: Any, plan: Path) -> Any:
    """What a plan says, with the path of each plug-in file that lies beside the plan and not in the working folder."""
    if isinstance(entry, list):
        return [_beside(one, plan) for one in entry]
    if isinstance(entry, Mapping) and "name" in entry:
        return {**entry, "name": _beside(entry["name"], plan)}
    file = plugin_file(entry)[0] if isinstance(entry, str) else None
    there = file is not None and not file.is_file() and (plan.parent / file).is_file()
    return str(plan.parent / entry) if there else entry


def _fault(error: Mapping[str, Any]) -> str:
    """What is wrong with one field: where, why, and what it was."""
    where = ".".join(str(part) for part in error["loc"])
    if error["type"] == "missing":
        return f"{where} is missing"
    return f"{where}: {error['msg'].removeprefix('Value error, ')}, got {quoted(error['input'], 100)}"


def as_mapping(spec: Spec) -> dict[str, Any]:
    """A spec as plan files write it.

    >>> as_mapping(Spec("attention", {"residual": 0.3}))
    {'name': 'attention', 'residual': 0.3}
    """
    return {"name": spec.name, **spec.settings}


def request_of(plan: Plan, model: str, task: Spec, method: Mapping[str, Any]) -> dict[str, Any]:
    """What a cell was asked for, in the user's words: the field `asked` of its record, by which it can be scored again."""
    return {
        "model": model, "revision": plan.revision, "task": as_mapping(task), "columns": plan.columns, "method": dict(method),
    }  # fmt: skip


def unique(specs: Sequence[Spec]) -> list[Spec]:
    """Specs without repetitions, in their order.

    >>> [spec.name for spec in unique([Spec("b", {}), Spec("a", {}), Spec("b", {})])]
    ['b', 'a']
    """
    return [spec for index, spec in enumerate(specs) if spec not in specs[:index]]
