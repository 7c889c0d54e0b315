"""Some of a specimen's events keep their populations."""

from __future__ import annotations

import numpy as np

from cytoflow_car.model.population import ROOT, Population, PopulationTree


def make_tree() -> PopulationTree:
    kept = np.array([True, True, False, True, True, True])
    rows = {ROOT: range(6), "T": (0, 2, 3, 5), "B": (1, 4)}
    return PopulationTree(
        tuple(
            Population(name, name, None if name == ROOT else ROOT, own, int(kept[own].sum()), None)
            for name, own in ((name, np.array(list(rows[name]))) for name in rows)
        ),
        kept,
    )


def test_taken_events_are_numbered_anew_in_the_same_populations() -> None:
    tree, rows = make_tree(), np.array([1, 2, 3, 5])
    taken = tree.take(rows)
    for item in tree:
        assert np.array_equal(rows[taken[item.name].rows], np.intersect1d(item.rows, rows))
    assert [(item.name, item.count) for item in taken] == [(ROOT, 3), ("T", 2), ("B", 1)]
    assert taken.kept.tolist() == [True, False, True, True]


def test_other_events_in_one_population_leave_the_rest_as_it_was() -> None:
    tree = make_tree()
    other = tree.with_rows("B", np.array([2, 3]))
    assert (other["B"].rows.tolist(), other["B"].count) == ([2, 3], 1)
    assert other["T"] is tree["T"] and tree["B"].count == 2
