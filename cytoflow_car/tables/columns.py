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
    "reagent": "conjugate as the template names it, else marker and detector",
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
    "template": "gating template",
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
    "kit_sha256": "sha256 of the kit file",
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
    "unit": "of a density that is not in ABC: what the kit counts",
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

ADSL: dict[str, str] = {
    "STUDYID": "study",
    "USUBJID": "patient",
    "AGE": "age at infusion 1, in years",
    "SEX": "sex",
    "DISEASE_STATUS": "status of the disease before infusion 1",
    "TP53": "mutated, wild or not_tested",
    "DOSE19": "CAR19 T cells a kilogram, first infusion of that target",
    "DOSE22": "CAR22 T cells a kilogram, first infusion of that target",
    "INF1DT": "date of infusion 1; empty where only days are known",
    "INF2DT": "date of infusion 2",
    "INF2DY": "day of infusion 2 from infusion 1",
}

ADCP: dict[str, str] = {
    "STUDYID": "study",
    "USUBJID": "patient",
    "SPEC": "PB, CSF or BM",
    "VISIT": "visit as the sheet names it",
    "AVISIT": "window of study.toml that the day lies in; empty where it lies in none",
    "VISITNUM": "number of the visit of this patient, in the order of days",
    "ADY": "day from infusion 1 as CDISC counts: infusion day 1, no day 0",
    "DAY": "day from infusion 1; the infusion day is 0",
    "INFSEQ": "number of the last infusion before the specimen",
    "INFDAY": "day from that infusion",
    "PARAMCD": "measurement",
    "PARAM": "population, and what it is a share of",
    "AVAL": "value; empty where unknown",
    "AVALU": "its unit",
    "AVALC": "what a person may print, such as <0.05",
    "NET": "value without background",
    "N_POS": "events in the numerator",
    "N_DENOM": "events in the denominator",
    "DENOM": "denominator",
    "CI_LO": "lower 95 % limit",
    "CI_HI": "upper 95 % limit",
    "LOD": "limit of detection, in the unit of AVAL",
    "LOQ": "limit of quantification, in the unit of AVAL",
    "STATUS": "how far the value may be trusted",
    "CALL": "verdict, of residual disease",
    "ANTIGEN_STATUS": "status of an antigen",
    "ANTIGEN_CHANGE": "its change since the baseline",
    "CAR_TARGET": "antigen of the CAR that was looked for",
    "CAR_REAGENT": "reagent that stained the CAR",
    "FLAGS": "doubts, separated by ;",
    "GATE_VERSION": "template and its version",
    "GATE_SHA256": "sha256 of the gates",
    "FCS_SHA256": "sha256 of the file",
}

COURSES: dict[str, str] = {
    "USUBJID": "patient",
    "INFSEQ": "number of the infusion",
    "CAR_TARGET": "antigen of the CAR that was infused and looked for",
    "SPEC": "PB, CSF or BM",
    "PARAMCD": "measurement",
    "AVALU": "its unit",
    "n_results": "results of this target, before the infusion too",
    "n_quantified": "quantified results from the infusion to the next one",
    "cmax": "highest quantified value, without background where a control tells it",
    "tmax": "day on which it was reached first, from the infusion",
    "clast": "last quantified value",
    "tlast": "its day",
    "auc_name": "AUC0-28, or AUClast where the window is not complete",
    "auc": "area under the curve, in the unit of value times days",
    "auc_to": "day to which it reaches",
    "auc_half_loq": "auc with half the limit of quantification for results below it between "
    "quantified ones, which auc leaves out",
    "half_life": "terminal half-life in days",
    "persists_after": "day of the last result at or above the limit of detection",
    "persists_until": "day of the first negative after it; empty where censored",
    "persists_cibmtr": "the same as registries date it",
    "flags": "doubts, separated by ;",
}

RECOVERIES: dict[str, str] = {
    "USUBJID": "patient",
    "definition": "definition in force",
    "measurement": "what was measured",
    "SPEC": "PB or BM",
    "n_results": "results",
    "state": "APLASIA, UNCONFIRMED, RECOVERED, NEVER_APLASTIC or UNKNOWN",
    "after": "day of the last aplastic result, from infusion 1",
    "by": "day of the first positive one of the run",
    "known_on": "day of the result that confirmed it",
    "flags": "doubts, separated by ;",
}

PATIENTS_SUMMARY: dict[str, str] = {
    "USUBJID": "patient",
    "n_infusions": "infusions",
    "infusion_2_day": "day of infusion 2 from infusion 1",
    "cmax_1": "CAR T % of T in blood after infusion 1: highest quantified value, without "
    "background where a control tells it",
    "tmax_1": "its day from infusion 1",
    "auc_name_1": "AUC0-28, or AUClast where the window is not complete",
    "auc_1": "area under the curve to day 28, or to the last result",
    "persists_after_1": "day of the last result at or above the limit of detection",
    "persists_until_1": "day of the first negative after it; empty where censored",
    "cmax_2": "the same after infusion 2, of its target, days from infusion 2",
    "tmax_2": "day of cmax_2",
    "auc_name_2": "AUC0-28 or AUClast",
    "auc_2": "area under the curve after infusion 2",
    "persists_after_2": "last detected after infusion 2",
    "persists_until_2": "first negative after it",
    "csf_car_t": "yes where CAR T cells were ever detected in CSF after an infusion, trace where "
    "there were fewer than the limit of detection but more than background, no where a specimen "
    "that could tell had none; else empty",
    "recovery_cd19_state": "of CD19+ normal B cells in marrow, by the first definition in force",
    "recovery_cd19_after": "day of the last aplastic result",
    "recovery_cd19_by": "day of the first positive one",
    "recovery_cd19_known_on": "day of the result that confirmed it",
    "recovery_cd22_state": "the same of CD22+ normal B cells",
    "recovery_cd22_after": "day of the last aplastic result",
    "recovery_cd22_by": "day of the first positive one",
    "recovery_cd22_known_on": "day of the result that confirmed it",
    "recovery_ig_after": "of immunoglobulins, by the definition in force: day of the last value "
    "below the limit",
    "recovery_ig_by": "day of the first value from the limit on",
    "recovery_ig_known_on": "day on which it was known",
    "recovery_ig_early": "yes where that was before the month that the study calls early; no where "
    "it came later, or they were still low then; else empty. Known only later: no group of a fixed "
    "model",
    "mrd_first_negative": "day of the first marrow after infusion 1 called NEG",
    "mrd_last_call": "call of the last marrow; of several of a day the worst",
    "mrd_last_day": "its day",
    "cd19_baseline": "antigen status of CD19 on the blasts of the specimen that the sheet calls "
    "baseline",
    "cd22_baseline": "antigen status of CD22 on them",
    "cd19_change": "change of CD19 at the last marrow whose blasts have one",
    "cd22_change": "change of CD22",
    "relapse_day": "day of relapse; empty where none is known",
    "death_day": "day of death",
    "last_follow_up_day": "day to which the patient was followed",
    "flags": "doubts, separated by ;",
}

STATISTICS: dict[str, str] = {
    "endpoint": "parameter code, such as LFS",
    "analysis": "survival, cumulative_incidence, events, log_rank, cox, firth, landmark_events, "
    "landmark_firth, time_dependent_cox, time_dependent_firth or correlation",
    "subject": "what patients are compared by; all for a curve, the event of an incidence",
    "group": "of counts, the value of subject",
    "at": "time of a curve, or landmark, in the unit of time",
    "estimate": "probability (0 to 1), hazard ratio, or rank correlation; empty where it cannot be "
    "had",
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
    "PARAMCD": "parameter code: OS, LFS, of a run also TTBCR and TTIGR (recovery of B cells and of "
    "immunoglobulins)",
    "PARAM": "what it means",
    "STARTDT": "date of the origin; empty where only days are known",
    "ADT": "date of event or censoring; empty where only days are known",
    "AVAL": "time from the origin",
    "AVALU": "its unit: DAYS or MONTHS",
    "CNSR": "0 for an event; 1 for the end of observation, 2 for a competing event, 3 for a "
    "transplantation that ends follow-up",
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

_IN_DAYS = (
    "DAY", "ADY", "INFDAY", "INF2DY", "at", "person_time", "tstart", "tstop", "time", "tmax",
    "tlast", "auc_to", "half_life", "after", "by", "known_on", "persists_after", "persists_until",
    "persists_cibmtr", "infusion_2_day", "relapse_day", "death_day", "last_follow_up_day",
    "mrd_first_negative", "mrd_last_day",
    *(f"{name}_{n}" for name in ("tmax", "persists_after", "persists_until") for n in (1, 2)),
    *(f"recovery_{of}_{end}" for of in ("cd19", "cd22", "ig") for end in ("after", "by")),
    *(f"recovery_{of}_known_on" for of in ("cd19", "cd22", "ig")),
)  # fmt: skip

#: Units of the outcome tables of a run.
OUTCOME_UNITS: dict[str, str] = {
    **dict.fromkeys(_IN_DAYS, "days"),
    **dict.fromkeys(("AVAL", "NET", "CI_LO", "CI_HI", "LOD", "LOQ", "cmax", "clast"), "as AVALU"),
    **dict.fromkeys(("auc", "auc_half_loq"), "AVALU times days"),
    **dict.fromkeys(("cmax_1", "cmax_2"), "as cmax of courses.csv"),
    **dict.fromkeys(("auc_1", "auc_2"), "as auc of courses.csv"),
    **dict.fromkeys(("DOSE19", "DOSE22"), "cells/kg"),
    "AGE": "years",
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
