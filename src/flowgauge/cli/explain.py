"""`flowgauge explain`: one text, explained by one method or several, in the terminal, as a page or as a picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ..core.errors import UsageError
from .completion import complete_method, complete_model
from .console import reporting
from .options import PLUGIN_SPEC, Debug, Json, Memory, Revision

PICTURES = (".png", ".svg")


def explain(
    text: Annotated[
        str,
        typer.Argument(metavar="TEXT", help="The text, with [MASK] where a masked LM fills in a word; for spans, the question."),
    ],
    text2: Annotated[str | None, typer.Option("--text2", help="The second text of a pair; for spans, the passage.")] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            autocompletion=complete_model,
            show_default="agreement-bert, for a text with [MASK]",
            help="A name in `flowgauge list models`, a name on the Hugging Face Hub, or a folder.",
        ),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option("--method", "-x", autocompletion=complete_method, show_default="influence-patterns", help=PLUGIN_SPEC),
    ] = None,
    good: Annotated[str | None, typer.Option(show_default="the model's own", help="The answer to ask about.")] = None,
    bad: Annotated[
        str | None, typer.Option(show_default="the model's strongest other", help="What the answer is held against.")
    ] = None,
    counterpart: Annotated[
        str | None,
        typer.Option(help="TEXT with what decides flipped, in as many tokens; methods such as eap-ig exchange states with it."),
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with the words shaded to this file.")] = None,
    out: Annotated[Path | None, typer.Option(help="Draw a picture into this file, which ends in .png or .svg.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of random methods.")] = 0,
    device: Annotated[str, typer.Option(help="A torch device; auto is the GPU if there is one.")] = "auto",
    memory: Memory = None,
    revision: Revision = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Explain one answer of a model to one text: the words shaded, with their scores."""
    with reporting(debug):
        if out is not None and out.suffix.lower() not in PICTURES:
            raise UsageError(f"--out {out} must end in {' or '.join(PICTURES)}.")
        from ..display.explain import DEFAULT_METHOD
        from ..display.explain import explain as explain_text
        from ..models.memory import DEFAULT, memory_bytes, within_memory

        with within_memory(memory_bytes(memory or DEFAULT)):
            explained = explain_text(
                text,
                model,
                method or [DEFAULT_METHOD],
                text2=text2,
                good=good,
                bad=bad,
                counterpart=counterpart,
                seed=seed,
                device=device,
                revision=revision,
            )
        if html is not None:
            from ..display.page import write_page

            write_page(explained, html)
        if out is not None:
            from ..display.pictures import write_picture

            write_picture(explained.plot(), out)
        if as_json:
            typer.echo(json.dumps(explained.to_dict(), indent=1))
        elif html is None and out is None:
            from ..display.terminal import print_explained

            print_explained(explained)
        else:
            typer.echo("\n".join(str(path) for path in (html, out) if path is not None))
