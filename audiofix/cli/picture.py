"""Pictures: how far draws lie apart, and what restoring changed. matplotlib is imported when one is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage
    from torch import Tensor

    from audiofix.numerics.overview import Overview, Read
    from audiofix.runtime.stores import Store

DPI = 200  # so that the columns of an overview are a dot wide or more
NEAR_SECONDS = 4.0
VISIBLE = 5  # columns that a mark is wide


def save_spread(path: Path, draws: Sequence[Tensor], sample_rate: int, title: str) -> None:
    """Two spectrograms, one above the other: what sounds, and what share of it is a guess. PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from audiofix.numerics.spread import FLOOR_DB, HOP, certainty_db

    level, apart = certainty_db(draws)
    figure = Figure(figsize=(10, 6), layout="constrained")
    FigureCanvasAgg(figure)
    seconds = level.shape[1] * HOP / sample_rate
    panels = (
        (level, "magma", "level, dB", title),
        (apart, "viridis", "spread over draws, dB of the power", "bright: the draws disagree, a guess"),
    )
    for place, (values, colours, label, heading) in enumerate(panels, 1):
        axes = figure.add_subplot(2, 1, place)
        image = axes.imshow(
            values.numpy(),
            origin="lower",
            aspect="auto",
            cmap=colours,
            vmin=FLOOR_DB,  # colours mean the same in every picture: draws that agree stay dark
            vmax=0.0,
            extent=(0.0, seconds, 0.0, sample_rate / 2000),
        )
        axes.set(title=heading, ylabel="kHz")
        figure.colorbar(image, ax=axes, label=label)
    axes.set_xlabel("s")
    figure.savefig(path, format="png", dpi=100, metadata={"Software": None})


def save_restoration(path: Path, before: Store, after: Store, sample_rate: int) -> None:
    """Spectrograms before and after, and of the change, of the mean over channels; and where samples changed. PNG.

    before, after: (channel, 1, time), read stretch by stretch. The same colours in all: dB under the loudest bin.
    Where a column stands for several frames, what was changed most is shown from near as well.
    """
    restoration(before, after, sample_rate).savefig(path, format="png", metadata={"Software": None})


def restoration(before: Store, after: Store, sample_rate: int) -> Figure:
    """The figure of `save_restoration`. Axes: before, after, change, touched, and from near before and after."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from audiofix.numerics.overview import overview

    def read(store: Store) -> Read:
        return lambda start, stop: store.read(start, stop)[:, 0]

    whole = overview(read(before), read(after), 0, after.stop)
    most = float(max(whole.before.max(), whole.after.max()))
    far = whole.frames > 1
    figure = Figure(figsize=(10, 11 if far else 8.5), layout="constrained", dpi=DPI)
    FigureCanvasAgg(figure)
    heights = [1, 1, 1, 0.15, *([1] if far else [])]
    grid = figure.add_gridspec(len(heights), 2, height_ratios=heights)
    levels = ((whole.before, "before"), (whole.after, "after"), (whole.change, "what was changed"))
    axes = [figure.add_subplot(grid[0, :])]
    axes += [figure.add_subplot(grid[row, :], sharex=axes[0]) for row in (1, 2, 3)]
    for place, (values, heading) in zip(axes[:3], levels, strict=True):
        image = _spectrogram(place, values - most, whole, heading, sample_rate)
    figure.colorbar(image, ax=axes[:3], label="dB")
    _touched(axes[3], whole, sample_rate)
    if far:
        middle, half = whole.sample(whole.most) + whole.sample(1) // 2, round(NEAR_SECONDS * sample_rate / 2)
        start = max(0, min(middle - half, after.stop - 2 * half))
        near = overview(read(before), read(after), start, min(after.stop, start + 2 * half))
        for column, (values, heading) in enumerate(((near.before, "before"), (near.after, "after"))):
            place = figure.add_subplot(grid[4, column])
            _spectrogram(place, values - most, near, f"{heading}, where most was changed", sample_rate)
            place.set_xlabel("s")
    return figure


def _spectrogram(axes: Axes, values: Tensor, of: Overview, heading: str, sample_rate: int) -> AxesImage:
    from audiofix.numerics.spread import FLOOR_DB

    edges = (of.sample(0) / sample_rate, of.sample(of.columns) / sample_rate)
    image = axes.imshow(
        values.numpy(),
        origin="lower",
        aspect="auto",
        cmap="magma",
        vmin=FLOOR_DB,
        vmax=0.0,
        interpolation="nearest",  # columns are as wide as a dot or wider, none is left out
        extent=(*edges, 0.0, sample_rate / 2000),
    )
    axes.set(title=heading, ylabel="kHz")
    return image


def _touched(axes: Axes, of: Overview, sample_rate: int) -> None:
    """A strip: dark where many samples were changed, never so light or narrow that it cannot be seen."""
    import torch

    share = of.touched[None]
    wide = torch.nn.functional.max_pool1d(share, VISIBLE, 1, VISIBLE // 2) if of.columns > VISIBLE else share
    shown = torch.where(wide > 0, 0.3 + 0.7 * wide, 0.0)
    seconds = of.sample(of.columns) / sample_rate
    axes.imshow(
        shown.numpy(), aspect="auto", cmap="Reds", vmin=0.0, vmax=1.0, interpolation="nearest",
        extent=(0.0, seconds, 0.0, 1.0),
    )  # fmt: skip
    axes.set(yticks=[], xlabel="s", title="red: samples that were changed")
