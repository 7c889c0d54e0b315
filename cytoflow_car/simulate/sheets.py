"""Rows of the study's tables: sample sheet, truth, infusions, patients, laboratory values."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from cytoflow_car.simulate.beads import Kit
from cytoflow_car.simulate.course import Patient
from cytoflow_car.simulate.panels import PANELS
from cytoflow_car.simulate.plan import Tube
from cytoflow_car.simulate.specimens import Draw
from cytoflow_car.simulate.truth import Truth

SAMPLE_COLUMNS = (
    "file", "dataset", "sample_id", "patient_id", "specimen", "specimen_id", "tube",
    "acquisition", "collected_on", "day", "day_origin", "timing", "visit", "template", "role",
    "baseline", "control_marker", "control_for", "batch", "instrument", "panel_version", "prep",
    "use", "exclude_reason", "not_done_reason", "car_target", "car_reagent", "spillover",
    "wbc_10e9_per_l", "alc_10e9_per_l", "cbc_at", "beads_per_tube", "bead_lot", "volume_ul",
    "dilution", "kit", "pull_number", "collected_at", "acquired_at",
)  # fmt: skip

TRUTH_COLUMNS = (
    "file", "measurement", "planted", "value", "unit", "n_events", "n_denominator",
)  # fmt: skip

_INSTRUMENT = "simulated cytometer"
_CAR = {"T": ("CD19", "CD19-Fc"), "T22": ("CD22", "CD22-Fc"), "B": ("", "")}
_LIMITS = {
    "IgG": (6.0, 8.5),
    "IgA": (0.7, 1.1),
    "IgM": (0.5, 1.0),
}  # lower limit, healthy, g/L


def sample_row(tube: Tube, draw: Draw) -> dict[str, object]:
    """Return one row of ``samples.csv``; what does not apply is left out."""
    target, reagent = _CAR[tube.name]
    counting = tube.counting
    row: dict[str, object] = {
        "file": "" if tube.not_done else f"fcs/{tube.sample_id}.fcs",
        "sample_id": tube.sample_id,
        "specimen": tube.specimen,
        "specimen_id": tube.specimen_id,
        "tube": tube.name,
        "template": tube.template,
        "role": tube.role,
        "batch": f"S{tube.session:03d}",
        "instrument": _INSTRUMENT,
        "panel_version": PANELS[tube.name].version,
        "use": "report",
        "not_done_reason": tube.not_done,
        "car_target": target,
        "car_reagent": reagent,
    }
    if tube.patient is None:
        return row | {
            "control_marker": "CAR",
            "control_for": "batch",
            "prep": "lyse-wash",
        }
    row |= {
        "patient_id": tube.patient.name,
        "day": tube.day,
        "timing": "pre" if tube.before_infusion else "",
        "visit": tube.visit,
        "baseline": "yes" if tube.baseline else "",
        "prep": _prep(tube),
    }
    if tube.role == "fmo":
        row |= {"control_marker": tube.omitted, "control_for": tube.control_of}
    if tube.specimen == "BM":
        row["pull_number"] = 1
    if counting.beads_per_tube and not tube.not_done:
        row |= {
            "beads_per_tube": counting.beads_per_tube,
            "bead_lot": f"SIM-{counting.beads_per_tube}",
            "volume_ul": f"{counting.volume_ul:g}",
            "dilution": 1,
        }
    if counting.counted_blood and not tube.not_done:
        row["wbc_10e9_per_l"] = f"{draw.cd45_per_ul / 1000:.3f}"
        row["alc_10e9_per_l"] = f"{draw.lymphocytes_per_ul / 1000:.3f}"
    return row


def bead_row(kit: Kit, session: int) -> dict[str, object]:
    """Return the row of ``samples.csv`` of a kit's beads in a session."""
    batch = f"S{session:03d}"
    sample_id = f"{batch}_beads_{kit.name}"
    return {
        "file": f"fcs/{sample_id}.fcs",
        "sample_id": sample_id,
        "role": "calibration_beads",
        "batch": batch,
        "instrument": _INSTRUMENT,
        "use": "report",
        "kit": kit.file,
    }


def _prep(tube: Tube) -> str:
    if tube.specimen == "CSF":
        return "no lysis"
    return "lyse-no-wash" if tube.counting.beads_per_tube else "lyse-wash"


def truth_rows(file: str, told: Iterable[Truth]) -> list[dict[str, object]]:
    """Return the rows of ``truth.csv`` of one file."""
    return [
        {
            "file": file,
            "measurement": row.measurement,
            "planted": f"{row.planted:.8g}",
            "value": "" if row.value is None else f"{row.value:.8g}",
            "unit": row.unit,
            "n_events": row.n_events,
            "n_denominator": row.n_denominator,
        }
        for row in told
    ]


def infusion_rows(cohort: list[Patient]) -> list[dict[str, object]]:
    """Return the rows of ``infusions.csv``."""
    return [
        {
            "patient_id": patient.name,
            "infusion": number,
            "product": f"{expansion.target} CAR T",
            "car_target": expansion.target,
            "day": expansion.infused_on,
            "dose_per_kg": f"{dose:g}",
        }
        for patient in cohort
        for number, (expansion, dose) in enumerate(
            zip(patient.expansions, patient.dose_per_kg, strict=True), start=1
        )
    ]


def patient_rows(cohort: list[Patient]) -> list[dict[str, object]]:
    """Return the rows of ``patients.csv``; nobody dies or is transplanted."""
    return [
        {
            "patient_id": patient.name,
            "age_years": patient.age_years,
            "sex": patient.sex,
            "disease_status": patient.disease_status,
            "tp53": patient.tp53,
            "response": "CR",
            "response_day": 30,
            "relapse_day": "" if patient.relapse_on is None else patient.relapse_on,
            "relapse_site": "" if patient.relapse_on is None else "BM",
            "death_day": "",
            "last_follow_up_day": max(400, (patient.relapse_on or 0) + 30),
            "transplant_day": "",
            "prior_blinatumomab_day": "",
            "prior_inotuzumab_day": "",
            "prior_rituximab_day": "",
        }
        for patient in cohort
    ]


def lab_rows(cohort: list[Patient], rng: np.random.Generator) -> list[dict[str, object]]:
    """Return the rows of ``labs.csv``: immunoglobulins fall in aplasia, IVIG follows low IgG."""
    rows: list[dict[str, object]] = []

    def add(patient: Patient, day: int, test: str, value: float, unit: str, limit: str) -> None:
        rows.append(
            {
                "patient_id": patient.name,
                "day": day,
                "test": test,
                "value": f"{value:.2f}",
                "unit": unit,
                "lower_limit": limit,
            }
        )

    for patient in cohort:
        for day in (0, 30, 90, 180, 270, 360):
            for test, (limit, healthy) in _LIMITS.items():
                left = 0.25 + 0.5 * 2.0 ** (-day / 25.0) + 0.6 * patient.b_regeneration(day - 60)
                value = healthy * left * float(rng.lognormal(0.0, 0.12))
                add(patient, day, test, value, "g/L", f"{limit:g}")
                if test == "IgG" and value < 4.0:
                    add(patient, day + 1, "IVIG", 0.4, "g/kg", "")
    return rows
