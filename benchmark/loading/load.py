"""`flowgauge.load_model`: any model that a run can name, loaded."""

from __future__ import annotations

from typing import Any

from .model_handle import ModelHandle, check_model


def load_model(
    name: str,
    dtype: str = "float32",
    device: str = "cpu",
    revision: str | None = None,
    *,
    store: str = "results",
    quiet: bool = True,
) -> Any:
    """Loads the model called `name`, in evaluation mode, with every weight frozen.

    Args:
        name: As `flowgauge run --model` takes it: an embedded model (`agreement-bert`, `agreement-gpt2`), one that
            flowgauge builds (`planted`), a folder with a Hugging Face checkpoint, or a name on the Hub.
        dtype: One of float32, float64, bfloat16, float16.
        device: A torch device, such as `cpu` or `cuda`; `auto`: the GPU if there is one.
        revision: Branch, tag or commit on the Hub.
        store: Where the weights of a model that flowgauge trains (`sst-gru`) are kept: a folder or an fsspec URL.
        quiet: Shows no progress bar of such a training.

    Returns:
        A `FlowModel`, or another `Layered` model where it is no transformer.

    Raises:
        UsageError: No such model, with near matches; no tokenizer, an unsupported head or family, an unknown dtype or device.
    """
    check_model(name)
    return ModelHandle(name, store, dtype, device, revision=revision, quiet=quiet).load()
