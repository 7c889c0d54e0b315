"""What a run will do: controls, appended acquisitions, missing and doubled files."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cytoflow_car.gating.placing import ControlSummary
from cytoflow_car.job import SampleJob
from cytoflow_car.study.controls import ControlUse, find_controls, with_controls
from cytoflow_car.study.plan import (
    StudyPlan,
    _stained_alike,
    find_measured_twice,
    plan_study,
)
from cytoflow_car.study.records import SheetRow, Study
from cytoflow_car.study.sheet import read_study
from cytoflow_car.template import load_template

WriteStudy = Callable[..., Path]

TEMPLATE = load_template("car_t_pb")
BASELINE = SheetRow(
    "a", patient_id="P01", specimen="PB", tube="T", day=0.0, timing="pre", baseline=True
)
LATER = replace(BASELINE, sample_id="b", day=7.0, timing="", baseline=False, batch="S1")
FMO = SheetRow("c", role="fmo", control_markers=("CAR",), control_for=("batch",), batch="S1")


def controls_of(row: SheetRow, *others: SheetRow) -> list[tuple[str, str]]:
    study = Study(Path("study"), (row, *others))
    return [(use.row.sample_id, use.kind) for use in find_controls(row, study, TEMPLATE)]


def test_own_specimens_before_infusion_and_controls_of_the_batch_serve() -> None:
    assert controls_of(LATER, BASELINE, FMO) == [("a", "pre_infusion"), ("c", "fmo")]


@pytest.mark.parametrize("specimen", ["PB", "BM", "CSF"])
def test_own_specimens_before_infusion_serve_whatever_their_type(specimen: str) -> None:
    other = replace(BASELINE, sample_id="d", specimen=specimen)
    assert controls_of(LATER, BASELINE, other) == [("a", "pre_infusion"), ("d", "pre_infusion")]


@pytest.mark.parametrize(
    "change",
    [
        {"patient_id": "P02"},
        {"baseline": False},
        {"tube": "T22"},
        {"car_reagent": "CD22-Fc"},
        {"panel_version": "2"},
        {"day": 5.0, "timing": ""},
        {"timing": "post"},
        {"use": "append"},
        {"use": "exclude"},
        {"not_done_reason": "clotted"},
        {"role": "untransduced"},
    ],
)
def test_what_is_no_baseline_of_this_tube_does_not_serve(change: dict[str, object]) -> None:
    assert controls_of(LATER, replace(BASELINE, **change)) == []  # type: ignore[arg-type]


def test_nothing_is_its_own_control() -> None:
    assert controls_of(BASELINE) == []


@pytest.mark.parametrize(
    ("change", "serves"),
    [
        ({}, True),
        ({"batch": "S2"}, False),
        ({"batch": ""}, False),
        ({"control_markers": ("CD3",)}, False),
        ({"control_markers": ("CD3", "CAR")}, True),
        ({"use": "exclude"}, False),
        ({"tube": "T22"}, False),
        ({"tube": "T"}, True),
        ({"role": "single_stain"}, False),
        ({"role": "isotype", "control_for": ("patient",), "patient_id": "P01"}, True),
        ({"control_for": ("patient",), "patient_id": "P02"}, False),
        ({"control_for": ("b", "x"), "batch": "S9"}, True),
        ({"control_for": ("x",)}, False),
        ({"control_for": ()}, True),
    ],
)
def test_other_controls_serve_whom_they_name(change: dict[str, object], serves: bool) -> None:
    control = replace(FMO, **change)  # type: ignore[arg-type]
    assert controls_of(LATER, control) == ([("c", control.role)] if serves else [])


def test_reagents_are_not_mixed() -> None:
    row = replace(LATER, car_reagent="CD19-Fc")
    assert controls_of(row, replace(FMO, car_reagent="CD22-Fc")) == []
    assert controls_of(row, replace(FMO, car_reagent="CD19-Fc")) == [("c", "fmo")]
    # An FMO lacks the reagent, whichever it would have been.
    assert controls_of(row, FMO) == [("c", "fmo")]


def test_a_template_without_control_gates_wants_none() -> None:
    study = Study(Path("study"), (LATER, BASELINE, FMO))
    assert find_controls(LATER, study, load_template("b_cells_pb")) == ()


def plan(folder: Path) -> StudyPlan:
    return plan_study(read_study(folder))


def test_each_control_is_read_once_for_a_template(write_study: WriteStudy) -> None:
    planned = plan(write_study())
    assert [sample.row.sample_id for sample in planned.samples] == ["a", "b"]
    assert set(planned.control_jobs) == {("a", "car_t_pb"), ("c", "car_t_pb")}
    assert planned.failures == ()


def test_a_missing_file_costs_its_own_row(write_study: WriteStudy) -> None:
    folder = write_study()
    (folder / "fcs" / "b.fcs").unlink()
    planned = plan(folder)
    assert [sample.row.sample_id for sample in planned.samples] == ["a"]
    (failure,) = planned.failures
    assert (failure.sample_id, failure.code) == ("b", "file_missing")
    assert "samples.csv row 3" in failure.message
    assert "b.fcs" not in failure.message


def test_a_missing_control_is_a_failure_but_its_specimens_go_on(write_study: WriteStudy) -> None:
    folder = write_study()
    (folder / "fcs" / "c.fcs").unlink()
    planned = plan(folder)
    assert [sample.row.sample_id for sample in planned.samples] == ["a", "b"]
    assert [failure.sample_id for failure in planned.failures] == ["c"]
    assert set(planned.control_jobs) == {("a", "car_t_pb")}


def test_one_content_under_two_rows_is_used_for_neither(write_study: WriteStudy) -> None:
    folder = write_study()
    shutil.copyfile(folder / "fcs" / "a.fcs", folder / "fcs" / "b.fcs")
    planned = plan(folder)
    assert planned.samples == ()
    assert {failure.sample_id for failure in planned.failures} == {"a", "b"}
    for failure in planned.failures:
        assert failure.code == "duplicate_file"
        assert "samples.csv rows 2 and 3 (a, b) have the same content" in failure.message


@pytest.mark.parametrize("use", ["exclude", "superseded"])
def test_a_copy_that_counts_nowhere_is_no_double(write_study: WriteStudy, use: str) -> None:
    folder = write_study({}, {"use": use, "exclude_reason": "copy" if use == "exclude" else ""})
    shutil.copyfile(folder / "fcs" / "a.fcs", folder / "fcs" / "b.fcs")
    planned = plan(folder)
    assert planned.failures == ()
    assert "a" in [sample.row.sample_id for sample in planned.samples]


APPENDED = ({}, {"day": "7"}, {
    "role": "specimen", "patient_id": "P01", "day": "7", "use": "append",
    "control_marker": "", "control_for": "", "acquisition": "2",
})  # fmt: skip


def test_an_appended_acquisition_joins_its_tube(write_study: WriteStudy) -> None:
    folder = write_study(*APPENDED)
    planned = plan(folder)
    baseline, later = planned.samples
    assert len(baseline.job.sources) == 1
    assert [source.path.name for source in later.job.sources] == ["b.fcs", "c.fcs"]
    assert later.job.sources[1].sha256 == planned.hashes["c"]
    # What is appended is counted with its tube, and by itself is neither specimen nor control.
    assert [sample.row.sample_id for sample in planned.samples] == ["a", "b"]
    assert set(planned.control_jobs) == {("a", "car_t_pb")}


def test_a_missing_appended_acquisition_costs_its_tube(write_study: WriteStudy) -> None:
    folder = write_study(*APPENDED)
    (folder / "fcs" / "c.fcs").unlink()
    planned = plan(folder)
    assert [sample.row.sample_id for sample in planned.samples] == ["a"]
    failed = {failure.sample_id: failure for failure in planned.failures}
    assert set(failed) == {"b", "c"}
    assert "appended acquisition c" in failed["b"].message


def test_a_superseded_row_and_another_instrument_are_no_controls() -> None:
    template = load_template("car_t_pb")
    base = SheetRow(
        sample_id="base", patient_id="P1", specimen="PB", tube="T", day=0.0, timing="pre",
        templates=("car_t_pb",), baseline=True,
    )  # fmt: skip
    late = replace(base, sample_id="late", day=7.0, timing="", baseline=False)

    def kinds(control: SheetRow, specimen: SheetRow = late) -> list[str]:
        study = Study(Path("study"), (control, specimen))
        return [use.kind for use in find_controls(specimen, study, template)]

    assert kinds(base) == ["pre_infusion"]
    assert kinds(replace(base, use="superseded")) == []
    far = replace(late, instrument="B")
    assert kinds(replace(base, instrument="A"), far) == []
    # An empty cell means the template's own reagent.
    assert kinds(replace(base, car_reagent="CD19-Fc")) == ["pre_infusion"]
    assert kinds(replace(base, car_reagent="CD22-Fc")) == []


def test_one_tube_measured_twice_and_a_draw_of_two_days_are_told() -> None:
    templates = {name: load_template(name) for name in ("car_t_pb", "car_t_bm")}
    one = SheetRow(
        sample_id="a", line=2, patient_id="P1", specimen="PB", specimen_id="P1_d7", tube="T",
        day=7.0, templates=("car_t_pb",),
    )  # fmt: skip
    twice = replace(one, sample_id="b", line=3, specimen_id="other", templates=("car_t_bm",))
    found = list(find_measured_twice(Study(Path("study"), (one, twice)), templates))
    assert "is given by row 2 too (a and b)" in str(found[0])
    mixed = replace(one, sample_id="c", line=4, day=14.0)
    found = list(find_measured_twice(Study(Path("study"), (one, mixed)), templates))
    assert "column specimen_id" in str(found[0])


def test_an_appended_acquisition_of_another_stain_is_refused() -> None:
    row = SheetRow(sample_id="a", tube="T", car_target="CD19", templates=("car_t_pb",))
    assert _stained_alike(replace(row, sample_id="b", car_target=""), row)
    assert not _stained_alike(replace(row, sample_id="b", car_target="CD22"), row)
    assert not _stained_alike(replace(row, sample_id="b", spillover="applied"), row)


def test_a_control_serves_only_the_markers_that_it_is_a_control_for() -> None:
    row = SheetRow(sample_id="fmo", role="fmo")
    summary = ControlSummary("T", "CAR", "fmo", "fmo", 1000, (1.0,), (0.0, 1.0))
    job = SampleJob("P1", (), load_template("car_t_pb"))

    def found(markers: frozenset[str] | None) -> list[tuple[str, str, tuple[float, ...]]]:
        use, summaries = ControlUse(row, "isotype", markers), {("fmo", "car_t_pb"): (summary,)}
        controls = with_controls(job, row, (use,), summaries).controls
        return [(item.kind, item.marker, item.tail) for item in controls]

    # Relabelled by the use that the sheet makes of it.
    assert found(frozenset({"CAR"})) == [("isotype", "CAR", (1.0,))]
    assert found(None) == [("isotype", "CAR", (1.0,))]
    assert found(frozenset({"CD3"})) == []
