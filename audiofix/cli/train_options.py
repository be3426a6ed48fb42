"""Options of `audiofix train` about what is read and how long."""

from __future__ import annotations

from typing import Annotated

import typer

_PANEL = "Data"

Data = Annotated[
    list[str] | None,
    typer.Option(
        "--data", metavar="SET",
        help="Train on this instead of the config's folders: vctk:PATH, musdb:PATH#vocals (or #drums+bass) or "
        "folder:PATH. Repeat for several; for a separator one for each source, in its order.",
        show_default=False, rich_help_panel=_PANEL,
    ),
]  # fmt: skip
Valid = Annotated[
    list[str] | None,
    typer.Option(
        "--valid", metavar="SET",
        help="Validate on this. Default: what the sets of --data hold out.",
        show_default=False, rich_help_panel=_PANEL,
    ),
]  # fmt: skip
Steps = Annotated[
    int | None,
    typer.Option(
        "--steps", metavar="N", min=1, help="Stop after so many steps in all, if the hours are not over first.",
        show_default=False,
    ),
]  # fmt: skip
Device = Annotated[
    str | None,
    typer.Option(
        "--device", metavar="NAME", help="cpu, cuda or auto. Default: the config's.", show_default=False
    ),
]
