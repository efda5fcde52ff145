"""The methods paragraph: what was done, with the numbers of this study in it."""

from __future__ import annotations

from collections.abc import Sequence

from ketamap.core.measures import measure_of
from ketamap.report.comparisons import Comparison
from ketamap.report.contents import StudyReport
from ketamap.report.groups import Groups
from ketamap.report.words import listing, percent, plural

MODEL = (
    "For each region and animal the natural logarithm of (count + 0.5) / volume was taken. "
    "Each animal's brain-wide level was the median over regions of its log ratio to the mean "
    "animal. The brain-wide shift is the change of that level between groups, tested once by "
    "ordinary least squares with animals as the units. Relative effects are changes of a "
    "region's log density after subtracting the animal's level, by least squares with "
    "variances moderated across regions by empirical Bayes with a trend in the mean (Smyth "
    "2004, doi 10.2202/1544-6115.1027). Absolute effects are the relative effect plus the "
    "shift; their variance is the sum of both variances, with Satterthwaite degrees of freedom. "
    "Results are given as log2 change of density with 95 % confidence intervals."
)
"""The model of `ketamap.stats`, in words."""

RULES = (
    "A region was tested only where it held enough cells and volume, a rule blind to the "
    "groups; the others are listed as not testable, which is not the same as not different. "
    "Zero counts were kept; a region missing in an animal was left out for that animal."
)


def methods_paragraphs(
    report: StudyReport, comparisons: Sequence[Comparison], groups: Groups
) -> tuple[str, ...]:
    """Write the methods from the inputs, or return the text that was given."""
    if report.methods:
        return tuple(p.strip() for p in report.methods.split("\n\n") if p.strip())
    parts = (
        _imaging(report),
        _regions(report),
        f"{_animals(groups)} {' '.join(report.design_text)}".strip(),
        MODEL,
        _testing(report, comparisons),
        _software(report),
    )
    return tuple(part for part in parts if part)


def _imaging(report: StudyReport) -> str:
    registered = sum(brain.quality is not None for brain in report.brains)
    if not report.brains:
        return "Counts and volumes per region were taken from a table made elsewhere."
    counted = [brain.n_cells for brain in report.brains if brain.n_cells is not None]
    text = f"{plural(len(report.brains), 'brain')} went through the program"
    if registered and report.atlas is not None:
        text += (
            f"; {registered} were aligned to the atlas {report.atlas.name} (affine, then "
            "deformable), and the atlas annotation was carried into each brain, so that counts "
            "and volumes come from the same space"
        )
    if counted:
        text += (
            f". Per brain {min(counted):,} to {max(counted):,} cells were detected, "
            f"{sum(counted):,} in all; the balance sheet accounts for every one"
        )
    return text + "."


def _regions(report: StudyReport) -> str:
    told = _partition(report)
    if told:
        return f"The brain was divided into regions that do not overlap. {told} Both hemispheres were added; neither hemispheres nor sections count as animals."
    return "Neither hemispheres nor sections count as animals."


def _partition(report: StudyReport) -> str:
    """Say how the brain was divided, once where all measures agree."""
    if isinstance(report.partition, str):
        return f"{report.partition.rstrip('.')}." if report.partition else ""
    texts = {name: f"{text.rstrip('.')}." for name, text in report.partition.items() if text}
    if len(set(texts.values())) == 1:
        return next(iter(texts.values()))
    return " ".join(f"{measure_of(n).short.capitalize()}: {text}" for n, text in texts.items())


def _animals(groups: Groups) -> str:
    sizes = [f"{group} (n = {n})" for group, n in groups.sizes.items()]
    return f"{plural(len(groups.of_animal), 'animal')} were analysed: {listing(sizes)}."


def _testing(report: StudyReport, comparisons: Sequence[Comparison]) -> str:
    tests = [
        f"{comparison.label}: {len(comparison.tested)} tested, {len(comparison.untestable)} not "
        "testable"
        for comparison in comparisons
    ]
    return (
        f"{RULES} Regions ({'; '.join(tests)}). The false discovery rate was held at "
        f"{percent(report.alpha)} within each comparison and estimand (Benjamini and Hochberg "
        "1995); a region is called where q is below that."
    )


def _software(report: StudyReport) -> str:
    version = report.versions.get("ketamap")
    program = f"ketamap {version}" if version else "ketamap"
    citation = report.atlas.citation if report.atlas is not None else ""
    atlas = f" Atlas: {citation.rstrip('.')}." if citation else ""
    return f"All steps were made with {program}.{atlas}"
