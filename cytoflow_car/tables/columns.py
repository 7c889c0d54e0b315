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
    "unit": "%, cells/uL, a.u., count, ratio, or ABC; without the F:P ratio of the conjugate what "
    "the kit counts: PE, MESF or ERF",
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
    "false_positives_expected": "events of the numerator that the method itself expects to be "
    "false; empty where it measured none of its own",
    "lod": "limit of detection by events alone, in the unit of value; background may raise it",
    "loq": "limit of quantification, in the unit of value",
    "status": "how far the value may be trusted",
    "antigen_status": "of an antigen's density: NEG, PARTIAL, DIM, POS or NO_REFERENCE",
    "antigen_change": "of an antigen's density, against the patient's baseline: LOSS, "
    "PARTIAL_LOSS, DOWN, UNCHANGED, GAIN or NOT_COMPARABLE",
    "call": "verdict in the field's words, where the measurement has one",
    "sentence": "what a report may print of the call",
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
    "item": "of drift: the edge of a gate, or the median of a population; of spillover: the pair",
    "batch": "of drift and spillover: the batch",
}

CLUSTERS: dict[str, str] = {
    "sample_id": "as in samples.csv",
    "template": "gating template",
    "cluster": "number of the cluster",
    "metacluster": "number of the metacluster; empty where the method makes none",
    "label": "commonest name of its events, or unassigned where none has half of them",
    "count": "events",
    "posterior": "mean probability of the likeliest name of its events",
    "margin": "mean lead over the second name",
    "tail": "mean share of the named population that lies further out (χ²)",
    "positions": "median of each marker in data units, as JSON",
}

FILES: dict[str, str] = {
    "sample_id": "as in samples.csv",
    "role": "role in the study",
    "use": "use of the sheet",
    "path": "file as the sheet names it",
    "dataset": "data set inside the file; empty for the main one",
    "sha256": "of the whole file; empty where it could not be opened",
    "from_results": "file as seen from the results folder; empty where there is no such way",
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

ANTIGENS: dict[str, str] = {
    "sample_id": "as in samples.csv",
    "template": "gating template",
    "antigen": "row of the template's antigens",
    "population": "population",
    "marker": "marker",
    "reagent": "conjugate, as the template or the file names it",
    "unit": "unit of the densities: ABC, or what the kit counts; a.u. without calibration",
    "calibrator": "kit, unit and kind of assay: densities of unlike ones are not compared",
    "calibration": "sample_id of the beads; empty without them",
    "n_events": "events of the population",
    "median": "median, background included",
    "ci_low": "lower 95 % limit of median, the calibration's uncertainty included",
    "ci_high": "upper 95 % limit",
    "geometric_mean": "geometric mean; empty where a value is not positive",
    "p5": "5th percentile",
    "p25": "25th percentile",
    "p75": "75th percentile",
    "p95": "95th percentile",
    "robust_cv_percent": "robust coefficient of variation: 74.13 (p75 - p25) / median",
    "background_kind": "fmo, isotype, or internal: the negative population of the same tube",
    "background_source": "sample_id of the control, or that population",
    "background_n": "its events",
    "background": "its median in the unit",
    "background_p95": "its 95th percentile in the unit",
    "net": "median minus background; empty where it is not above it",
    "net_ci_low": "lower 95 % limit of net",
    "net_ci_high": "upper 95 % limit of net",
    "threshold": "value above which an event is positive, in data units",
    "n_positive": "events above threshold",
    "positive_percent": "their share",
    "reference_population": "normal cells of the same tube; empty without them",
    "reference_source": "same tube, or the source of the template's density",
    "reference_net": "density of these, without background",
    "relative": "net as a share of reference_net",
    "antigen_status": "NEG, PARTIAL, DIM, POS, or NO_REFERENCE: positive, but nothing says what "
    "is dim",
    "dip": "Hartigan's dip",
    "dip_p": "probability of so large a dip without two modes; .001 stands for less, too",
    "bic_gain": "by how much two normal components are better than one",
    "bimodal": "yes where the template's limits for all three hold",
    "dim_percent": "share of the dimmer of two groups",
    "dim_median": "its median",
    "bright_percent": "share of the brighter one",
    "bright_median": "its median",
    "baseline": "sample_id of the patient's baseline that it is compared with",
    "antigen_change": "LOSS, PARTIAL_LOSS, DOWN, UNCHANGED, GAIN or NOT_COMPARABLE",
    "change_reason": "why, in a few words",
    "log10_ratio": "decimal logarithm of net over that of the baseline",
    "log10_ratio_ci_low": "lower 95 % limit; empty where it has none",
    "log10_ratio_ci_high": "upper 95 % limit",
    "distance": "Wasserstein distance of the two densities, in decades",
    "flags": "doubts, separated by ;",
}

HISTOGRAMS: dict[str, str] = {
    "sample_id": "as in samples.csv",
    "antigen": "row of the template's antigens",
    "population": "population of the specimen; fmo or isotype of a control",
    "control": "sample_id of the control; empty for the specimen itself",
    "marker": "marker",
    "reagent": "conjugate",
    "scale": "unit of the bins",
    "bin_low": "lower edge; the first bin holds what lies below it too",
    "bin_high": "upper edge; the last bin holds what lies above it too",
    "count": "events; bins without any are left out. Of a control of very many, a sample of 5,000",
}

CALIBRATIONS: dict[str, str] = {
    "sample_id": "the beads",
    "kit": "name of the kit",
    "lot": "its lot",
    "unit": "unit of what is converted",
    "detector": "calibrated channel",
    "marker": "its stain; empty where the file names none",
    "voltage": "of the detector, in volts; empty where the file does not state it",
    "instrument": "cytometer with hashed serial number",
    "day": "day from the study's first beads; empty without dates",
    "n_events": "events of the file",
    "n_singlets": "single beads",
    "n_peaks": "peaks that were found",
    "n_fitted": "peaks that the line goes through",
    "slope": "of log10(assigned) against log10(MFI)",
    "intercept": "of that line",
    "r2": "its coefficient of determination",
    "autofluorescence": "of the beads, in the kit's unit; empty without a blank bead",
    "mfi_low": "lowest fitted peak",
    "mfi_high": "highest fitted peak",
    "compared_with": "beads before these, of the same detector, voltage, instrument and kit",
    "slope_change": "slope minus theirs",
    "intercept_change": "intercept minus theirs",
    "drift_percent": "by how much a value in the middle of the range means other molecules",
    "flags": "checks that failed, separated by ;",
}

#: What stands beside each measurement's column in timepoints.csv, after two underscores.
BESIDE: dict[str, str] = {
    "status": "status of the measurement",
    "n": "events in the numerator",
    "lod": "limit of detection",
    "loq": "limit of quantification",
}

#: What stands beside it only where the measurement has one.
BESIDE_WHERE_KNOWN: dict[str, str] = {
    "car_target": "antigen of the CAR",
    "net": "value without background",
    "antigen_status": "status of the antigen",
    "antigen_change": "its change since the patient's baseline",
}

AGREEMENT: dict[str, str] = {
    "sample_id": "as in samples.csv",
    "template": "gating template",
    "population": "population",
    "reference": "what the reference calls it",
    "n_ours": "events of the run",
    "n_theirs": "events of the reference",
    "n_both": "events of both",
    "f1": "agreement of the events inside: 2 n_both / (n_ours + n_theirs); empty of 0 and 0",
    "f1_within": "agreement of the run's gates on the events of the reference's denominator",
    "denominator": "nearest population above that both sides have; root for all events",
    "percent_ours": "percent of the denominator in the run",
    "percent_theirs": "percent of the denominator in the reference",
    "difference": "percent_ours minus percent_theirs, in percentage points",
    "review": "yes where a gate between denominator and population was flagged for review",
}

AGREEMENT_SUMMARY: dict[str, str] = {
    "template": "gating template",
    "population": "population",
    "reference": "what the reference calls it",
    "n": "samples compared",
    "median_f1": "median of f1",
    "worst_f1": "lowest f1",
    "worst_sample": "sample of the lowest f1",
    "median_f1_within": "median of f1_within",
    "worst_f1_within": "lowest f1_within",
    "mean_difference": "mean difference, in percentage points",
    "mean_ci_low": "lower 95 % limit of the mean difference",
    "mean_ci_high": "upper 95 % limit of the mean difference",
    "limit_low": "lower Bland-Altman limit: mean minus 1.96 standard deviations",
    "limit_low_ci_low": "its lower 95 % limit",
    "limit_low_ci_high": "its upper 95 % limit",
    "limit_high": "upper Bland-Altman limit",
    "limit_high_ci_low": "its lower 95 % limit",
    "limit_high_ci_high": "its upper 95 % limit",
    "largest_difference": "largest difference without its sign",
    "concordance": "Lin's concordance correlation of the percents",
    "concordance_ci_low": "its lower 95 % limit",
    "concordance_ci_high": "its upper 95 % limit",
    "n_poor": "samples whose gates agree to less than 0.9",
    "n_poor_flagged": "of these, flagged for review",
    "n_good": "samples whose gates agree to 0.9 or more",
    "n_good_flagged": "of these, flagged for review",
}

LOD_LEVELS: dict[str, str] = {
    "sample_id": "name of the file without its ending",
    "arm": "blasts, or control: normal B cells in the place of blasts",
    "level": "share of the clustered population that was aimed at; 0 of blanks",
    "repeats": "runs; 0 where the level was left out, and the flag says why",
    "n_called": "runs in which blasts could be called; what follows is of these",
    "n_detected": "of these, runs in which they would be called detected: their count "
    "reaches the limits of detection of the template and of the method itself",
    "n_events": "events of a run",
    "n_spiked": "mean of the events that were mixed in",
    "found_mean": "mean of the events called blasts",
    "found_sd": "their standard deviation, that of counting included",
    "cv_percent": "their coefficient of variation",
    "recall_mean": "mean share of the events mixed in that are found",
    "recall_sd": "its standard deviation",
    "precision_mean": "mean share of the events found that were mixed in",
    "precision_sd": "its standard deviation",
    "f1_mean": "mean of 2 true / (mixed in + found)",
    "f1_sd": "its standard deviation",
    "false_mean": "mean of the events found that were not mixed in",
    "false_most": "most of them in one run",
    "false_expected": "mean of what the method itself expects of them",
    "flags": "doubts, separated by ;",
}

LOD_LIMITS: dict[str, str] = {
    "sample_id": "as in lod.csv; pooled for all files together",
    "blanks": "blanks in which blasts could be called",
    "n_events": "events of a run, the denominator of the percents; of all files their median",
    "lob": "limit of blank, in events",
    "lod_measured": "limit of detection by blanks and lowest level, in events found",
    "lod": "limit of detection: the larger of that and the template's, in events found",
    "loq": "limit of quantification: blasts among n_events at the lowest level that repeats",
    "lob_percent": "lob in percent of n_events",
    "lod_measured_percent": "lod_measured in percent of n_events",
    "lod_percent": "lod in percent of n_events",
    "loq_percent": "loq in percent: the level",
    "lod_of_method": "highest limit of detection that the method itself gave of a blank, in events",
    "flags": "doubts, separated by ;",
}

LOD_RUNS: dict[str, str] = {
    "sample_id": "as in lod.csv",
    "arm": "as in lod.csv",
    "level": "as in lod.csv",
    "repeat": "number of the run; runs of one file, arm and number share their halves",
    "n_events": "events",
    "n_spiked": "events that were mixed in",
    "n_found": "events called blasts; empty where nothing could be called, and the flag says why",
    "n_true": "of these, events that were mixed in",
    "expected": "false positives that the method itself expects",
    "blank": "limit of blank by the method itself, in events",
    "lod": "limit of detection by the method itself, in events",
    "flags": "doubts, separated by ;",
}

STATISTICS: dict[str, str] = {
    "endpoint": "parameter code, such as LFS",
    "analysis": "survival, cumulative_incidence, events, log_rank, cox, firth, landmark_events, "
    "landmark_firth, time_dependent_cox or time_dependent_firth",
    "subject": "what patients are compared by; all for a curve, the event of an incidence",
    "group": "of counts, the value of subject",
    "at": "time of a curve, or landmark, in the unit of time",
    "estimate": "probability (0 to 1), or hazard ratio; empty where it cannot be had",
    "se": "standard error: of a probability, or of the logarithm of a hazard ratio",
    "ci_low": "lower 95 % limit",
    "ci_high": "upper 95 % limit",
    "transform": "scale on which the interval is symmetric",
    "statistic": "of a log-rank test, chi-square",
    "p_value": "empty where nothing is tested",
    "n": "patients",
    "n_events": "events",
    "person_time": "time in which they were followed, in the unit of time",
    "method": "how it was found",
    "immortal_time": "yes where patients were grouped by what was known only later: biased",
    "flags": "doubts, separated by ;",
    "reason": "why there is no estimate",
}

ADTTE: dict[str, str] = {
    "STUDYID": "study",
    "USUBJID": "patient",
    "PARAMCD": "parameter code: OS, LFS …",
    "PARAM": "what it means",
    "STARTDT": "date of the origin; empty where only days are known",
    "ADT": "date of event or censoring; empty where only days are known",
    "AVAL": "time from the origin",
    "AVALU": "its unit: DAYS or MONTHS",
    "CNSR": "0 for an event, 1 for a censored patient, 2 for one with a competing event",
    "EVENT": "1 for an event, else 0, as R and lifelines take it",
    "EVNTDESC": "what happened",
    "SRCDOM": "table that it is from",
    "SRCVAR": "its column",
    "SRCSEQ": "its row, as a spreadsheet shows it",
}

TV: dict[str, str] = {
    "id": "patient",
    "paramcd": "parameter code; a model takes the rows of one",
    "tstart": "begin of the row, not included",
    "tstop": "end of the row, included",
    "event": "1 where the endpoint's event came at tstop; on no row but the last",
}

LANDMARK: dict[str, str] = {
    "id": "patient; those whose follow-up ended at the landmark or before are left out",
    "paramcd": "parameter code",
    "time": "time from the landmark",
    "event": "1 for an event, else 0",
}

DICTIONARY: dict[str, str] = {
    "file": "table",
    "column": "column",
    "meaning": "what it holds",
    "unit": "its unit; empty where it has none",
    "source": "where it comes from",
}

#: What stands before the columns of `BEAD_PEAKS` in bead_peaks.csv of a run.
BEAD_FILE: dict[str, str] = {
    "sample_id": "the beads",
    "detector": "calibrated channel",
}

BEAD_PEAKS: dict[str, str] = {
    "peak": "number of the peak, from the dimmest; a pile at the end of the scale is one",
    "level": "value that the kit assigns to it, in the kit's unit; 0 is blank. Several, with `;`, "
    "of a pile",
    "events": "beads of the peak",
    "mfi": "geometric mean of the calibrated channel, linear; the median with PEAK_NOT_POSITIVE",
    "cv_percent": "robust coefficient of variation; empty with PEAK_NOT_POSITIVE",
    "fitted": "yes where the line was fitted to it",
    "back_calculated": "what the line makes of mfi, in the kit's unit",
    "deviation_percent": "by how much that differs from level",
    "flags": "what is doubtful of this peak, separated by `;`",
}
