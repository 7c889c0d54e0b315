"""``study.toml`` says what is in force by name, and a wrong key is told with the right one."""

from __future__ import annotations

from pathlib import Path

import pytest

from cytoflow_car.errors import StudyError
from cytoflow_car.outcome.recovery import DEFINITIONS, RecoveryDefinition
from cytoflow_car.study.definitions import describe_definitions, read_definitions
from cytoflow_car.study.records import (
    DetectionLimits,
    ImmunoglobulinRule,
    RecoveryRule,
    StudyDefinitions,
    VisitWindow,
)
from cytoflow_car.study.sheet import read_study
from cytoflow_car.template import list_templates, load_template

OWN = """
[recovery.bm_2_percent_cd22]
specimen = "BM"
measurement = "b_cell_cd22_percent_of_nucleated"
unit = "%"
threshold = 2
threshold_is_aplasia = true
consecutive = 1
"""


def definitions_of(folder: Path, text: str) -> StudyDefinitions:
    (folder / "study.toml").write_text(text, encoding="utf-8")
    faults: list[StudyError] = []
    found = read_definitions(folder / "study.toml", faults)
    assert faults == []
    return found


def faults_of(folder: Path, text: str) -> list[str]:
    (folder / "study.toml").write_text(text, encoding="utf-8")
    faults: list[StudyError] = []
    assert read_definitions(folder / "study.toml", faults) == StudyDefinitions()
    return [str(fault) for fault in faults]


def test_a_file_with_a_name_alone_has_every_default(tmp_path: Path) -> None:
    assert definitions_of(tmp_path, 'name = "Mine"\n') == StudyDefinitions(name="Mine")


def test_the_defaults_are_those_of_the_documentation(tmp_path: Path) -> None:
    faults: list[StudyError] = []
    found = read_definitions(tmp_path / "study.toml", faults)
    assert (found.month_days, found.survival_origin) == (30.4375, 1)
    assert found.recoveries == (
        RecoveryRule(DEFINITIONS["bm_2_percent"], "b_cell_cd19_percent_of_nucleated"),
    )
    assert found.immunoglobulin == ImmunoglobulinRule("igg_lower_limit", "IgG", None, "", 0.0, 12.0)
    assert (found.landmark_months, found.lfs_events, found.transplant) == (
        (6.0,),
        ("relapse", "death"),
        "censor",
    )
    assert faults == []


def test_what_the_defaults_name_is_measured(tmp_path: Path) -> None:
    text = f"[definitions]\nrecovery = {list(DEFINITIONS)}\n"
    found = definitions_of(tmp_path, text)
    measured = {item.name for name in list_templates() for item in load_template(name).measurements}
    assert list(DEFINITIONS) == [rule.definition.name for rule in found.recoveries]
    assert measured >= {
        *(rule.measurement for rule in found.recoveries),
        found.residual_measurement,
        *(name for names in found.car_t_measurements.values() for name in names),
    }


def test_every_key_arrives(tmp_path: Path) -> None:
    text = """
name = "Two infusions"
simulated = true

[clocks]
month_days = 30
survival_origin = "infusion 2"
day_0 = "infusion 1"

[windows."C2 D28"]
day = 28
low = 25
high = 35
infusion = 2

[definitions]
persistence = "cibmtr"
recovery = ["bm_2_percent_cd22", "bm_2_percent"]
marrow_denominator = "mononuclear"
residual_measurement = "blast_percent_of_mononuclear"

[definitions.immunoglobulin]
name = "iga_by_month_9"
test = "IgA"
limit = 0.7
unit = "g/L"
months_without_ivig = 2
early_months = 9

[definitions.car_t]
PB = ["car_t_per_ul", "car_t_percent_of_t"]

[outcome]
landmark_months = [12, 6]
lfs_events = ["relapse"]
transplant = "competing"

[detection.car_t]
lod_events = 20
"""
    own = RecoveryDefinition("bm_2_percent_cd22", "BM", "%", 2.0, True, 1)
    assert definitions_of(tmp_path, text + OWN) == StudyDefinitions(
        name="Two infusions",
        simulated=True,
        month_days=30.0,
        survival_origin=2,
        windows=(VisitWindow("C2 D28", 28.0, 25.0, 35.0, 2),),
        persistence="cibmtr",
        recoveries=(
            RecoveryRule(own, "b_cell_cd22_percent_of_nucleated"),
            RecoveryRule(DEFINITIONS["bm_2_percent"], "b_cell_cd19_percent_of_mononuclear"),
        ),
        marrow_denominator="mononuclear",
        immunoglobulin=ImmunoglobulinRule("iga_by_month_9", "IgA", 0.7, "g/L", 2.0, 9.0),
        residual_measurement="blast_percent_of_mononuclear",
        car_t_measurements={
            "PB": ("car_t_per_ul", "car_t_percent_of_t"),
            "CSF": ("car_t_percent_of_t",),
            "BM": ("car_t_percent_of_t",),
        },
        landmark_months=(6.0, 12.0),
        lfs_events=("relapse",),
        transplant="competing",
        detection={"car_t": DetectionLimits(lod_events=20)},
    )


@pytest.mark.parametrize(
    ("keys", "name"),
    [
        ("", "igg_lower_limit"),
        ('limit = "lower_limit"', "igg_lower_limit"),
        ('test = "IgM"', "igm_lower_limit"),
        ('limit = 4.5\nunit = "g/L"', "igg_4_5_g_l"),
        ("months_without_ivig = 2", "igg_lower_limit_2_months_without_ivig"),
        ('name = "ours"\ntest = "IgM"', "ours"),
    ],
)
def test_a_rule_of_immunoglobulins_is_named_by_what_it_says(
    tmp_path: Path, keys: str, name: str
) -> None:
    text = f"[definitions.immunoglobulin]\n{keys}\n"
    assert definitions_of(tmp_path, text).immunoglobulin.name == name


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "nmae = 'a'",
            ", nmae: unknown key; expected one of name, simulated, clocks, windows, definitions, "
            "recovery, outcome, detection. Did you mean name?",
        ),
        (
            "persistence = 'interval'",
            ", persistence: unknown key; expected one of name, simulated, clocks, windows, "
            "definitions, recovery, outcome, detection. It belongs to [definitions]",
        ),
        (
            "[clocks]\nmonth_day = 30",
            ", [clocks] month_day: unknown key; expected one of month_days, survival_origin, "
            "day_0. Did you mean month_days?",
        ),
        (
            "[windows.D14]\nday = 1\nlow = 0\nhigh = 2\nhihg = 2",
            ", [windows.D14] hihg: unknown key; expected one of day, low, high, infusion. Did you "
            "mean high?",
        ),
        (
            "[definitions.car_t]\nBLOOD = ['a']",
            ", [definitions.car_t] BLOOD: unknown key; expected one of PB, CSF, BM",
        ),
        (
            "[detection.car_t]\nlod = 3",
            ", [detection.car_t] lod: unknown key; expected one of lod_events, loq_events",
        ),
        ("name = ''", ", name: ''; expected something"),
        ("simulated = 'yes'", ", simulated: 'yes'; expected a valid boolean"),
        ("definitions = 3", ", definitions: 3; expected a table"),
        ("[[windows]]\nday = 1", ", windows: [{'day': 1}]; expected a table"),
        ("[clocks]\nmonth_days = 365", ", [clocks] month_days: 365; expected less than or equal "
                                       "to 31"),
        (
            "[clocks]\nsurvival_origin = 'infusion 3'",
            ", [clocks] survival_origin: 'infusion 3'; expected 'infusion 1' or 'infusion 2'",
        ),
        (
            "[clocks]\nday_0 = 'enrolment'",
            ", [clocks] day_0: 'enrolment'; expected 'infusion 1'",
        ),
        ("[windows.D14]\nday = 14\nlow = 12", ", [windows.D14] high: missing"),
        (
            "[windows.D14]\nday = 14\nlow = 15\nhigh = 16",
            ", [windows.D14]: low 15, day 14, high 16; expected low ≤ day ≤ high",
        ),
        (
            "[definitions]\npersistence = 'intervall'",
            ", [definitions] persistence: 'intervall'; expected 'interval' or 'cibmtr'",
        ),
        (
            "[definitions]\nrecovery = ['bm_2_percents']",
            ", [definitions] recovery: no definition 'bm_2_percents'; expected bm_2_percent, "
            "pb_3_percent_of_lymphocytes, pb_50_per_ul. Did you mean bm_2_percent?",
        ),
        (
            "[definitions]\nrecovery = ['bm_2_percent', 'bm_2_percent']",
            ", [definitions] recovery: ['bm_2_percent', 'bm_2_percent']; expected each only once",
        ),
        (
            "[definitions]\nmarrow_denominator = 'all'",
            ", [definitions] marrow_denominator: 'all'; expected 'nucleated', 'cd45', "
            "'mononuclear' or 'lymphocytes'",
        ),
        (
            "[definitions.immunoglobulin]\nlimit = 'lower'",
            ", [definitions.immunoglobulin] limit: 'lower'; expected a number above 0, or "
            "'lower_limit'",
        ),
        (
            "[definitions.immunoglobulin]\nlimit = 4",
            ", [definitions.immunoglobulin] unit: ''; expected a unit where limit is a number, "
            "else none",
        ),
        (
            "[definitions.immunoglobulin]\nunit = 'g/L'",
            ", [definitions.immunoglobulin] unit: 'g/L'; expected a unit where limit is a number, "
            "else none",
        ),
        (
            "[definitions.immunoglobulin]\ntest = 'igg'",
            ", [definitions.immunoglobulin] test: 'igg'; expected IgG",
        ),
        (
            "[definitions.immunoglobulin]\ntest = 'IVIG'",
            ", [definitions.immunoglobulin] test: 'IVIG'; expected what is measured, not what is "
            "given",
        ),
        (
            "[definitions.car_t]\nPB = ['CAR T']",
            ", [definitions.car_t] PB: 'CAR T'; expected small letters, digits and _",
        ),
        ("[definitions.car_t]\nPB = []", ", [definitions.car_t] PB: []; expected something"),
        (OWN, ", [recovery.bm_2_percent_cd22]: not in force. Name it in recovery of [definitions], "
              "or remove it"),
        (
            OWN.replace("bm_2_percent_cd22", "bm_2_percent"),
            ", [recovery.bm_2_percent]: 'bm_2_percent' is built in; expected a name of your own",
        ),
        (
            '[definitions]\nrecovery = ["bm_2_percent_cd22"]'
            + OWN.replace('"%"', '"cells/uL"'),
            ", [recovery.bm_2_percent_cd22] measurement: 'b_cell_cd22_percent_of_nucleated' is not "
            "in cells/uL; expected one with '_per_ul' in its name",
        ),
        (
            "[outcome]\nlandmark_months = [0]",
            ", [outcome] landmark_months: 0; expected greater than 0",
        ),
        (
            "[outcome]\nlfs_events = ['progression']",
            ", [outcome] lfs_events: 'progression'; expected 'relapse' or 'death'",
        ),
        (
            "[outcome]\ntransplant = 'event'",
            ", [outcome] transplant: 'event'; expected 'censor', 'competing' or 'ignore'",
        ),
        (
            "[detection.car_t]\nlod_events = 20\nloq_events = 10",
            ", [detection.car_t]: loq_events 10 below lod_events 20",
        ),
        (
            "[a",
            ": not TOML (Expected ']' at the end of a table declaration (at end of document))",
        ),
    ],
)  # fmt: skip
def test_a_wrong_key_is_told_with_its_place(tmp_path: Path, text: str, fault: str) -> None:
    assert faults_of(tmp_path, text) == [f"study.toml{fault}"]


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    assert len(faults_of(tmp_path, "nmae = 1\n[clocks]\nmonth_days = 'a'\nday0 = 1\n")) == 3


def test_a_study_has_its_definitions_and_its_faults(tmp_path: Path) -> None:
    (tmp_path / "samples.csv").write_text(
        "file,patient_id,specimen,template,day\na.fcs,P01,PB,t,7\n", encoding="utf-8"
    )
    assert read_study(tmp_path).definitions == StudyDefinitions()
    text = '[definitions.immunoglobulin]\nlimit = 4\nunit = "g/L"\n'
    definitions = definitions_of(tmp_path, text)
    assert read_study(tmp_path).definitions == definitions
    (tmp_path / "labs.csv").write_text(
        "patient_id,day,test,value,unit\nP01,9,IgG,5,g/L\nP01,9,IgA,70,mg/dL\nP01,12,IgG,450,mg/dL\n",
        encoding="utf-8",
    )
    with pytest.raises(StudyError) as caught:
        read_study(tmp_path)
    assert str(caught.value) == (
        "labs.csv row 4, column unit: 'mg/dL'; expected g/L, as in study.toml"
    )
    (tmp_path / "study.toml").write_text("nmae = 1\n", encoding="utf-8")
    with pytest.raises(StudyError, match=r"study\.toml, nmae: unknown key"):
        read_study(tmp_path)


def test_what_is_in_force_is_told_in_words() -> None:
    assert list(describe_definitions(StudyDefinitions())) == [
        "month: 30.4375 days",
        "persistence: interval, ended by 1 negative in a row",
        "recovery: bm_2_percent (b_cell_cd19_percent_of_nucleated of BM above 2 %, 2 in a row)",
        "recovery: bm_2_percent (b_cell_cd22_percent_of_nucleated of BM above 2 %, 2 in a row)",
        "immunoglobulins: igg_lower_limit (IgG from lower_limit of the same row on, after a value "
        "below, whenever IVIG was given, early before month 12)",
        "residual disease: blast_percent_of_nucleated",
        "CAR T cells of PB: car_t_percent_of_t",
        "CAR T cells of CSF: car_t_percent_of_t",
        "CAR T cells of BM: car_t_percent_of_t",
        "survival: from infusion 1, leukemia-free until relapse or death, transplantation: censor, "
        "landmark months: 6",
    ]


def test_a_rule_of_immunoglobulins_is_told_in_full() -> None:
    rule = ImmunoglobulinRule("mine", "IgA", 0.5, "g/L", months_without_ivig=3)
    told = list(describe_definitions(StudyDefinitions(immunoglobulin=rule)))
    assert (
        "immunoglobulins: mine (IgA from 0.5 g/L on, after a value below, no IVIG in the 3 months "
        "before, early before month 12)" in told
    )
