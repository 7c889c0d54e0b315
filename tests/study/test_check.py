"""`check` tells what a run would stumble over, without reading events."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cytoflow_car.model.gate import Dimension, RectangleGate
from cytoflow_car.model.scale import Linear
from cytoflow_car.study.check import check_study
from cytoflow_car.study.sheet import read_study
from cytoflow_car.tables.geometry import gate_to_json

WriteStudy = Callable[..., Path]
WriteFile = Callable[..., None]


def told(folder: Path, templates: Path | None = None) -> list[str]:
    findings = check_study(read_study(folder), templates)
    return [f"{item.level}: {item.where}: {item.message}" for item in findings]


def test_a_sound_study_has_no_findings(write_study: WriteStudy) -> None:
    assert told(write_study()) == []


def test_a_missing_file(write_study: WriteStudy) -> None:
    folder = write_study()
    (folder / "fcs" / "b.fcs").unlink()
    assert told(folder) == ["error: samples.csv row 3 (b), column file: there is no file fcs/b.fcs"]


def test_a_torn_file(write_study: WriteStudy) -> None:
    folder = write_study()
    (folder / "fcs" / "b.fcs").write_bytes(b"FCS3.1    ")
    (finding,) = told(folder)
    assert finding.startswith("error: samples.csv row 3 (b), column file: ")


def test_a_file_without_events(write_study: WriteStudy, write_panel_file: WriteFile) -> None:
    folder = write_study()
    write_panel_file(folder / "fcs" / "b.fcs", n_events=0)
    assert told(folder) == ["error: samples.csv row 3 (b), column file: the file has no events"]


def test_a_wrong_panel(write_study: WriteStudy, write_panel_file: WriteFile) -> None:
    folder = write_study()
    write_panel_file(folder / "fcs" / "b.fcs", without="CD3")
    (finding,) = told(folder)
    assert finding.startswith(
        "error: samples.csv row 3 (b), column template: template car_t_pb does not fit the file: "
        "no channel for marker CD3"
    )


def test_several_colours_without_spillover(
    write_study: WriteStudy, write_panel_file: WriteFile
) -> None:
    folder = write_study()
    write_panel_file(folder / "fcs" / "b.fcs", spilled=False)
    (finding,) = told(folder)
    assert finding.startswith(
        "error: samples.csv row 3 (b), column spillover: the file has several colours and no "
        "spillover"
    )
    write_study({}, {"spillover": "applied"})
    write_panel_file(folder / "fcs" / "b.fcs", spilled=False)
    assert told(folder) == []


def test_a_spillover_table_that_is_not_there(write_study: WriteStudy) -> None:
    (finding,) = told(write_study({}, {"spillover": "m.csv"}))
    assert finding.startswith("error: samples.csv row 3 (b), column spillover: m.csv: ")


def test_one_content_under_two_rows(write_study: WriteStudy) -> None:
    folder = write_study()
    shutil.copy(folder / "fcs" / "a.fcs", folder / "fcs" / "b.fcs")
    assert told(folder) == [
        "error: samples.csv row 3 (b), column file: fcs/b.fcs has the same content as fcs/a.fcs of "
        "row 2 (a)"
    ]


def test_an_unknown_template(write_study: WriteStudy) -> None:
    findings = told(write_study({}, {"template": "car_t_bp"}))
    assert len(findings) == 1
    assert findings[0].startswith(
        "error: samples.csv row 3, column template: no template 'car_t_bp'"
    )


def test_two_templates_with_one_measurement(write_study: WriteStudy) -> None:
    findings = told(write_study({}, {"template": "car_t_pb;car_t_csf"}))
    assert (
        "error: samples.csv row 3 (b), column template: templates car_t_pb and car_t_csf both "
        "measure car_t_percent_of_t" in findings
    )


def test_a_template_for_another_specimen(write_study: WriteStudy) -> None:
    findings = told(write_study({}, {"template": "car_t_csf"}))
    assert (
        "warning: samples.csv row 3 (b), column template: template car_t_csf is meant for CSF, not "
        "for PB" in findings
    )


def test_patients_that_a_table_leaves_out(write_study: WriteStudy) -> None:
    folder = write_study()
    (folder / "labs.csv").write_text(
        "patient_id,day,test,value,unit,lower_limit\n"
        "P01,3,IgG,5,g/L,6\nP10,3,IgG,5,g/L,6\nP10,5,IgG,5,g/L,6\n"
    )
    (folder / "infusions.csv").write_text("patient_id,infusion,day\nP02,1,0\n")
    without_specimen = [
        "warning: infusions.csv, column patient_id: P02 has no specimen. Did you mean P01?",
        "warning: labs.csv, column patient_id: P10 has no specimen. Did you mean P01?",
    ]
    assert told(folder) == without_specimen
    (folder / "patients.csv").write_text("patient_id\nP10\n")
    assert told(folder) == [
        without_specimen[0],
        "warning: patients.csv, column patient_id: P10 has no specimen. Did you mean P01?",
        without_specimen[1],
        "warning: patients.csv, column patient_id: P01 is not there. Did you mean P10?",
        "warning: patients.csv, column patient_id: P02 is not there. Did you mean P10?",
    ]


def test_a_measurement_that_no_template_has(write_study: WriteStudy) -> None:
    folder = write_study()
    (folder / "study.toml").write_text('[definitions.car_t]\nPB = ["car_t_percent_of_tt"]\n')
    assert told(folder) == [
        "warning: study.toml: no template measures 'car_t_percent_of_tt'. Did you mean "
        "car_t_percent_of_t?"
    ]


def test_limits_of_the_study_are_not_those_of_a_run(write_study: WriteStudy) -> None:
    folder = write_study()
    (folder / "study.toml").write_text("[detection.car_t]\nlod_events = 20\n")
    assert told(folder) == [
        "warning: study.toml, [detection]: kept for the record; a run takes the limits of the "
        "templates"
    ]


def test_visits_and_their_windows(write_study: WriteStudy) -> None:
    windows = '[windows."C1 D7"]\nday = 7\nlow = 6\nhigh = 8\n'
    folder = write_study({"visit": "UNSCHEDULED"}, {"visit": "C1 D7"})
    (folder / "study.toml").write_text(windows)
    assert told(folder) == []
    (folder / "study.toml").write_text(windows.replace("7\nlow = 6", "8\nlow = 8"))
    assert told(folder) == [
        "warning: samples.csv row 3 (b), column visit: day 7 from infusion 1, but C1 D7 is day 8 "
        "to 8"
    ]
    write_study({"visit": "C1D7"}, {"visit": "C1D7"})
    assert told(folder) == [
        "warning: samples.csv row 2 (a), column visit: visit 'C1D7' has no window in study.toml. "
        "Did you mean C1 D7?"
    ]


def test_laboratory_values_that_the_definition_needs(write_study: WriteStudy) -> None:
    folder = write_study()
    labs = "patient_id,day,test,value,unit,lower_limit\nP01,3,IgA,1,g/L,\n"
    (folder / "labs.csv").write_text(labs)
    assert told(folder) == [
        "warning: labs.csv, column test: no value of IgG, which definition igg_lower_limit needs"
    ]
    (folder / "labs.csv").write_text(labs + "P01,3,IgG,5,g/L,\nP01,9,IgG,5,g/L,6\n")
    assert told(folder) == [
        "warning: labs.csv, column lower_limit: empty, but definition igg_lower_limit needs it: "
        "rows 3"
    ]


def test_no_control_of_any_kind(write_study: WriteStudy) -> None:
    findings = told(write_study({"baseline": "no"}, {}, {"batch": "S2"}))
    assert [finding for finding in findings if "row 3" in finding] == [
        "warning: samples.csv row 3 (b): no control for CAR of template car_t_pb: what it measures "
        "stays unconfirmed"
    ]
    assert "warning: samples.csv, column baseline: P01 has no baseline" in findings


@pytest.mark.parametrize(
    ("cells", "warning"),
    [
        ({"wbc_10e9_per_l": "4500"}, "column wbc_10e9_per_l: 4500 is implausible in 10⁹ a litre"),
        (
            {"wbc_10e9_per_l": "0.0001"},
            "column wbc_10e9_per_l: 0.0001 is implausible in 10⁹ a litre",
        ),
        (
            {"wbc_10e9_per_l": "1", "alc_10e9_per_l": "1.5"},
            "column alc_10e9_per_l: 1.5 lymphocytes, but 1 white cells",
        ),
        (
            {"cbc_at": "2024-03-07T08:00", "collected_at": "2024-03-08T08:01"},
            "column cbc_at: blood count of 2024-03-07 08:00:00, but specimen of "
            "2024-03-08 08:01:00",
        ),
        (
            {"cbc_at": "2024-03-06T23:00", "collected_on": "2024-03-08"},
            "column cbc_at: blood count of 2024-03-06 23:00:00, but specimen of 2024-03-08",
        ),
    ],
)
def test_a_doubtful_blood_count(
    write_study: WriteStudy, cells: dict[str, str], warning: str
) -> None:
    assert told(write_study({}, cells)) == [f"warning: samples.csv row 3 (b), {warning}"]


@pytest.mark.parametrize(
    "cells",
    [
        {"wbc_10e9_per_l": "0.01", "alc_10e9_per_l": "0"},
        {"cbc_at": "2024-03-07T08:00", "collected_at": "2024-03-08T08:00"},
        {"cbc_at": "2024-03-07", "collected_at": "2024-03-08T20:00"},
    ],
)
def test_a_plausible_blood_count(write_study: WriteStudy, cells: dict[str, str]) -> None:
    assert told(write_study({}, cells)) == []


def test_a_moved_gate_of_no_population(write_study: WriteStudy) -> None:
    folder = write_study()
    geometry = gate_to_json(RectangleGate((Dimension("CAR", Linear()),), (1.0,), (2.0,)))
    geometry = geometry.replace('"', '""')
    (folder / "overrides.csv").write_text(
        "sample_id,population,geometry,who,why,at\n"
        f'b,CART,"{geometry}",A,smear,2024-03-09\n'
        f'b,CAR T,"{geometry}",A,smear,2024-03-09\n',
        encoding="utf-8",
    )
    assert told(folder) == [
        "error: overrides.csv, column population: no population 'CART' in the templates of b. Did "
        "you mean CAR T?"
    ]


def test_an_infusion_of_nobody(write_study: WriteStudy) -> None:
    folder = write_study()
    (folder / "infusions.csv").write_text("patient_id,infusion,day\nP1,1,0\n", encoding="utf-8")
    assert told(folder) == [
        "warning: infusions.csv, column patient_id: P1 has no specimen. Did you mean P01?"
    ]


def test_excluded_rows_are_not_looked_at(write_study: WriteStudy) -> None:
    folder = write_study({}, {"use": "exclude", "exclude_reason": "clotted"})
    (folder / "fcs" / "b.fcs").unlink()
    assert told(folder) == []
