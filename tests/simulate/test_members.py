"""ketamap.simulate.members"""

import pytest

from ketamap.core.errors import InputError
from ketamap.simulate.facts import citations, fact_table, read_data_table, split_ids
from ketamap.simulate.members import CONFLICTS, world, worlds_of
from ketamap.simulate.parameters import parameter_table, parameters_for


def test_member_names_are_unique_and_cite_facts_that_ship():
    members = [m for choices in CONFLICTS.values() for m in choices]
    assert len({m.name for m in members}) == len(members)
    for member in members:
        assert citations(split_ids(member.source_rows))


def test_what_members_change_is_in_the_parameter_table():
    for members in CONFLICTS.values():
        assert not members[0].parameters
        for member in members:
            for species in member.species:
                assert parameters_for(species, member.parameters)


def test_a_world_is_named_by_what_differs_from_the_default():
    assert world().name == "default"
    assert world("clements", "spines").name == "clements+spines"
    assert world("clements").parameters("mouse") == {}
    assert "V1" in world("clements").parameters("human")


def test_two_sides_of_one_conflict_are_refused():
    with pytest.raises(InputError, match="sides of one conflict"):
        world("spines", "habenula")


def test_unknown_members_and_conflicts_are_refused_with_what_there_is():
    with pytest.raises(InputError, match="in_vitro"):
        world("nobody")
    with pytest.raises(InputError, match="affinity"):
        worlds_of("nothing")


def test_all_combinations_of_conflicts_are_made_once():
    names = [one.name for one in worlds_of("pk", "mood")]
    assert len(names) == len(set(names)) == 9


def test_every_cited_fact_ships():
    facts = set(fact_table().index)
    tables = (read_data_table("scorecard_rows.csv"), read_data_table("study_regions.csv"))
    cited = {
        i
        for table in (*tables, parameter_table())
        for c in table["source_rows"]
        for i in split_ids(c)
    }
    assert cited <= facts


def test_an_unknown_fact_is_refused():
    with pytest.raises(InputError, match="Z999"):
        citations(["Z999"])


@pytest.mark.data
def test_shipped_facts_are_those_of_the_collection(shared_data):
    import pandas as pd

    whole = pd.read_csv(
        shared_data / "ketamine" / "facts.csv", dtype=str, keep_default_na=False
    ).set_index("id")
    ours = fact_table()
    assert ours.equals(whole.loc[ours.index])
