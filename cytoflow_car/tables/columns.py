"""Every column of the results folder, in order, with its meaning."""

from __future__ import annotations

MEASUREMENTS: dict[str, str] = {
    "sample_id": "name of the tube's acquisition, as in samples.csv",
    "specimen_id": "one draw; several tubes share it",
    "patient_id": "patient",
    "specimen": "PB, CSF or BM",
    "tube": "tube of the draw",
    "visit": "visit as the sheet names it",
    "infusion": "number of the last infusion before the specimen; 0 before the first",
    "day": "day from infusion 1 (infusion day = 0)",
    "day_inf1": "day from infusion 1",
    "day_inf2": "day from infusion 2",
    "timing": "pre or post on an infusion day",
    "use": "report, append or superseded",
    "template": "gating template",
    "template_version": "its version",
    "panel_version": "panel version of the sheet",
    "measurement": "what was measured",
    "population": "population that was counted",
    "denominator": "population that it is a share of; beads or blood-count population for cells/uL",
    "car_target": "antigen of the CAR that the measurement looks for",
    "car_reagent": "reagent that stained the CAR; results of different reagents are not pooled",
    "platform": "single (counting beads) or dual (blood count) for cells/uL",
    "prep": "preparation of the specimen",
    "instrument": "cytometer with hashed serial number",
    "value": "the value; empty where unknown, the raw estimate where NOT_DETECTED",
    "unit": "%, cells/uL, a.u., count",
    "ci_low": "lower 95 % limit; allows for the background that is to be expected, but not for "
    "variation between runs",
    "ci_high": "upper 95 % limit",
    "exact_ci_low": "lower 95 % limit of what lies in the gate, with background: exact binomial",
    "exact_ci_high": "upper 95 % limit of what lies in the gate",
    "value_reported": "what a person may print",
    "value_before_qc": "the value with the events that quality control marked",
    "background": "share of background events by the control, in the unit of value",
    "value_net": "value minus background",
    "net_ci_low": "lower 95 % limit of value_net, the control's uncertainty included",
    "net_ci_high": "upper 95 % limit of value_net",
    "n_events": "events in the numerator",
    "n_denominator": "events in the denominator",
    "lod": "limit of detection by events alone, in the unit of value; background may raise it",
    "loq": "limit of quantification, in the unit of value",
    "status": "how far the value may be trusted",
    "call": "verdict in the field's words, where the measurement has one",
    "flags": "doubts, separated by ;",
    "threshold_source": "control that placed the population's threshold",
    "review_status": "NOT_NEEDED, TO_REVIEW or REVIEWED (a gate was moved by a person)",
    "file_sha256": "sha256 of the file; of several appended files, separated by ;",
    "gate_sha256": "sha256 of the gates that decide the population and its denominator",
}

GATES: dict[str, str] = {
    "sample_id": "as in samples.csv",
    "template": "gating template",
    "population": "population",
    "path": "populations from the root down",
    "count": "events, without those that quality control marked",
    "count_before_qc": "events with those",
    "parent_count": "events of the parent",
    "percent_of_parent": "empty where the parent is empty",
    "method": "placement method, or override",
    "confidence": "0 to 1",
    "reason": "why the gate lies there",
    "source": "control that placed it",
    "geometry": "gate in data units with its scales, as JSON; the form that overrides.csv takes",
    "flags": "doubts, separated by ;",
    "review": "yes where a person should look",
}

QC: dict[str, str] = {
    "sample_id": "as in samples.csv",
    "template": "gating template",
    "check": "what was looked at",
    "value": "what was found",
    "unit": "its unit",
    "limit": "what the template allows",
    "flag": "empty where within the limit",
}

FILES: dict[str, str] = {
    "sample_id": "as in samples.csv",
    "role": "role in the study",
    "use": "use of the sheet",
    "path": "file as the sheet names it; the only column with paths",
    "dataset": "data set inside the file; empty for the main one",
    "sha256": "of the whole file; empty where it could not be opened",
}

FAILURES: dict[str, str] = {
    "sample_id": "as in samples.csv",
    "template": "gating template",
    "code": "kind of error",
    "message": "what was found, what was expected, what to do",
    "crash_file": "for a bug: where the traceback lies in the results folder",
}

TIMEPOINTS: dict[str, str] = {
    "patient_id": "patient",
    "specimen": "PB, CSF or BM",
    "specimen_id": "one draw",
    "visit": "visit as the sheet names it",
    "infusion": "number of the last infusion before the specimen; 0 before the first",
    "day": "day from infusion 1",
    "day_inf1": "day from infusion 1",
    "day_inf2": "day from infusion 2",
    "timing": "pre or post on an infusion day",
}

#: What stands beside each measurement's column in timepoints.csv, after two underscores.
BESIDE: dict[str, str] = {
    "status": "status of the measurement",
    "n": "events in the numerator",
    "lod": "limit of detection",
    "loq": "limit of quantification",
}
