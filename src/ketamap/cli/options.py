"""Options that several verbs share: one wording, one metavar."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Image = Annotated[
    Path, typer.Argument(metavar="IMAGE", help="TIFF stack, folder of TIFF planes, or OME-Zarr.")
]
VoxelUm = Annotated[
    str | None,
    typer.Option("--voxel-um", metavar="Z,Y,X", help="Voxel size in um; default: the file's."),
]
Channel = Annotated[
    int | None, typer.Option(help="Channel to use, counted from 0, of an image with several.")
]
Background = Annotated[Path | None, typer.Option(help="Image of the same shape without the label.")]
BackgroundChannel = Annotated[
    int | None, typer.Option(help="Channel to use of a background with several.")
]
AtlasName = Annotated[
    str, typer.Option("--atlas", help="BrainGlobe name, or phantom_mouse_<25 to 200>um.")
]
AtlasDir = Annotated[
    Path | None,
    typer.Option(
        help="Folder with atlases in BrainGlobe's layout; default: your BrainGlobe cache."
    ),
]
Memory = Annotated[str, typer.Option(metavar="SIZE", help="Memory to stay within.")]
Device = Annotated[
    str,
    typer.Option(
        metavar="cpu|gpu", help="What filters the images; gpu: through CuPy, the extra `gpu`."
    ),
]
Threads = Annotated[int, typer.Option(help="Threads.")]
OutFolder = Annotated[Path, typer.Option("--out", help="Folder to write.")]
OutTable = Annotated[Path, typer.Option("--out", help="Table to write: .parquet or .csv.")]
