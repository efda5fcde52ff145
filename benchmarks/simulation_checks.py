"""What must hold of the simulator whatever its parameters, and what its draws do.

Parts of `simulation.py`, which prints them all in one run.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.simulate.regimens import ten_plans

from ketamap.core.dosing import KETAMINE_G_PER_MOL, Dose, DosingPlan, Subject
from ketamap.simulate.engine import shared_engine, simulate
from ketamap.simulate.exchange import sbml_of
from ketamap.simulate.parameters import parameters_for
from ketamap.simulate.scorecard_draws import results_of
from ketamap.simulate.scorecard_patterns import UNCHANGED, glutamate_change
from ketamap.simulate.scorecard_scenarios import COLUMNS
from ketamap.workflow.simulation_study import simulate_study

TIGHT = 1e-10
DAY_H = np.linspace(0.0, 24.0, 97)
PLASMA = ["plasma_S", "plasma_R", "nk_plasma_S", "nk_plasma_R", "hnk_plasma_S", "venous_S"]
GLUTAMATE_DOSES = (10, 20, 30, 200)
NO_SECOND_TARGET = {"IC50_depressant": 1e9}
STUDY = "doses_mg_per_kg: [0, 30, 100]\ndays: [10]\n"


def dose(amount=0.5, unit="mg/kg", route="iv", **more):
    return Dose(**({"time_h": 0.0, "amount": amount, "unit": unit, "route": route} | more))


def plan(*doses, species="human", end_h=24.0):
    return DosingPlan(name="p", subject=Subject(species=species), doses=doses, end_h=end_h)


def solve(one, **more):
    return shared_engine(None, TIGHT).simulate(one, **more)


def relative(found, true):
    """Largest error over the largest true value of each column."""
    found, true = (np.asarray(x, dtype=float) for x in (found, true))
    scale = np.maximum(np.abs(true).max(axis=0), 1e-300)
    return float((np.abs(found - true) / scale).max())


def area_error():
    """Largest relative error of AUC against dose over clearance."""
    errors = []
    for species in ("human", "mouse", "rat"):
        clearance = parameters_for(species)["CL"]
        for amount in (0.01, 0.5, 10.0):
            for hours in (0.0, 40 / 60, 5.0):
                one = plan(dose(amount, duration_h=hours), species=species, end_h=400.0)
                true = one.doses[0].amount_umol(one.subject.kg) / clearance
                found = solve(one, times_h=[400.0])["auc_ketamine_uM_h"].iloc[-1]
                errors.append(abs(found / true - 1.0))
    return max(errors), len(errors)


def given_umol(one, times_h):
    total = np.zeros(len(times_h))
    for d in one.doses:
        umol = d.amount_umol(one.subject.kg)
        run_in = np.clip((times_h - d.time_h) / max(d.duration_h, 1e-12), 0.0, 1.0)
        total += umol * np.where(d.duration_h > 0.0, run_in, times_h >= d.time_h)
    return total


def balance_error():
    """Largest part of the dose that is gained or lost at any output of ten regimens."""
    worst = 0.0
    for one in ten_plans():
        table = simulate(one)
        times_h = table["time_h"].to_numpy()
        stated, found = given_umol(one, times_h), table["total_drug"].to_numpy()
        if any(d.route == "in" for d in one.doses):
            # the swallowed part is on its way for duration_swallowed
            later = times_h > one.doses[0].stop_h + 0.54
            stated, found = stated[later], found[later]
        worst = max(worst, float(np.abs(found - stated).max() / stated.max()))
    return worst


def copasi_error():
    """Largest relative error against COPASI over ten regimens, and how many columns."""
    import basico

    worst, columns = 0.0, []
    for one in ten_plans():
        times_h = np.linspace(0.0, one.end_h, 50)[1:-1] + 0.0123
        ours = solve(one, times_h=times_h)
        model = basico.load_model_from_string(sbml_of(one))
        theirs = basico.run_time_course(
            values=[0.0, *times_h], r_tol=1e-10, a_tol=1e-16, max_steps=10**6, use_sbml_id=True,
            model=model,
        ).iloc[1:]  # fmt: skip
        basico.remove_datamodel(model)
        shared = [name for name in ours.columns if name in theirs.columns]
        reference = ours[shared].to_numpy()
        error = np.abs(theirs[shared].to_numpy() - reference) / (np.abs(reference) + 1e-3)
        worst, columns = max(worst, float(error.max())), [*columns, len(shared)]
    return worst, min(columns)


def superposition_error():
    first, second = dose(0.5, duration_h=40 / 60), dose(84.0, "mg", "in", time_h=0.4, form="S")
    both, one, other = (
        solve(plan(*doses), times_h=DAY_H)[PLASMA]
        for doses in ((first, second), (first,), (second,))
    )
    return relative(both, one + other)


def order_and_unit_errors():
    doses = (dose(), dose(0.3, time_h=3.0, duration_h=1.0), dose(20.0, "mg", "po", time_h=1.0))
    forward, backward = (solve(plan(*d), times_h=DAY_H) for d in (doses, doses[::-1]))
    per_kg = 0.5 * 1000.0 / KETAMINE_G_PER_MOL
    units = ((35.0, "mg"), (70.0 * per_kg, "umol"), (per_kg, "umol/kg"))
    expected = solve(plan(dose()), times_h=DAY_H)
    found = [solve(plan(dose(amount, unit)), times_h=DAY_H) for amount, unit in units]
    return relative(backward, forward), max(relative(one, expected) for one in found)


def exactness():
    area, n = area_error()
    print(f"AUC = dose/CL: largest relative error {area:.1e} of {n} doses (goal 1e-9)")
    print(f"mass balance at every output of ten regimens: {balance_error():.1e} of the dose")
    worst, columns = copasi_error()
    print(f"COPASI, ten regimens, {columns} columns or more: largest error {worst:.1e} (goal 1e-5)")
    print(f"superposition of an infusion and a spray: {superposition_error():.1e}")
    order, unit = order_and_unit_errors()
    print(f"order of doses: {order:.1e}; mg/kg, mg, umol, umol/kg: {unit:.1e}")


def glutamate(draws, seed):
    """Print how often glutamate rises at 10 to 30 and falls at 200 mg/kg, by two rules."""
    engine = shared_engine(COLUMNS, 1e-6)
    for name, changed in (("with", {}), ("without", NO_SECOND_TARGET)):
        change = np.array(
            [
                [glutamate_change(one, mg) for mg in GLUTAMATE_DOSES]
                for one in (results_of(engine, k, seed, changed) for k in range(draws))
            ]
        )
        shares = [
            np.mean((change[:, :3].min(axis=1) > least) & (change[:, 3] < -least))
            for least in (0.0, UNCHANGED)
        ]
        print(
            f"glutamate up at 10 to 30 and down at 200 mg/kg, {name} the second target: "
            f"{shares[0]:.0%} of {draws} draws by sign, {shares[1]:.0%} by more than "
            f"{UNCHANGED:g} (goal 40 %)"
        )


def patterns(frame):
    """Print the medians and shares of the rows that were asked for by name."""
    row = frame.set_index("id")
    wanted = {
        "C13": "glutamate, 10 20 30 200 mg/kg",
        "D5": "dopamine rise, PFC accumbens striatum",
        "S1": "spine formation, 3-6 h and 12-24 h",
    }
    for name, what in wanted.items():
        one = row.loc[name]
        print(
            f"{what}: nominal {one['predicted']}; medians {one['ensemble']}, conditioned "
            f"{one['conditioned_ensemble']}; pass {one['pass_percent']:.0f} % and "
            f"{one['conditioned_pass_percent']:.0f} % of draws"
        )
    print(f"response at 24 h (calibrated in every member): {row.loc['M24', 'predicted']} %")
    members = {"hybrid": "", "spines": "-spines", "habenula": "-habenula"}
    for name, suffix in members.items():
        told = [
            f"{hours} h {one['predicted']} % ({one['low_95']:.0f} to {one['high_95']:.0f})"
            for hours, one in ((hours, row.loc[f"M{hours}{suffix}"]) for hours in (72, 168))
        ]
        print(f"  member {name}: {'; '.join(told)} (observed 47.9 and 39.8)")


def study_end_to_end():
    """Print what comes back of planted signs through the whole of ``simulate study``."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        (out / "study.yaml").write_text(STUDY, encoding="utf-8")
        done = simulate_study(out / "study.yaml", out=out / "o", n=16)
        page = done.report.read_text(encoding="utf-8")
        for one in done.recovered:
            print(
                f"study of 30 and 100 mg/kg x 10 d, 16 mice a group, {one.measure}: {one.planted} "
                f"planted, {one.same_sign} with their sign, {one.right_sign} called with it, "
                f"{one.called - one.right_sign} other calls"
            )
        print(f"labelled encoded in the report: {'yes' if 'encoded' in page else 'NO'}")
