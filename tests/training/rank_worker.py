"""One of two processes that train together: steps, then what it saw and holds into a file. Run by test_team.py."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from audiofix.training import optimizers
from audiofix.training.config import read_config
from audiofix.training.team import Team, join, leave
from audiofix.training.trainer import Trainer


def weights(trainer: Trainer) -> list[torch.Tensor]:
    return [p.detach().clone() for net in (trainer.net, trainer.average) for p in net.parameters()]


def report(config_file: Path, out: Path, team: Team) -> None:
    torch.set_num_threads(1)
    optimizers.LEAST_SIDE = 8  # tiny networks have no matrix as wide as Muon wants
    config = read_config(config_file)
    trainer = Trainer(config, out / f"run-{config.name}", team)
    batch = trainer.draw(0)
    losses = [float(trainer.gradient())]
    gradient = [p.grad.clone() for p in trainer.net.parameters()]
    real, trainer.gradient = trainer.gradient, lambda: torch.tensor(losses[0])
    trainer.step()  # with the gradient that is there
    trainer.gradient = real
    first = weights(trainer)
    trainer.step()
    trainer.save()
    losses.append(trainer.step())
    # A second trainer resumes; only the first process has the file in its folder.
    again = Trainer(config, (out / f"run-{config.name}") if team.first else out / "nothing here", team)
    resumed = again.resume()
    losses.append(again.step())
    same = all(torch.equal(a, b) for a, b in zip(weights(trainer), weights(again), strict=True))
    torch.save(
        {
            "batch": list(batch),
            "gradient": gradient,
            "first": first,
            "last": weights(trainer),
            "losses": losses,
            "resumed": resumed,
            "same": same,
            "seconds": trainer.progress.audio_seconds,
        },
        out / f"{config.name}-{team.rank}.pt",
    )


if __name__ == "__main__":
    team = join("cpu")  # once: a second group would find the first one's address
    for name in sys.argv[2:]:
        report(Path(name), Path(sys.argv[1]), team)
    leave()
