"""The whole path on a phantom cohort: plant, run, recover."""

from __future__ import annotations

from pathlib import Path

from ketamap.core.errors import InputError
from ketamap.io.files import remove_partial
from ketamap.phantom import AXONS, BrainSettings, CohortPlan, default_cohort
from ketamap.workflow.atlases import open_atlas
from ketamap.workflow.brain import DEFAULT_MEMORY_BYTES
from ketamap.workflow.cohort import (
    PHANTOM_ATLAS,
    cohort_tasks,
    phantom_study,
    write_cohort_files,
)
from ketamap.workflow.engine import run_tasks
from ketamap.workflow.ledger import Ledger
from ketamap.workflow.progress import Quiet, Reporter
from ketamap.workflow.study_run import run
from ketamap.workflow.truth import TruthScore, score_cohort
from ketamap.workflow.truth_axons import AxonScore, score_axons
from ketamap.workflow.workers import default_workers, open_workers, require_memory, require_workers


def demo(
    out: Path,
    *,
    animals_per_group: int = 4,
    seed: int = 1,
    workers: int | None = None,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
    resume: bool = False,
    reporter: Reporter | None = None,
) -> TruthScore:
    """Make a phantom cohort, run the study on it, and compare with what was planted.

    Parameters
    ----------
    out
        Folder to write: ``images/``, ``truth/``, ``study.yaml`` and the study folder
        ``run/`` with the report.
    animals_per_group
        Mice in each of three groups: vehicle, 30 and 100 mg/kg ketamine for 10 days.
    seed
        Another seed gives another cohort.
    workers
        Brains worked on side by side; left out: what cores and memory allow.
    memory_bytes
        Memory for all workers together.
    resume
        Go on in a folder where a demo was stopped.
    reporter
        Shows progress.

    Raises
    ------
    InputError
        If the folder is in use, or there are fewer than three animals a group.
    """
    show = reporter or Quiet()
    if animals_per_group < 3:
        msg = f"--animals-per-group must be at least 3 for statistics, got {animals_per_group}."
        raise InputError(msg)
    if out.is_dir() and any(out.iterdir()) and not resume:
        msg = f"{out} is not empty. Add --resume to go on with it, or choose another --out."
        raise InputError(msg)
    require_memory(memory_bytes)
    if workers is not None:
        require_workers(workers)
    out.mkdir(parents=True, exist_ok=True)
    remove_partial(out)
    plan = default_cohort(seed=seed, animals_per_group=animals_per_group)
    settings = BrainSettings()
    tasks = cohort_tasks(plan, out, settings)
    if workers is None:
        workers = default_workers(memory_bytes=memory_bytes, tasks=len(tasks))
    with (
        Ledger(out) as ledger,
        show.stage(f"make {len(tasks)} phantom brains") as progress,
        open_workers(workers=workers) as executor,
    ):
        run_tasks(tasks, ledger=ledger, executor=executor, progress=progress)
    study_file = write_cohort_files(plan, out, settings)
    run(
        study_file,
        out=out / "run",
        resume=resume,
        workers=workers,
        memory_bytes=memory_bytes,
        truth=out / "truth" / "effects.parquet",
        reporter=show,
    )
    with show.stage("compare with the truth") as progress:
        score = score_cohort(
            out / "run",
            out / "truth",
            soma_diameter_um=settings.soma_diameter_um,
            alpha=phantom_study(plan, out, settings).design.alpha,
            axons=_score_axons(plan, out),
        )
        progress(1, 1)
    return score


def _score_axons(plan: CohortPlan, out: Path) -> AxonScore:
    """Compare the traced length with the planted, the highest dose with vehicle."""
    doses = [one.group.regimen.dose_mg_per_kg for one in plan.animals]
    treated = [one for one in plan.animals if one.group.regimen.dose_mg_per_kg == max(doses)]
    control = [one for one in plan.animals if one.group.regimen.dose_mg_per_kg == 0]
    planted = {e.acronym: e.fold for e in treated[0].group.effects if e.measure == AXONS}
    groups = ([one.animal for one in treated], [one.animal for one in control])
    tree = open_atlas(PHANTOM_ATLAS).structures
    return score_axons(out / "run", out / "truth", groups, planted, tree)
