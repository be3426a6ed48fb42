"""Training settings, read from a TOML file; every key has a default and an unknown key is an error."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from audiofix.errors import SettingError
from audiofix.training.bands import Bands
from audiofix.training.degrade import Simulation
from audiofix.training.gaps import Gaps
from audiofix.training.sets import is_set, parse_set
from audiofix.training.variation import Variation

TRAINABLE = ("wavenet", "score", "separator", "inpainter", "upsampler", "envelope")


@dataclass(frozen=True)
class TrainConfig:
    """How one prior is trained: hours of processor time, windows in samples, gains in dB, sigma in amplitude.

    A separator has one folder for each source in `train` and `valid`, a `simulation` of mixtures
    (`training.degrade.Simulation`), and shares of items that see the mixture alone (`blind_share`) or that do not
    see it (`hide_share`). An inpainter has a table of `gaps` (`training.gaps.Gaps`), an upsampler one of `bands`
    (`training.bands.Bands`), both a `blind_share`; an envelope has `bands` too. Windows of score priors,
    WaveNets and envelopes are varied as a table `variation` (`training.variation.Variation`) says. A WaveNet with
    the name of a separator in `shown` is conditioned on mixtures with the folders in `mixed_train` and
    `mixed_valid`, one for each other source of the separator, and on what the separator says of them;
    `hide_share` of the items show it neither.

    `train` and `valid` name folders or sets (`training.sets`): vctk:PATH, musdb:PATH#vocals, folder:PATH. A set
    named in both is split by its own rule. With `steps` a run ends after so many, if its hours are not over first.
    `precision` fp32 or bf16 says what auto leaves to `bf16` and the device. Batches are drawn ahead, `read_ahead`
    of them: none for plain folders, four for sets, unless it is given. `batch` is of each process.
    """

    name: str
    source: str
    train: tuple[str, ...]
    valid: tuple[str, ...]
    family: str = "wavenet"
    sample_rate: int = 16000
    licence: str = "unstated"
    trained_on: tuple[dict[str, str], ...] = ()
    sigma_min: float = 0.001
    sigma_max: float = 1.0
    window: int = 20480
    batch: int = 4
    gain_db: tuple[float, float] = (-12.0, 4.0)
    hours: float = 2.0
    steps: int = 0
    warmup_steps: int = 200
    decay_share: float = 0.3
    optimizer: str = "adamw"
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    clip: float = 1.0
    ema: float = 0.999
    bf16: bool = True
    precision: str = "auto"
    device: str = "auto"
    read_ahead: int = -1
    compile: bool = True
    seed: int = 0
    checkpoint_minutes: float = 4.0
    validate_minutes: float = 12.0
    log_steps: int = 50
    objective: str = "denoising"
    blind_share: float = 0.6
    hide_share: float = 0.1
    simulation: dict[str, Any] = field(default_factory=dict)
    gaps: dict[str, Any] = field(default_factory=dict)
    bands: dict[str, Any] = field(default_factory=dict)
    variation: dict[str, Any] = field(default_factory=dict)
    shown: str | None = None
    trusted_rise_db: float | None = None  # of an envelope: see its card
    eased_db: float | None = None  # the same
    mixed_train: tuple[str, ...] = ()
    mixed_valid: tuple[str, ...] = ()
    network: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        checks = (
            (0 < self.sigma_min < self.sigma_max, "sigma_min must be positive and below sigma_max"),
            (self.window > 0 and self.batch > 0, "window and batch must be positive"),
            (
                all({"source", "licence"} == set(t) for t in self.trained_on),
                "trained_on: source and licence each",
            ),
            (self.family in TRAINABLE, f"family: one of {', '.join(TRAINABLE)}"),
            (
                self.family != "separator"
                or len(self.train) == len(self.valid) == len(self.source.split(",")) > 1,
                "a separator has two or more sources, such as speech,piano, and as many train and valid folders",
            ),
            (
                (self.shown is not None) == bool(self.mixed_train)
                and (self.shown is None or self.family == "wavenet"),
                "shown names a separator for a wavenet, together with mixed_train and mixed_valid",
            ),
            *(
                (
                    value is None or (self.family == "envelope" and value >= 0),
                    f"{name} is of an envelope, 0 or more",
                )
                for name, value in (("trusted_rise_db", self.trusted_rise_db), ("eased_db", self.eased_db))
            ),
            (
                len(self.mixed_train) == len(self.mixed_valid),
                "mixed_train and mixed_valid need as many folders, one for each other source",
            ),
            (self.objective in ("denoising", "sliced"), "objective: denoising or sliced"),
            # A compiled network has no gradient of its gradient.
            (self.objective == "denoising" or not self.compile, "objective sliced needs compile = false"),
            (self.optimizer in ("adamw", "muon"), "optimizer: adamw or muon"),
            (self.precision in ("auto", "fp32", "bf16"), "precision: auto, fp32 or bf16"),
            (self.device in ("auto", "cpu") or self.device.startswith("cuda"), "device: auto, cpu or cuda"),
            (self.steps >= 0, "steps must be positive, or 0 to go by hours alone"),
            (self.log_steps > 0, "log_steps must be positive"),
            (self.hours > 0, "hours must be positive"),
            (0 <= self.decay_share <= 1, "decay_share lies between 0 and 1"),
            (0 <= self.ema < 1, "ema lies in [0, 1)"),
        )
        for good, message in checks:
            if not good:
                raise SettingError(f"training config {self.name}: {message}")
        tables = (("simulation", Simulation), ("gaps", Gaps), ("bands", Bands), ("variation", Variation))
        for table, kind in tables:
            try:
                kind(**getattr(self, table))
            except TypeError as error:
                raise SettingError(f"training config {self.name}, [{table}]: {error}") from error
        for text in (*self.train, *self.valid, *self.mixed_train, *self.mixed_valid):
            if is_set(text):
                parse_set(text)


def read_config(path: Path) -> TrainConfig:
    """Read a TOML file. Raises SettingError when it is missing, malformed, or has a key we do not know."""
    try:
        values = tomllib.loads(Path(path).read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingError(f"cannot read training config {path}: {error}") from error
    known = {f.name for f in fields(TrainConfig)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise SettingError(f"{path}: unknown keys {', '.join(unknown)}; possible: {', '.join(sorted(known))}")
    missing = sorted({"name", "source", "train", "valid"} - set(values))
    if missing:
        raise SettingError(f"{path}: missing keys {', '.join(missing)}")
    settings: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    try:
        return TrainConfig(**settings)
    except TypeError as error:  # a text where a number belongs
        raise SettingError(f"{path}: a value of the wrong type ({error})") from error
