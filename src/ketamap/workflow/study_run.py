"""The whole study, from images to report: the only code that knows the order."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ketamap.core.errors import InputError, RegistrationError
from ketamap.core.study import Animal, Study
from ketamap.core.tables import ANIMALS, REGIONS
from ketamap.io.files import hash_file, remove_partial, replacing
from ketamap.io.manifests import read_json
from ketamap.io.studies import animals_table, check_groups, read_study
from ketamap.io.tables import read_table, write_table
from ketamap.io.trace_pictures import TRACE_PICTURES
from ketamap.io.tracings import TRACE
from ketamap.stats import build_design
from ketamap.workflow.analysis import TRUTH, analyse_study
from ketamap.workflow.atlases import open_atlas
from ketamap.workflow.brain import DEFAULT_MEMORY_BYTES, detect, register
from ketamap.workflow.engine import Outcome, Task, run_tasks
from ketamap.workflow.ledger import Ledger
from ketamap.workflow.manifest import write_manifest
from ketamap.workflow.progress import Quiet, Reporter
from ketamap.workflow.quantification import QuantifyFiles, quantify
from ketamap.workflow.spike_check import spikes_path
from ketamap.workflow.study_checks import require_detectable, signal_volume
from ketamap.workflow.trace_pictures import picture_traces, require_regions
from ketamap.workflow.tracing import trace
from ketamap.workflow.workers import (
    default_workers,
    open_workers,
    require_memory,
    require_workers,
)

STUDY_FILE = "study.yaml"
"""Copy of the study file in the study folder."""

_WEIGHTS = {"register": 6.0, "detect": 4.0, "trace": 8.0, "quantify": 1.0}
"""Rough shares of the time, for the progress bar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRun:
    """What a run did."""

    folder: Path
    """The study folder."""

    outcome: Outcome
    """Steps done and steps found done."""


def run(
    study_file: Path,
    *,
    out: Path,
    resume: bool = False,
    workers: int | None = None,
    scheduler: str | None = None,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
    accept_failed: bool = False,
    truth: Path | None = None,
    device: str = "cpu",
    reporter: Reporter | None = None,
) -> StudyRun:
    """Run a study: register, detect, trace and quantify every brain, analyse, report.

    Parameters
    ----------
    study_file
        The study, as YAML.
    out
        Study folder to write.
    resume
        Go on in a folder where a run was stopped; only what is missing or whose inputs
        changed is done again.
    workers
        Brains worked on side by side; left out: what cores and memory allow.
    scheduler
        Address of a Dask scheduler, used instead of processes on this machine.
    memory_bytes
        Memory for all workers together.
    accept_failed
        Go on although a brain's registration was judged a failure.
    truth
        Planted effects of a phantom study, to be shown beside the answer.
    device
        ``cpu`` or ``gpu``, for detection (`ketamap.detect.gpu`); the same cells, so that brains
        done by one need not be done again by the other.
    reporter
        Shows progress.

    Raises
    ------
    InputError
        If the study file, its design, or the folder cannot be used.
    RegistrationError
        If a brain's registration failed and ``accept_failed`` is not set.
    MissingExtraError, ResourceError
        If ``device`` is a GPU and there is none, or the memory is not there.
    """
    from ketamap.detect.gpu import open_device

    show = reporter or Quiet()
    study = read_study(study_file)
    check_groups(study)
    build_design(animals_table(study), study.design)  # refuses now what would fail at the end
    if study.trace_regions:
        atlas = open_atlas(study.atlas, atlas_dir=study.atlas_dir)
        require_regions(study.trace_regions, atlas.structures)
    require_detectable(study)
    if scheduler is None:
        require_memory(memory_bytes)
        open_device(device)  # refuses now what each brain would
    if workers is None:
        workers = default_workers(memory_bytes=memory_bytes, tasks=len(study.animals))
    require_workers(workers)
    _open_folder(out, resume=resume)
    _copy(study_file, out / STUDY_FILE)
    if truth is not None:
        _copy(truth, out / TRUTH)
    tasks = [
        task
        for animal in study.animals
        for task in brain_tasks(
            study, animal, out, memory_bytes=memory_bytes // workers, device=device
        )
    ]
    with Ledger(out) as ledger:
        with (
            show.stage(f"{len(study.animals)} brains, {workers} at a time") as progress,
            open_workers(workers=workers, scheduler=scheduler) as executor,
        ):
            outcome = run_tasks(tasks, ledger=ledger, executor=executor, progress=progress)
        _stop_at_failures(study, out, accept_failed=accept_failed)
        collect_regions(study, out)
        names = {animal.animal for animal in study.animals}
        seconds = {
            step: {name: s for name, s in by.items() if name in names}
            for step, by in ledger.seconds().items()
        }
        write_manifest(out, study=study, seconds=seconds, workers=workers, device=device)
    with show.stage("analyse and report") as progress:
        analyse_study(out, study)
        progress(1, 1)
    return StudyRun(folder=out, outcome=outcome)


def brain_tasks(
    study: Study, animal: Animal, out: Path, *, memory_bytes: int, device: str = "cpu"
) -> tuple[Task, ...]:
    """List the steps of one animal."""
    folder = f"animals/{animal.animal}"
    arguments: dict[str, Any] = {"study": study, "animal": animal, "folder": out / folder}
    traced = study.tracing is not None
    image = study.registered_image(animal)
    background = animal.background if study.detect_with_background else None

    def digests(*names: str) -> dict[str, str]:
        return {name: hash_file(out / folder / name) for name in names}

    return (
        Task(
            step="register",
            subject=animal.animal,
            call=register_animal,
            arguments=arguments,
            inputs=lambda: {
                "image": hash_file(image.path),
                "voxel_um": image.voxel_um,
                "channel": image.channel,
                "atlas": (study.atlas, study.atlas_dir),
                "orientation": study.orientation.code,
                "extent": study.extent,
                "mask": animal.mask and hash_file(animal.mask),
                "settings": asdict(study.registration),
            },
            outputs=(f"{folder}/registration",),
            weight=_WEIGHTS["register"],
        ),
        Task(
            step="detect",
            subject=animal.animal,
            call=detect_animal,
            arguments={**arguments, "memory_bytes": memory_bytes, "device": device},
            inputs=lambda: {
                "image": hash_file(animal.signal),
                "voxel_um": study.voxel_um,
                "channel": study.signal_channel,
                "settings": asdict(study.detection),
                "model": study.score_model and hash_file(study.score_model),
                "background": background and hash_file(background),
                "background_voxel_um": study.background_voxel_um if background else None,
                "background_channel": study.background_channel if background else None,
            },
            outputs=tuple(f"{folder}/{name}" for name in _detected(study)),
            weight=_WEIGHTS["detect"],
        ),
        *_trace_tasks(study, animal, out, arguments | {"memory_bytes": memory_bytes}),
        Task(
            step="quantify",
            subject=animal.animal,
            call=quantify_animal,
            arguments=arguments,
            inputs=lambda: {
                **digests("registration", "detected.parquet", *([TRACE] if traced else [])),
                "seen": signal_volume(study, animal).grid,
                "pictures": study.trace_regions if traced else None,
            },
            needs=tuple(
                (step, animal.animal)
                for step in ("register", "detect", *(["trace"] if traced else []))
            ),
            outputs=tuple(f"{folder}/{name}" for name in _outputs(study)),
            weight=_WEIGHTS["quantify"],
        ),
    )


def _detected(study: Study) -> tuple[str, ...]:
    """Name what detection leaves in an animal's folder."""
    cells = Path("detected.parquet")
    return (cells.name, spikes_path(cells).name) if study.detection.spike_ins else (cells.name,)


def _outputs(study: Study) -> tuple[str, ...]:
    """Name what quantification leaves in an animal's folder."""
    cells = ("regions.parquet", "cells.parquet", "balance.json")
    axons = ("axons.parquet", "axon_balance.json", TRACE_PICTURES)
    return cells if study.tracing is None else cells + axons


def _trace_tasks(
    study: Study, animal: Animal, out: Path, arguments: dict[str, Any]
) -> tuple[Task, ...]:
    """Trace axons where the study asks for it; cell bodies are known by then."""
    if study.tracing is None:
        return ()
    folder = f"animals/{animal.animal}"
    settings = asdict(study.tracing)
    return (
        Task(
            step="trace",
            subject=animal.animal,
            call=trace_animal,
            arguments=arguments,
            inputs=lambda: {
                "image": hash_file(animal.signal),
                "voxel_um": study.voxel_um,
                "channel": study.signal_channel,
                "settings": settings,
                "calibration": study.trace_calibration and hash_file(study.trace_calibration),
                "cells": hash_file(out / folder / "detected.parquet"),
            },
            needs=(("detect", animal.animal),),
            outputs=(f"{folder}/{TRACE}",),
            weight=_WEIGHTS["trace"],
        ),
    )


def register_animal(*, study: Study, animal: Animal, folder: Path) -> None:
    """Register one animal of a study into ``folder/registration``."""
    image = study.registered_image(animal)
    register(
        image.path,
        orientation=study.orientation.code,
        atlas=study.atlas,
        out=folder / "registration",
        voxel_um=image.voxel_um,
        channel=image.channel,
        atlas_dir=study.atlas_dir,
        extent=study.extent,
        mask=animal.mask,
        settings=study.registration,
    )


def detect_animal(
    *, study: Study, animal: Animal, folder: Path, memory_bytes: int, device: str = "cpu"
) -> None:
    """Find the cells of one animal and write ``folder/detected.parquet``."""
    detect(
        animal.signal,
        out=folder / "detected.parquet",
        voxel_um=study.voxel_um,
        channel=study.signal_channel,
        background=animal.background if study.detect_with_background else None,
        background_voxel_um=study.background_voxel_um,
        background_channel=study.background_channel,
        settings=study.detection,
        model=study.score_model,
        memory_bytes=memory_bytes,
        device=device,
    )


def trace_animal(*, study: Study, animal: Animal, folder: Path, memory_bytes: int) -> None:
    """Trace the axons of one animal into ``folder/trace``."""
    trace(
        animal.signal,
        out=folder / TRACE,
        voxel_um=study.voxel_um,
        channel=study.signal_channel,
        calibration=study.trace_calibration,
        cells=folder / "detected.parquet",
        settings=study.tracing,
        memory_bytes=memory_bytes,
    )


def quantify_animal(*, study: Study, animal: Animal, folder: Path) -> None:
    """Write the region table of one animal, what it is made of, and pictures of its trace."""
    traced = study.tracing is not None
    quantify(
        registration=folder / "registration",
        cells=folder / "detected.parquet",
        axons=folder / TRACE if traced else None,
        out=folder / "regions.parquet",
        animal=animal.animal,
        seen=signal_volume(study, animal).grid,
        files=QuantifyFiles(
            cells=folder / "cells.parquet",
            cells_balance=folder / "balance.json",
            axons=folder / "axons.parquet",
            axons_balance=folder / "axon_balance.json",
        ),
        accept_failed=True,  # the run judges all brains together, see `_stop_at_failures`
    )
    if traced:
        picture_traces(
            animal.signal,
            trace=folder / TRACE,
            registration=folder / "registration",
            out=folder / TRACE_PICTURES,
            regions=study.trace_regions,
            voxel_um=study.voxel_um,
            channel=study.signal_channel,
        )


def collect_regions(study: Study, out: Path) -> None:
    """Put the region tables of all animals, and the animals, into the study folder."""
    frames = [
        read_table(out / "animals" / animal.animal / "regions.parquet", REGIONS)
        for animal in study.animals
    ]
    write_table(out / "regions.parquet", pd.concat(frames, ignore_index=True), REGIONS)
    write_table(out / "animals.csv", animals_table(study), ANIMALS)


def _open_folder(out: Path, *, resume: bool) -> None:
    if out.is_file():
        msg = f"{out} is a file; --out needs a folder."
        raise InputError(msg)
    if out.is_dir() and any(out.iterdir()) and not resume:
        msg = (
            f"{out} is not empty. Add --resume to go on with the run in it (only what is "
            f"missing is done), or choose another --out."
        )
        raise InputError(msg)
    out.mkdir(parents=True, exist_ok=True)
    remove_partial(out)


def _copy(source: Path, target: Path) -> None:
    if source.resolve() != target.resolve():
        with replacing(target) as temporary:
            shutil.copyfile(source, temporary)


def _stop_at_failures(study: Study, out: Path, *, accept_failed: bool) -> None:
    failed = []
    for animal in study.animals:
        quality: dict[str, Any] = read_json(
            out / "animals" / animal.animal / "registration" / "qc.json"
        )
        if quality["verdict"] == "fail":
            failed.append(f"{animal.animal} ({'; '.join(quality['reasons'])})")
    if failed and not accept_failed:
        msg = (
            f"The registration of {len(failed)} of {len(study.animals)} brains failed: "
            f"{' '.join(failed)} Correct the study file (orientation, voxel size, extent) or "
            f"leave these animals out, and run again with --resume; --accept-failed goes on "
            f"with them."
        )
        raise RegistrationError(msg)
