"""What mkdocs calls while it builds the site: pages that follow from the code, their place in the navigation, and links."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.structure.files import File

from documentation.api_page import api_page
from documentation.notebooks import NOTEBOOKS, notebook_page
from documentation.plugin_pages import PluginPage, by_group, plugin_pages
from flowgauge.methods.registry import METHODS
from flowgauge.metrics.registry import METRICS

ROOT = Path(__file__).resolve().parents[2]
COPIED = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "models/zoo/agreement-bert/README.md": "agreement-bert.md",
    "models/zoo/agreement-bert-plain/README.md": "agreement-bert-plain.md",
    "models/zoo/agreement-gpt2/README.md": "agreement-gpt2.md",
    "models/zoo/agreement-gpt2-plain/README.md": "agreement-gpt2-plain.md",
}
"""Pages of the repository outside docs/ that are pages of the site, too."""
ELSEWHERE = {
    **COPIED,
    "README.md": "index.md",
    "docs/adr": "adr/index.md",
    "methods": "methods/index.md",
    "metrics": "metrics/index.md",
    "src/flowgauge/__init__.py": "api.md",
    **{f"docs/notebooks/{path.name}": f"notebooks/{path.stem}.md" for path in NOTEBOOKS.glob("*.ipynb")},
}
"""Where links lead that go to a path of the repository."""
SOURCES = {
    (f"{registry.builtin[name].partition(':')[0].removeprefix('flowgauge.').replace('.', '/')}.py", name): f"{kind}s/{name}.md"
    for kind, registry in (("method", METHODS), ("metric", METRICS))
    for name in registry.builtin
}
"""The page of a built-in plug-in, by its source and its name."""


def on_config(config: Any) -> Any:
    """Adds the pages of methods, metrics and decisions to the navigation."""
    for section in config.nav:
        ((title, members),) = section.items()
        if title in ("Methods", "Metrics"):
            groups = by_group("method" if title == "Methods" else "metric")
            members += [{group: [f"{each.kind}s/{each.name}.md" for each in plugins]} for group, plugins in groups.items()]
        if title == "Reference":
            members[-1]["Decisions"] += [f"adr/{path.name}" for path in decisions()]
    return config


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages that no file below docs/ holds."""
    pages = [
        *plugin_pages(),
        PluginPage("api.md", api_page()),
        PluginPage("adr/index.md", decisions_page()),
        *(PluginPage(to, moved(source, (ROOT / source).read_text(encoding="utf-8"))) for source, to in COPIED.items()),
    ]
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        text, pictures = notebook_page(path)
        pages += [PluginPage(f"notebooks/{name}", data) for name, data in pictures.items()]
        pages.append(PluginPage(f"notebooks/{path.stem}.md", text))
    for page in pages:
        files.append(File.generated(config, page.path, content=page.content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turns links that leave docs/ into links of the site, or into plain words where the site has no such page."""
    if page.file.generated_by:
        return markdown
    return moved(f"docs/{page.file.src_uri}", markdown)


def moved(source: str, markdown: str) -> str:
    """A page's Markdown with links that work on the site.

    Args:
        source: The page's path in the repository.
        markdown: Its text.

    >>> moved("CHANGELOG.md", "see [the plan](docs/intervals.md) and [code](benchmark/engine/run.py)")
    'see [the plan](intervals.md) and code (`benchmark/engine/run.py`)'
    """
    home = PurePosixPath(COPIED.get(source, source.removeprefix("docs/"))).parent

    def link(match: re.Match[str]) -> str:
        text, address, anchor = match["text"], match["address"], match["anchor"] or ""
        if re.match(r"[a-z]+:", address) or not address:
            return match[0]
        path = (ROOT / PurePosixPath(source).parent / address).resolve().relative_to(ROOT).as_posix()
        page = ELSEWHERE.get(path) or _page_of(path, text)
        if page:
            target, anchor = page, ""
        elif path.startswith("docs/"):
            target = path.removeprefix("docs/")
        else:
            return f"{text} (`{path}`)"
        return f"[{text}]({'../' * len(home.parts)}{target}{anchor})"

    return re.sub(r"(?<!!)\[(?P<text>[^\]]+)\]\((?P<address>[^)#\s]*)(?P<anchor>#[^)]*)?\)", link, markdown)


def _page_of(path: str, text: str) -> str:
    """The page of the plug-in of a source file that a link's text names, or the only one there; empty where there is none."""
    pages = {name: page for (file, name), page in SOURCES.items() if file == path}
    return pages.get(text.strip("`").replace(" ", "-")) or (next(iter(pages.values())) if len(pages) == 1 else "")


def decisions() -> list[Path]:
    """The records of decisions, in order."""
    return sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))


def decisions_page() -> str:
    """The list of decisions with their titles."""
    titles = {path: path.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ") for path in decisions()}
    listed = "\n".join(f"- [{title}]({path.name})" for path, title in titles.items())
    lead = "Each page has a decision that would cost a day to reverse, its reason, and what was not chosen."
    return f"# Decisions\n\n{lead}\n\n{listed}\n"
