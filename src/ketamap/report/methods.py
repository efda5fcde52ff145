"""The methods paragraph: what was done, with the numbers of this study in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ketamap.core.measures import in_order, measure_of
from ketamap.report.comparisons import Comparison
from ketamap.report.contents import StudyReport
from ketamap.report.groups import Groups
from ketamap.report.words import listing, percent, plural

SHIFT = (
    "Each animal's brain-wide level was the median over regions of its log ratio to the mean "
    "animal. The brain-wide shift is the change of that level between groups, tested once by "
    "ordinary least squares with animals as the units. Relative effects are changes of a "
    "region's log density after subtracting the animal's level, by least squares with "
    "variances moderated across regions by empirical Bayes with a trend in the mean (Smyth "
    "2004, doi 10.2202/1544-6115.1027)"
)
"""The model of `ketamap.stats`, in words."""

ABSOLUTE = (
    "Absolute effects are the relative effect plus the shift; their variance is the sum of both "
    "variances, with Satterthwaite degrees of freedom. Results are given as log2 change of "
    "density with 95 % confidence intervals."
)

RULES = (
    "a rule blind to the groups; the others are listed as not testable, which is not the same as "
    "not different. Zeros were kept; a region missing in an animal was left out for that animal."
)

SOFTWARE = ("python", "numpy", "scipy", "pandas", "formulaic")
"""Packages named in the methods, besides the program."""


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
        _model(report),
        _doses(report),
        _testing(report, comparisons),
        _second_opinions(report),
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
        return (
            f"The brain was divided into regions that do not overlap. {told} Both hemispheres "
            "were added; neither hemispheres nor sections count as animals."
        )
    return "Neither hemispheres nor sections count as animals."


def _partition(report: StudyReport) -> str:
    """Say how the brain was divided, once where all measures agree."""
    if isinstance(report.partition, str):
        return f"{report.partition.rstrip('.')}." if report.partition else ""
    parts = report.partition
    texts = {name: f"{parts[name].rstrip('.')}." for name in in_order(parts) if parts[name]}
    if len(set(texts.values())) == 1:
        return next(iter(texts.values()))
    return " ".join(f"{measure_of(n).short.capitalize()}: {text}" for n, text in texts.items())


def _animals(groups: Groups) -> str:
    sizes = [f"{group} (n = {n})" for group, n in groups.sizes.items()]
    return f"{plural(len(groups.of_animal), 'animal')} were analysed: {listing(sizes)}."


def _model(report: StudyReport) -> str:
    return " ".join(
        part
        for part in (
            _logarithm(report.models),
            f"{SHIFT}{_prior(report.models)}.",
            _variances(report.models),
            ABSOLUTE,
        )
        if part
    )


def _logarithm(models: Sequence[Mapping[str, object]]) -> str:
    """Say what was added before the logarithm, by measure where that differs."""
    if all(str(model.get("offset", "0.5")) == "0.5" for model in models):
        return (
            "For each region and animal the natural logarithm of (count + 0.5) / volume was taken."
        )
    told = [f"{m['offset']} for the {measure_of(str(m['measure'])).density}" for m in models]
    return (
        f"For each region and animal the natural logarithm of (value + offset) / volume was "
        f"taken; the offset, which keeps zeros, was {listing(told)}."
    )


def _thresholds(models: Sequence[Mapping[str, object]]) -> str:
    """Say which regions were tested, with the numbers of the analysis."""
    means = [_named(m, str(m["least_mean"]), models) for m in models if "least_mean" in m]
    if not means:
        return (
            "A region was tested only where it held enough of what was measured and enough volume"
        )
    volume, animals = (models[0].get(k) for k in ("least_volume_mm3", "least_animals"))
    tissue = f", a mean volume of at least {volume:g} mm3" if isinstance(volume, float) else ""
    there = (
        f" and values in at least {animals} animals of each group compared"
        if isinstance(animals, int)
        else ""
    )
    return f"A region was tested only with a mean of at least {listing(means)}{tissue}{there}"


def _prior(models: Sequence[Mapping[str, object]]) -> str:
    told = [_named(m, _degrees(m["prior_df"]), models) for m in models if "prior_df" in m]
    return f"; the common trend was worth {listing(told)}" if told else ""


def _degrees(df: object) -> str:
    """Write prior degrees of freedom; the file holds nothing for infinitely many."""
    if not isinstance(df, int | float) or not np.isfinite(df):
        return "infinite prior degrees of freedom (variances did not differ beyond chance)"
    return f"{df:.1f} prior degrees of freedom"


def _variances(models: Sequence[Mapping[str, object]]) -> str:
    told = []
    for model in models:
        ratio = model.get("variance_ratio")
        if not isinstance(ratio, int | float):
            continue
        how = "pooled" if model.get("variances_pooled") else "not pooled"
        told.append(_named(model, f"{ratio:.1f}-fold, {how}", models))
    if not told:
        return ""
    return (
        f"Variances of the groups were compared over all regions (largest against smallest, "
        f"median region: {listing(told)}); where they are not pooled, each group has a variance "
        f"of its own in all tests and intervals, whose degrees of freedom allow for the doubt in "
        f"that comparison, and the shift is tested by Welch's method."
    )


def _named(model: Mapping[str, object], text: str, models: Sequence[object]) -> str:
    if len(models) < 2:
        return text
    return f"{text} ({measure_of(str(model['measure'])).short})"


def _doses(report: StudyReport) -> str:
    """Say how the questions of a dose design were asked; empty for other designs."""
    if "any_dose" not in report.further:
        return ""
    shapes = max((int(str(m["shapes"])) for m in report.models if m.get("shapes")), default=0)
    how_many = f"{shapes} " if shapes else ""
    lasts = "interaction" in report.further or "onset" in report.further
    text = (
        f"Any effect of dose was tested once per region by multiple contrasts: the largest of "
        f"{how_many}contrasts for candidate shapes over doses{' and days' if lasts else ''} "
        f"(linear, plateau, stepwise and single doses"
        f"{'; constant, growing, fading, from each later day on, first day only' if lasts else ''}"
        f"), p from the multivariate t distribution (Bretz et al. 2005). Each dose was then "
        f"estimated against its control{' of the same day' if lasts else ''}."
    )
    if "interaction" in report.further:
        text += (
            " Whether the effect grows with duration was tested by the linear-by-linear trend "
            "in dose and days."
        )
    if "onset" in report.further:
        text += (
            " The onset of a dose is the first day on which its effect is established, with p "
            "adjusted for all doses and days of the region; its range holds 95 % of the Akaike "
            "weights."
        )
    if "dose_response" in report.further:
        text += (
            " For regions with a dose effect a line and an Emax curve were fitted on each day "
            "and the one with the lower AICc drawn, unless its misfit was significant (F test, "
            "1 %); the curves test nothing."
        )
    return text


def _testing(report: StudyReport, comparisons: Sequence[Comparison]) -> str:
    share = next((m["shift_share"] for m in report.models if m.get("shift_share")), None)
    families = (
        "All comparisons and regions of an estimand form one family"
        f"{' in each measure' if len({c.measure for c in comparisons}) > 1 else ''}"
        f"{', any-dose tests and trends likewise' if 'any_dose' in report.further else ''}"
    )
    shared = ""
    if isinstance(share, int | float):
        shared = (
            f" Relative effects had {1 - share:g} and the shift {share:g} of that level, the "
            f"whole of it once the other family had a rejection, and absolute effects were "
            f"tested once either had (Bretz et al. 2009), so that comparisons of a measure in "
            f"which nothing has an effect call something with at most that probability."
        )
    return (
        f"{_thresholds(report.models)}, {RULES} {' '.join(_tested(comparisons))} {families}; the "
        f"false discovery rate was held at {percent(report.alpha)} in each (Benjamini and Hochberg "
        f"1995). A region is called where q is below that.{shared}"
    )


def _tested(comparisons: Sequence[Comparison]) -> list[str]:
    """Say how many regions were tested in each measure."""
    found = []
    for measure in dict.fromkeys(c.measure for c in comparisons):
        mine = [c for c in comparisons if c.measure == measure]
        tested, rest = ({len(x) for x in xs} for xs in ([c.tested for c in mine],
                        [c.untestable for c in mine]))  # fmt: skip
        found.append(
            f"{measure_of(measure).density.capitalize()}: {_range(tested)} regions were tested and "
            f"{_range(rest)} could not be, in {plural(len(mine), 'comparison')}."
        )
    return found


def _range(counts: set[int]) -> str:
    low, high = min(counts), max(counts)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _second_opinions(report: StudyReport) -> str:
    text = ""
    if "selection" in report.further:
        text = (
            "For reading by division, regions were also selected so that false discoveries are "
            f"bounded at {percent(report.alpha)} among regions and among divisions at once "
            "(p-filter, Barber and Ramdas 2017)."
        )
    if "permutation" in report.further:
        counts = {int(str(m["permutations"])) for m in report.models if m.get("permutations")}
        many = f"{max(counts):,} " if counts else ""
        text += (
            f" As a check without normality the residuals of the model were permuted {many}times "
            "within exchangeable blocks (Freedman and Lane 1983), with familywise p from the "
            "largest |t| of the brain; it decides nothing and is shown where it disagrees with "
            "Holm's p of the model."
        )
    return text.strip()


def _software(report: StudyReport) -> str:
    version = report.versions.get("ketamap")
    program = f"ketamap {version}" if version else "ketamap"
    others = [
        f"{'Python' if name == 'python' else name} {report.versions[name]}"
        for name in SOFTWARE
        if name in report.versions
    ]
    made_with = f" ({', '.join(others)})" if others else ""
    citation = report.atlas.citation if report.atlas is not None else ""
    atlas = f" Atlas: {citation.rstrip('.')}." if citation else ""
    return f"All steps were made with {program}{made_with}.{atlas}"
