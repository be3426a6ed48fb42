"""Pictures: how far draws lie apart, and what restoring changed. matplotlib is imported when one is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


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


def save_restoration(path: Path, before: Tensor, after: Tensor, sample_rate: int) -> None:
    """Spectrograms before and after, and of the change, of the mean over channels. PNG.

    before, after: (channel, time). The same colours in all three: dB under the loudest bin of what came out.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from audiofix.numerics.spread import FLOOR_DB, HOP, level_db

    waves = [wave.mean(dim=0) for wave in (before, after)]
    waves.append(waves[1] - waves[0])
    most = max(float(level_db(wave).max()) for wave in waves[:2])
    figure = Figure(figsize=(10, 8), layout="constrained")
    FigureCanvasAgg(figure)
    for place, (wave, heading) in enumerate(
        zip(waves, ("before", "after", "what was changed"), strict=True), 1
    ):
        values = level_db(wave)
        axes = figure.add_subplot(3, 1, place)
        image = axes.imshow(
            values.numpy() - most,
            origin="lower",
            aspect="auto",
            cmap="magma",
            vmin=FLOOR_DB,
            vmax=0.0,
            extent=(0.0, values.shape[1] * HOP / sample_rate, 0.0, sample_rate / 2000),
        )
        axes.set(title=heading, ylabel="kHz")
        figure.colorbar(image, ax=axes, label="dB")
    axes.set_xlabel("s")
    figure.savefig(path, format="png", dpi=100, metadata={"Software": None})
