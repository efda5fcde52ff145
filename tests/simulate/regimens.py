"""Ten regimens that tests and benchmarks solve with two tools."""

from ketamap.core.dosing import Block, Dose, DosingPlan, Subject, repeat


def _dose(amount, route, **more):
    values = {"time_h": 0.0, "amount": amount, "unit": "mg/kg", "route": route}
    return Dose(**(values | more))


def _plan(name, species, doses, end_h, **more):
    subject = Subject(species=species, stress=more.pop("stress", "none"))
    return DosingPlan(name=name, subject=subject, doses=doses, end_h=end_h, **more)


def ten_plans():
    """Ten regimens over species, routes, forms, blocks, stress and targets."""
    block = Block(kind="mtor_inhibitor", start_h=1.0, end_h=7.0, fraction=0.8)
    lesion = Block(kind="lhb_lesion", start_h=0.0, end_h=99.0)
    infusion = _dose(0.5, "iv", duration_h=40 / 60)
    return (
        _plan("mouse daily ip", "mouse", repeat(_dose(30.0, "ip"), 24.0, 2), 72.0),
        _plan("mouse anaesthetic", "mouse", (_dose(200.0, "ip"),), 24.0, stress="cms"),
        _plan("rat sc blocked", "rat", (_dose(10.0, "sc"),), 24.0, blocks=(block,)),
        _plan("rat helpless", "rat", (_dose(10.0, "im"),), 24.0, stress="helpless"),
        _plan("rat lesion", "rat", (_dose(10.0, "ip"),), 24.0, blocks=(lesion,)),
        _plan("rat target", "rat", (_dose(10.0, "ip"),), 24.0, targets=("LHb", "PL")),
        _plan("human infusion", "human", (infusion,), 48.0, stress="cms"),
        _plan("human nasal S", "human", (_dose(84.0, "in", unit="mg", form="S"),), 24.0),
        _plan("human oral R", "human", (_dose(0.5, "po", form="R", time_h=2.0),), 24.0),
        _plan("human overlap", "human",
              (infusion, _dose(0.2, "iv", time_h=0.3, duration_h=1.0), _dose(20.0, "iv",
               unit="umol", time_h=0.5)), 24.0),
    )  # fmt: skip
