"""A reagent that binds every CAR tells no product from another once two were infused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cytoflow_car.study.car_reagents import car_target_of, is_generic
from cytoflow_car.study.plan import plan_study
from cytoflow_car.study.records import Infusion, SheetRow, Study
from cytoflow_car.study.results import _car
from cytoflow_car.study.sheet import read_study
from cytoflow_car.template import load_template

TEMPLATE = load_template("car_t_pb")
ROW = SheetRow("a", patient_id="P01", day=50.0, car_reagent="Protein L")
FIRST = Infusion("P01", 1, car_target="CD19", day=0.0)
SECOND = Infusion("P01", 2, car_target="CD22", day=40.0)


def target_of(row: SheetRow, *infusions: Infusion) -> str:
    return car_target_of(row, TEMPLATE, Study(Path("study"), (row,), infusions))


@pytest.mark.parametrize(
    "reagent",
    [
        "protein L", "Protein-L PE", "biotin ProteinL", "anti-linker", "anti-(G4S)3", "Whitlow/218",
        "EGFRt", "Cetuximab", "F(ab')2 goat anti-mouse IgG", "Goat F(ab\u2032)2 anti-mouse",
    ],
)  # fmt: skip
def test_generic_reagents_are_known_in_any_spelling(reagent: str) -> None:
    assert is_generic(reagent)


@pytest.mark.parametrize(
    "reagent",
    ["", "CD19-Fc", "CD22-Fc", "anti-FMC63", "rabbit anti-mouse FMC63", "protein-labelled CD19"],
)
def test_other_reagents_are_not_generic(reagent: str) -> None:
    assert not is_generic(reagent)


@pytest.mark.parametrize(
    ("change", "target"),
    [
        ({}, "ANY"),
        ({"day": 40.0, "timing": "post"}, "ANY"),
        ({"day": 40.0, "timing": "pre"}, "CD19"),
        ({"day": 39.0}, "CD19"),
        ({"patient_id": "P02"}, "CD19"),
        ({"car_reagent": ""}, "CD19"),
        ({"car_target": "CD22"}, "CD22"),
        ({"car_target": "CD19"}, "CD19"),
    ],
)
def test_after_another_product_a_generic_reagent_finds_any(
    change: dict[str, object], target: str
) -> None:
    assert target_of(replace(ROW, **change), FIRST, SECOND) == target  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("infusions", "target"),
    [
        ((), "CD19"),
        ((FIRST, replace(SECOND, car_target="CD19")), "CD19"),
        ((FIRST, replace(SECOND, car_target="")), "ANY"),
        ((replace(FIRST, car_target=""),), "CD19"),
        ((replace(FIRST, car_target="CD22"),), "ANY"),
    ],
)
def test_what_counts_as_another_product(infusions: tuple[Infusion, ...], target: str) -> None:
    assert target_of(ROW, *infusions) == target


def test_a_run_looks_for_any_with_a_generic_reagent(write_study: Callable[..., Path]) -> None:
    stain = {"car_reagent": "Protein L"}
    folder = write_study(stain, stain | {"day": "50"}, stain)
    (folder / "infusions.csv").write_text(
        "patient_id,infusion,car_target,day\nP01,1,CD19,0\nP01,2,CD22,40\n", encoding="utf-8"
    )
    planned = plan_study(read_study(folder))
    assert [sample.job.car_target for sample in planned.samples] == ["CD19", "ANY"]
    assert [sample.job.doubts for sample in planned.samples] == [(), ("GENERIC_REAGENT",)]


def test_a_tube_that_failed_would_have_looked_for_the_same() -> None:
    study = Study(Path("study"), (ROW,), (FIRST, SECOND))
    assert _car(ROW, TEMPLATE, "CAR T", study)["car_target"] == "ANY"
