"""Shrunken effects: a Bayesian model over the ontology, for estimates and ranking only.

Needs the extra ``bayes`` (numpyro).  Its intervals are not tests: the error rates of the
product are those of `ketamap.stats.analyse`; ``benchmarks/shrinkage.py`` says
how often these intervals leave zero where nothing was done.

References
----------
Gelman A (2006) Bayesian Analysis 1:515 (half-normal priors of hierarchical scales).
Vehtari A, Gelman A, Simpson D, Carpenter B, Buerkner P-C (2021) Bayesian Analysis 16:667
(R-hat, effective sample size and what they must be).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ketamap.core.atlas import Structures
from ketamap.core.errors import DesignError, KetamapError, MissingExtraError
from ketamap.core.units import LN2
from ketamap.stats.rows import listed
from ketamap.stats.selection import divisions_of

TAIL_DF = 4.0
"""Degrees of freedom of the prior of regions: few large effects are not drawn in."""

PRIOR_OVER_NOISE = 2.0
"""Scale of the half-normal priors of spreads, in median standard errors of the data."""

SHIFT_OVER_NOISE = 10.0
"""Scale of the normal prior of the shift, in its standard errors: the data decide."""

RHAT_GOOD, RHAT_WORST = 1.01, 1.05
"""R-hat up to which all is well, and above which nothing is reported (Vehtari 2021: 1.01)."""

ESS_GOOD, ESS_WORST = 400.0, 100.0
"""The same for the effective sample size (Vehtari 2021: 400 in all chains)."""


class SamplingError(KetamapError, RuntimeError):
    """The chains did not agree, so that there is nothing to report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How the posterior is sampled."""

    warmup: int = 600
    """Steps of each chain that are thrown away."""

    draws: int = 600
    """Steps of each chain that are kept."""

    chains: int = 4
    """Chains, run side by side."""

    seed: int = 0
    """The same seed gives the same draws on the same machine."""


LONGER = Sampling(warmup=1200, draws=2400)
"""Where the first run of `shrink` does not agree well enough, if no sampling was asked for."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Shrunken:
    """Shrunken effects of one contrast."""

    frame: pd.DataFrame
    """One row per estimand and tested region: region_id, acronym, measure, contrast,
    estimand, division, estimate_log2 (of the analysis), shrunken_log2, low_log2, high_log2
    (95 % posterior interval), sign_probability, rank (1: largest shrunken effect), rhat,
    ess."""

    worst_rhat: float
    """Over all parameters."""

    least_ess: float
    """Over all parameters."""

    divergences: int
    """Steps that left the path."""

    warnings: tuple[str, ...]
    """What a reader must know."""


def shrink(
    effects: pd.DataFrame,
    structures: Structures,
    *,
    contrast: str,
    values: pd.DataFrame | None = None,
    groups: Mapping[str, str] | None = None,
    sampling: Sampling | None = None,
) -> Shrunken:
    """Draw the effects of regions towards those of their division.

    Parameters
    ----------
    effects
        The effects table of an analysis, one measure.
    structures
        The tree of the atlas (or of the table).
    contrast
        One of the table.
    values, groups
        Values of the analysis, and the group of each animal: the noise that regions of a
        division share is then taken from the residuals.  Left out: it is taken as none, and
        what a division shares by chance is taken for an effect.
    sampling
        How; None: four chains of 600 draws, and of 2400 where these do not agree well.

    Returns
    -------
    Shrunken

    Raises
    ------
    MissingExtraError
        If numpyro is not installed.
    DesignError
        If there is no such contrast, or it has no tested region.
    SamplingError
        If R-hat exceeds 1.05 or the effective sample size is below 100.

    Notes
    -----
    The model: with b_r, se_r, df_r the relative effect of region r with its moderated standard
    error and G, se_G, df_G the brain-wide shift: b_r ~ t(df_r, delta_r, se_r), G ~ t(df_G, S,
    se_G), delta_r = m_division + t_r x u_r, u_r ~ t(4), m ~ normal(0, t_m).  With
    `values`, b_r has an error sqrt(rho) se_r e_division besides, e ~ normal(0, 1), and se_r^2
    loses its part rho: rho is the share of residual variance that regions of a division have
    in common (from the variance of means of standardised residuals).  The animal factors
    stand in G and its standard error, regional variances in se_r and df_r, both integrated
    out, so that the t likelihoods are those of the animals' values.  Absolute effects are
    delta_r + S.  Scales t, t_m have half-normal priors of twice the median se_r, S a
    normal prior of 10 se_G: no prior has a size of its own.
    """
    extra = _extra()
    rows, shift = _rows_of(effects, contrast)
    division = np.array(divisions_of(rows["region_id"].to_numpy(dtype=np.int64), structures))
    _, of = np.unique(division, return_inverse=True)
    common = np.zeros(len(rows))
    if values is not None and groups is not None:
        common = shared_noise(rows, of, values, groups)
    data = _Data.of(rows, shift, of, common)
    run = _sampled(data, sampling or Sampling(), *extra)
    if sampling is None and not run.good:
        run = _sampled(data, LONGER, *extra)
    _require_agreement(run.rhat, run.ess)
    return Shrunken(
        frame=_frame(rows, division, run, float(shift["estimate_log2"])),
        worst_rhat=run.rhat,
        least_ess=run.ess,
        divergences=run.divergences,
        warnings=tuple(_notes(run.rhat, run.ess, run.divergences)),
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class _Run:
    """Draws of all chains, and how well they agree."""

    draws: dict[str, NDArray[np.float64]]
    checks: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]
    divergences: int

    @property
    def rhat(self) -> float:
        return max(float(np.max(r)) for r, _ in self.checks.values())

    @property
    def ess(self) -> float:
        return min(float(np.min(e)) for _, e in self.checks.values())

    @property
    def good(self) -> bool:
        return self.rhat <= RHAT_GOOD and self.ess >= ESS_GOOD


def _sampled(data: _Data, how: Sampling, numpyro: Any, jax: ModuleType) -> _Run:
    chain = numpyro.infer.MCMC(
        numpyro.infer.NUTS(_model(numpyro), target_accept_prob=0.9),
        num_warmup=how.warmup,
        num_samples=how.draws,
        num_chains=how.chains,
        chain_method="vectorized",
        progress_bar=False,
    )
    chain.run(jax.random.PRNGKey(how.seed), data, extra_fields=("diverging",))
    draws = {
        k: np.asarray(v, dtype=np.float64)
        for k, v in chain.get_samples(group_by_chain=True).items()
    }
    return _Run(
        draws=draws,
        checks={k: _check(numpyro, draws[k]) for k in ("delta", "shift", "spread", "between")},
        divergences=int(np.sum(np.asarray(chain.get_extra_fields()["diverging"]))),
    )


def shared_noise(
    rows: pd.DataFrame,
    division: NDArray[np.int64],
    values: pd.DataFrame,
    groups: Mapping[str, str],
) -> NDArray[np.float64]:
    """Find the standard error that effects of regions of one division share, ln units.

    Parameters
    ----------
    rows
        Relative effects of the tested regions.
    division
        Number of the division of each, shape ``(region,)``.
    values
        Values of the analysis: animal, region_id, log2_relative.
    groups
        Group of each animal.

    Returns
    -------
    ndarray
        Shape ``(region,)``: the same part of the standard error of each region, 0 where a
        division has one region.  The part is one for all divisions; it is at most 0.9 of the
        variance, and 0 where divisions vary no more than independent regions would.
    """
    wide = values.pivot_table(index="animal", columns="region_id", values="log2_relative")
    wide = wide.reindex(columns=rows["region_id"].to_numpy())
    label = np.array([groups[str(a)] for a in wide.index])
    rest = (wide - wide.groupby(label).transform("mean")).to_numpy(dtype=np.float64)
    df = max(len(wide) - len(set(label)), 1)
    size = np.sqrt(np.nansum(rest**2, axis=0) / df)
    known = ~np.isnan(rest)
    standard = np.where(known, rest, 0.0) / np.where(size > 0, size, 1.0)
    n = np.bincount(division)
    members = np.eye(len(n))[division]
    means = standard @ members / np.maximum(known.astype(np.float64) @ members, 1.0)
    variance, several = np.sum(means**2, axis=0) / df, n > 1
    se = rows["se_log2"].to_numpy(dtype=np.float64) * LN2
    if not several.any():
        return np.zeros(len(se))
    beyond = np.sum(variance[several] - 1.0 / n[several])
    share = np.clip(beyond / np.sum(1.0 - 1.0 / n[several]), 0.0, 0.9)
    return np.asarray(np.sqrt(share) * se * several[division])


def _extra() -> tuple[Any, ModuleType]:
    try:
        import jax
        import numpyro
        import numpyro.diagnostics
        import numpyro.infer
    except ImportError as err:
        msg = (
            "Shrunken effects need numpyro, which is not installed. Install it with: "
            "pip install 'ketamap[bayes]'"
        )
        raise MissingExtraError(msg) from err
    return numpyro, jax


@dataclass(frozen=True, eq=False, kw_only=True)
class _Data:
    """What the model conditions on, natural logs."""

    effect: NDArray[np.float64]
    se: NDArray[np.float64]
    df: NDArray[np.float64]
    division: NDArray[np.int64]
    common: NDArray[np.float64]
    shift: float
    shift_se: float
    shift_df: float

    @classmethod
    def of(
        cls,
        rows: pd.DataFrame,
        shift: pd.Series[Any],
        division: NDArray[np.int64],
        common: NDArray[np.float64],
    ) -> _Data:
        def column(name: str) -> NDArray[np.float64]:
            return rows[name].to_numpy(dtype=np.float64)

        return cls(
            effect=column("estimate_log2") * LN2,
            se=np.sqrt((column("se_log2") * LN2) ** 2 - common**2),
            df=np.minimum(column("df"), 1e4),
            division=division,
            common=common,
            shift=float(shift["estimate_log2"]) * LN2,
            shift_se=float(shift["se_log2"]) * LN2,
            shift_df=float(min(shift["df"], 1e4)),
        )


def _rows_of(effects: pd.DataFrame, contrast: str) -> tuple[pd.DataFrame, pd.Series[Any]]:
    mine = effects[effects["contrast"] == contrast]
    if mine.empty:
        have = listed([str(c) for c in effects["contrast"].unique()])
        msg = f"There is no contrast {contrast!r}; there are {have}."
        raise DesignError(msg)
    if mine["measure"].nunique() > 1:
        msg = f"The table has {listed(sorted(mine['measure'].unique()))}; pass one measure."
        raise DesignError(msg)
    rows = mine[(mine["estimand"] == "relative") & mine["testable"]]
    if len(rows) < 2:
        msg = f"{contrast} has {len(rows)} tested regions; shrinking needs two."
        raise DesignError(msg)
    return rows.reset_index(drop=True), mine[mine["estimand"] == "shift"].iloc[0]


def _model(numpyro: Any) -> Callable[[_Data], None]:
    dist = numpyro.distributions

    def model(data: _Data) -> None:
        noise = PRIOR_OVER_NOISE * float(np.median(data.se))
        spread = numpyro.sample("spread", dist.HalfNormal(noise))
        between = numpyro.sample("between", dist.HalfNormal(noise))
        shift = numpyro.sample("shift", dist.Normal(0.0, SHIFT_OVER_NOISE * data.shift_se))
        with numpyro.plate("divisions", int(data.division.max()) + 1):
            chance = numpyro.sample("chance", dist.Normal(0.0, 1.0))
            height = numpyro.sample("height", dist.Normal(0.0, 1.0))
        with numpyro.plate("regions", len(data.effect)):
            size = numpyro.sample("size", dist.InverseGamma(TAIL_DF / 2, TAIL_DF / 2))
            rest = numpyro.sample("rest", dist.Normal(0.0, 1.0))
            delta = between * height[data.division] + spread * size**0.5 * rest
            numpyro.deterministic("delta", delta)
            numpyro.sample(
                "seen",
                dist.StudentT(data.df, delta + chance[data.division] * data.common, data.se),
                obs=data.effect,
            )
        numpyro.sample(
            "shift_seen", dist.StudentT(data.shift_df, shift, data.shift_se), obs=data.shift
        )

    return model


def _check(
    numpyro: Any, draws: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """R-hat of split chains, and effective sample size; draws of shape ``(chain, draw, ...)``."""
    rhat = np.asarray(numpyro.diagnostics.split_gelman_rubin(draws), dtype=np.float64)
    ess = np.asarray(numpyro.diagnostics.effective_sample_size(draws), dtype=np.float64)
    return np.atleast_1d(rhat), np.atleast_1d(ess)


def _require_agreement(rhat: float, ess: float) -> None:
    if rhat <= RHAT_WORST and ess >= ESS_WORST:
        return
    msg = (
        f"The chains did not agree: R-hat {rhat:.3f} (at most {RHAT_WORST:g}), effective sample "
        f"size {ess:.0f} (at least {ESS_WORST:g}). Nothing is reported; take more warmup and draws."
    )
    raise SamplingError(msg)


def _notes(rhat: float, ess: float, divergences: int) -> list[str]:
    notes = [
        "Shrunken effects are for estimates and ranking; their intervals are no tests, and no "
        "region is called by them."
    ]
    if rhat > RHAT_GOOD or ess < ESS_GOOD:
        notes.append(
            f"R-hat {rhat:.3f} (wanted: {RHAT_GOOD:g} or less), effective sample size {ess:.0f} "
            f"(wanted: {ESS_GOOD:g} or more): take more draws before numbers are quoted."
        )
    if divergences:
        notes.append(f"{divergences} divergent steps: the tails may be cut short.")
    return notes


def _frame(
    rows: pd.DataFrame,
    division: NDArray[np.str_],
    run: _Run,
    shift_log2: float,
) -> pd.DataFrame:
    delta = run.draws["delta"].reshape(-1, len(rows)) / LN2
    shift = run.draws["shift"].reshape(-1, 1) / LN2
    plain = rows["estimate_log2"].to_numpy(dtype=np.float64)
    blocks = []
    for estimand, sample, estimate in (
        ("relative", delta, plain),
        ("absolute", delta + shift, plain + shift_log2),
    ):
        mean = sample.mean(axis=0)
        low, high = np.quantile(sample, [0.025, 0.975], axis=0)
        block = rows[["region_id", "acronym", "measure", "contrast"]].copy()
        block["estimand"], block["division"] = estimand, division
        block["estimate_log2"], block["shrunken_log2"] = estimate, mean
        block["low_log2"], block["high_log2"] = low, high
        block["sign_probability"] = np.mean(np.sign(sample) == np.sign(mean), axis=0)
        block["rank"] = np.argsort(np.argsort(-np.abs(mean), kind="stable")) + 1
        block["rhat"], block["ess"] = run.checks["delta"]
        blocks.append(block)
    return pd.concat(blocks, ignore_index=True)
