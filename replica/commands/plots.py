"""What `dvc plots` shows, without a network: its pages with Vega in them, and its plots as PNG or SVG files."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterator
from pathlib import Path

import vl_convert
from dvc.exceptions import DvcException
from dvc.render.match import match_defs_renderers
from dvc.repo import Repo
from dvc_render.base import Renderer
from scmrepo.exceptions import SCMError

from replica.common.errors import UserError, listed, nearest

VEGA_LITE = "6.4"
EMBED = "window.vegaEmbed = vegaEmbed;"
PAGE = "plots/page.html"  # below .dvc


def offline() -> Path:
    """Let the pages of `dvc plots` hold Vega, Vega-Lite and Vega-Embed: 0.9 MB each, and nothing is loaded.

    Writes the page's template, names it in .dvc/config.local and returns it. DVC refuses to draw where a template that
    is configured is missing, so a clone that has not been set up must not name it.
    """
    page = Path(__file__).with_suffix(".html").read_text()
    page = page.replace("VEGA", vl_convert.javascript_bundle(EMBED, VEGA_LITE), 1)
    try:
        with Repo() as repo:
            file = write(Path(repo.dvc_dir or "") / PAGE, "", ".html", page.encode())
            with repo.config.edit("local") as config:
                config.setdefault("plots", {})["html_template"] = PAGE
    except (DvcException, SCMError) as error:
        raise UserError(f"dvc plots: {error}") from None
    return Path(os.path.relpath(file))


def render(targets: list[str], revs: list[str], suffix: str, folder: Path) -> Iterator[Path]:
    """Draw the plots that `dvc plots show TARGET…` shows into files, with its templates, and yield each file.

    Parameters
    ----------
    targets
        Plots' names or files, as `dvc plots` takes them; none: all.
    revs
        Revisions to lay over each other; none: the workspace.
    suffix
        png (at twice the screen's resolution) or svg. What is a picture already is copied as it is.
    folder
        Gets a file a plot: plots/variants/X/history.csv becomes variants/X/history.png.

    Raises
    ------
    UserError
        For a suffix, target or revision that there is not, and where nothing can be drawn.
    """
    if suffix not in ("png", "svg"):
        raise UserError(f"--format: got {suffix!r}; allowed: png, svg")
    try:
        with Repo() as repo:
            found = renderers(repo, targets, revs or ["workspace"])
            if not any(each.datapoints for each in found):
                known = {each.name for each in renderers(repo, [], list({"workspace", *revs}))}
                raise UserError(f"dvc plots: {nothing(targets, revs, sorted(known))}")
    except (DvcException, SCMError) as error:
        raise UserError(f"dvc plots: {error}") from None
    for renderer in found:
        name = re.sub(r"[^\w./-]+", "_", renderer.name.removeprefix("plots/"))
        if renderer.TYPE == "image":
            for point in renderer.datapoints:
                rev = f"_{point['rev']}".replace("/", "_") if revs else ""
                content = base64.b64decode(point["src"].partition(",")[2])
                yield write(folder / name, rev, Path(name).suffix, content)
        elif renderer.datapoints:
            yield write(folder / name, "", f".{suffix}", drawn(renderer.get_filled_template(), suffix))


def renderers(repo: Repo, targets: list[str], revs: list[str]) -> list[Renderer]:
    """What DVC would draw, as dvc_render's objects; those without data are of files that are not there."""
    found = match_defs_renderers(repo.plots.show(targets, revs), templates_dir=repo.plots.templates_dir)
    return [each.renderer for each in found]


def nothing(targets: list[str], revs: list[str], known: list[str]) -> str:
    """Why nothing was drawn, in a line."""
    for target in targets:
        if not any(f"{name}/".startswith(f"{target.rstrip('/')}/") for name in known):
            return f"got {target!r}, no plot of that name; {nearest(target, known)}allowed: {listed(target, known)}"
    what = f"{', '.join(targets)}: no data" if targets else "there is nothing to draw"
    if revs:
        return f"{what} in {', '.join(revs)}; allowed: a --rev whose commit has it, or none, for the working folder"
    return f"{what} yet; run `dvc repro`"


def drawn(spec: dict, suffix: str) -> bytes:
    """A Vega-Lite chart as a picture's bytes; nothing is loaded."""
    if suffix == "svg":
        return vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE, allowed_base_urls=[]).encode()
    return vl_convert.vegalite_to_png(spec, vl_version=VEGA_LITE, scale=2, allowed_base_urls=[])


def write(plot: Path, rev: str, suffix: str, content: bytes) -> Path:
    file = plot.with_name(f"{plot.stem}{rev}{suffix}")
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_bytes(content)
    return part.replace(file)
