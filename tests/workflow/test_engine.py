"""ketamap.workflow.engine and ketamap.workflow.ledger"""

import multiprocessing
import os
import signal
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest

from ketamap.core.errors import InputError, ResourceError
from ketamap.workflow.engine import Task, run_tasks
from ketamap.workflow.ledger import Ledger, step_key


def write(path, text, log):
    log.append(path.name)
    if text == "boom":
        msg = "bad input"
        raise InputError(msg)
    path.write_text(text)


def tasks(folder, log, *, texts=("a", "b", "ab")):
    """Two independent writers and one that needs both."""
    first, second, both = texts

    def task(name, text, needs=()):
        return Task(
            step=name,
            subject="m1",
            call=write,
            arguments={"path": folder / name, "text": text, "log": log},
            inputs=lambda: {"text": text, "needs": [(folder / n).read_text() for n in needs]},
            needs=tuple((n, "m1") for n in needs),
            outputs=(name,),
        )

    return [task("both", both, ("first", "second")), task("first", first), task("second", second)]


def run(folder, *, workers=2, **options):
    log = []
    with Ledger(folder) as ledger, ThreadPoolExecutor(workers) as executor:
        outcome = run_tasks(tasks(folder, log, **options), ledger=ledger, executor=executor)
    return outcome, log


@pytest.mark.parametrize("workers", [1, 3])
def test_tasks_run_after_what_they_need(tmp_path, workers):
    outcome, log = run(tmp_path, workers=workers)
    assert set(log[:2]) == {"first", "second"}
    assert log[2] == "both"
    assert len(outcome.done) == 3


def test_nothing_is_done_twice(tmp_path):
    run(tmp_path)
    outcome, log = run(tmp_path)
    assert log == []
    assert len(outcome.skipped) == 3


def test_a_changed_input_redoes_it_and_what_follows(tmp_path):
    run(tmp_path)
    _, log = run(tmp_path, texts=("changed", "b", "ab"))
    assert log == ["first", "both"]


def test_a_damaged_output_is_made_again(tmp_path):
    run(tmp_path)
    Path(tmp_path / "second").write_text("half")
    _, log = run(tmp_path)
    assert log == ["second"]


def test_a_lost_output_is_made_again(tmp_path):
    run(tmp_path)
    Path(tmp_path / "both").unlink()
    assert run(tmp_path)[1] == ["both"]


def test_an_error_names_its_task_and_what_was_done_is_kept(tmp_path):
    with pytest.raises(InputError, match="bad input") as caught:
        run(tmp_path, texts=("boom", "b", "ab"))
    assert any("first m1" in note for note in caught.value.__notes__)
    _, log = run(tmp_path)
    assert "second" not in log
    assert set(log) == {"first", "both"}


def test_the_ledger_tells_times(tmp_path):
    run(tmp_path)
    with Ledger(tmp_path) as ledger:
        assert set(ledger.seconds()) == {"first", "second", "both"}
        assert ledger.seconds()["first"]["m1"] >= 0


def test_a_key_depends_on_every_part_and_not_on_their_order():
    assert step_key(a=1, b=2) == step_key(b=2, a=1)
    assert step_key(a=1, b=2) != step_key(a=1, b=3)


def die(path):
    del path
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX systems")
def test_a_worker_that_is_killed_is_explained(tmp_path):
    task = Task(step="die", subject="m1", call=die, arguments={"path": tmp_path})
    pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
    with Ledger(tmp_path) as ledger, pool, pytest.raises(ResourceError, match="--resume"):
        run_tasks([task], ledger=ledger, executor=pool)
