"""What statuses, calls and flags mean, in words that a report may print."""

from __future__ import annotations

#: Status of a measurement.
STATUSES: dict[str, str] = {
    "QUANTIFIED": "at or above the limit of quantification, above background, and confirmed by "
    "a control where the assay needs one",
    "DETECTED_BELOW_LOQ": "seen, at or above the limit of detection, too few events for a number",
    "DETECTED_BELOW_LOD": "above background by the test, below the limit of detection",
    "DETECTED_UNCONFIRMED": "seen at or above the limit of detection, but by a control that "
    "cannot confirm it",
    "NOT_DETECTED": "not above background, and enough cells to have seen it",
    "INDETERMINATE": "the data cannot decide; the flag says why",
    "INSUFFICIENT": "too few cells for a share; the counts stay",
    "EMPTY_PARENT": "the denominator, or the population of an intensity, has no events",
    "NOT_DONE": "the sheet says so, or a marker or the basis of a count is missing",
    "FAILED": "the file has no result; failures.csv says why",
}

#: Call of an assay.
CALLS: dict[str, str] = {
    "POS_QUANT": "at least as many events as the limit of quantification",
    "POS_BELOW_LOQ": "detected, too few events for a percentage",
    "SUSPECT": "suspect_events up to the limit of detection",
    "NEG": "fewer than suspect_events, with a limit of detection that the template asks for",
    "INDETERMINATE": "insufficient cells, hemodiluted, or not told from background; the "
    "sentence says which",
}

#: Status of an antigen.
ANTIGEN_STATUSES: dict[str, str] = {
    "NEG": "fewer than 10 % are positive",
    "PARTIAL": "10 to 90 % are positive",
    "DIM": "more than 90 % are positive, and the net density is below 20 % of the reference's",
    "POS": "more than 90 % are positive, and the density is not dim",
    "NO_REFERENCE": "more than 90 % are positive, and nothing says what is dim: too few normal "
    "cells in the tube, and no density in the template",
}

#: Change of an antigen since the baseline.
ANTIGEN_CHANGES: dict[str, str] = {
    "NOT_COMPARABLE": "the two cannot be compared: see the reasons. Also where the share of "
    "positive cells is unchanged and no calibration tells the density",
    "UNCHANGED": "NEG in both; or, at the end, nothing of what follows",
    "LOSS": "NEG now, and it was not",
    "GAIN": "it was NEG and is no longer; or density or share rose by as much as DOWN and "
    "PARTIAL_LOSS ask for in a fall",
    "PARTIAL_LOSS": "PARTIAL, with at least 10 percentage points fewer positive cells and by "
    "more than chance; unless the density of all cells fell and they do not fall into two groups, "
    "which is DOWN",
    "DOWN": "the net median fell to a third or less (0.5 decades), and by more than two runs "
    "differ",
}

#: State of a recovery.
RECOVERY_STATES: dict[str, str] = {
    "APLASIA": "the last results are aplastic",
    "UNCONFIRMED": "the last results are not, but too few in a row to confirm it",
    "NEVER_APLASTIC": "no result is aplastic: nothing was lost that could come back",
    "RECOVERED": "confirmed",
    "UNKNOWN": "no result says anything",
}

#: Flags of a measurement, its population or its antigen.
MEASUREMENT_FLAGS: dict[str, str] = {
    "EMPTY_PARENT": "the parent has no events, so the gate was not placed",
    "MARKER_MISSING": "the file lacks an optional marker that the gate needs",
    "NOT_GATED": "the gate could not be placed at all. Alone: the gate that this one repeats "
    "could not be placed. The population has no events and its measurements are NOT_DONE; other "
    "branches of the tree are gated",
    "PRIOR_KEPT": "the data did not say where the gate belongs; it lies where the template's "
    "prior says",
    "NEGATIVES_FEW_EVENTS": "the internal negative population has fewer events than the "
    "template wants, so a lower quantile was used",
    "PLACED_ALONE": "a gate that the template places for a batch or patient was placed on this "
    "specimen: the sheet names no batch, or the group's events placed no gate. It stands on every "
    "population of the specimen",
    "NO_REFERENCE": "the template names clusters, and no reference of normal specimens was "
    "found; the gates answer alone",
    "NO_BASELINE": "the sheet gives no baseline of the patient (same tube and panel version); "
    "the gate answers",
    "IS_BASELINE": "the specimen is the patient's baseline itself; the gate answers",
    "BASELINE_FAILED": "the baseline could not be read, gated or placed on the reference; the "
    "gate answers",
    "BASELINE_WITHOUT_BLASTS": "the baseline holds too few blasts to learn from; the gate answers",
    "NOT_CLUSTERED": "events could not be clustered or named; the gates answer",
    "CHANNELS_SWAPPED": "their channels carry each other's signal, or leukemia looks like it",
    "CHANNEL_DEAD": "its channel tells no population from another",
    "HEMODILUTED": "nearly all granulocytes are mature, as in blood: a negative is INDETERMINATE",
    "DEVIATES_FROM_NORMAL": "more events than in normal specimens fit no population of the "
    "reference, nor the blasts of the baseline: leukemia without a baseline, or one that changed. "
    "For review; never a count, and less than about 1 % is not seen",
    "LATER_PULL": "the sheet says that the marrow is a second or later pull",
    "GENERIC_REAGENT": "the CAR reagent binds any product, and another one was infused before: "
    "CAR T cells of this specimen are of target ANY",
    "REFERENCE_SIMULATED": "named by a reference of simulated specimens: for trying the "
    "program, not for patients",
    "METHODS_DISAGREE": "another method counts clearly more or fewer of the same cells",
    "NO_CONTROL": "the gate is placed by a control, and the specimen has none",
    "CONTROL_FEW_EVENTS": "the control has fewer events than the template wants, so a lower "
    "quantile was used",
    "CONTROL_UNALIGNED": "the control could not be brought to the specimen's negative events, "
    "and was compared as it is",
    "ISOTYPE_CONTROL": "the only control is an isotype, which says little of nonspecific "
    "binding of another reagent",
    "FEW_<population>": "fewer events of this population than the assay wants for a share",
    "FEW_BEADS": "fewer counting beads than the measurement wants",
    "INTERFERENCE": "as many events are to be expected from a neighbouring population, so "
    "there is no value; counts and interval stay",
    "BLOOD_COUNT_IMPLAUSIBLE": "the blood count behind a concentration cannot be right; most "
    "often a unit",
    "BLOOD_COUNT_FAR": "the blood count was taken more than 24 h from the specimen",
    "POPULATION_NOT_DETECTED": "the population that this is measured of is not itself "
    "detected, so its events may be background",
    "BACKGROUND_UNKNOWN": "the assay needs a control and has none, so nothing is called detected",
    "WITHIN_BACKGROUND": "the interval leaves room for background alone, so nothing is "
    "claimed; of a call, as many events as would be detected, and blanks have no fewer",
    "FLOW_NOT_CHECKED": "Time does not run, runs backwards, or holds what is no number, or the "
    "file has fewer than 1000 events, so flow rate and signals in time could not be checked",
    "LOD_TOO_HIGH": "nothing was seen, but too few cells were there to exclude what the assay "
    "must exclude",
    "BRIGHT_EVENTS": "no more events in the gate than the control may have, but more far beyond "
    "the cut than it has: not called negative",
    "NO_COUNT_BASIS": "neither counting beads nor a blood count in the sheet, so no concentration",
    "NOT_ALL_POSITIVE": "a geometric mean does not exist: an event is at or below 0",
    "NOT_DONE": "the sheet says that it was not done",
    "FEW_CELLS": "fewer events of the population than the row of antigens wants: no numbers",
    "QUALITATIVE": "20 to 49 events, unless the template says otherwise: the class may be "
    "told, the number is rough",
    "EXTRAPOLATED": "the median lies outside the fitted peaks of the beads",
    "NOT_POSITIVE": "the median is at or below 0, so it cannot be converted",
    "NO_BACKGROUND": "neither a control nor enough events of the negative population: no net "
    "density and no status",
    "BACKGROUND_NOT_POSITIVE": "the median of the background is at or below 0, and counts as 0 "
    "molecules",
    "INTERNAL_NEGATIVE": "there was no control to use; the background is that of the negative "
    "population of the same tube",
    "FMO_ONLY": "the assay is indirect and there was no isotype; an FMO lacks what the second "
    "antibody does",
    "ISOTYPE_ONLY": "the background is that of an isotype",
    "CONTROL_OF_OTHER_BATCH": "the control was not measured in the specimen's batch",
    "CONTROL_OF_OTHER_PATIENT": "the control is of another patient's cells, which shine otherwise",
    "CONTROL_UNBOUND": "the files do not state voltage or cytometer, so they were not compared "
    "with the control's",
    "CONTROL_OF_OTHER_SETTINGS": "it has another detector, voltage or cytometer, and was not used",
    "FEW_CONTROL_EVENTS": "a control was not used, since the population has too few events in it",
    "NO_CALIBRATION": "the sheet has no beads of this detector, or they gave no calibration "
    "(see failures.csv): densities are in a.u.",
    "CALIBRATION_OF_OTHER_SETTINGS": "there are only beads of another voltage, cytometer or "
    "stain. Refused unless the template says otherwise",
    "CALIBRATION_OLD": "the nearest beads are further away than most_days",
    "CALIBRATION_UNDATED": "beads or specimen have no date. Where old beads are refused, so are "
    "these, unless they are of the specimen's batch",
    "SEVERAL_CALIBRATORS": "beads of another kit were as near in time; a patient's specimens may "
    "then be calibrated by unlike kits",
    "CALIBRATION_CHECK": "it failed, and its figure stands in calibrations.csv",
    "CALIBRATION_WITHOUT_BLANK": "the template wants the beads' autofluorescence (mef), and "
    "the kit has no blank: refused",
    "FEW_BEAD_EVENTS": "the bead file has fewer events than least_beads",
    "UNBOUND": "beads or specimen do not state it, so it was not compared",
    "NOT_MEASURED": "of a ratio, that population has too few events, or its median is at or "
    "below 0",
    "POOR_FIT": "r2 of the line is too low",
    "SLOPE_OUTSIDE": "the slope of the line lies outside its limits",
    "BACK_CALCULATED": "the line makes of a fitted peak what differs too much from its level",
    "NOT_MONOTONE": "a brighter level has no higher MFI",
    "PEAK_UNEVEN": "a peak has 1.6 times the events of the median peak or more: two may lie "
    "upon one another",
    "PEAK_SATURATED": "a peak reaches the top of the scale; it is not fitted",
    "PEAK_OFF_SCALE": "a peak is piled at the bottom of the scale; it is not fitted",
    "PEAK_NOT_POSITIVE": "a peak has values of 0 or less, hence no geometric mean: its median "
    "stands there, and the line is not fitted to it. Of a blank this fails no check",
    "PEAK_BY_OTHER_CHANNEL": "the peak overlaps with others, and its beads were told by "
    "another channel",
}

#: Flags of quality control.
QC_FLAGS: dict[str, str] = {
    "FEW_EVENTS": "the file has fewer events than the template wants",
    "QC_LOSS": "more events were marked than the template allows",
    "NO_TIME": "the file has no Time, so neither flow rate nor signals in time were checked",
    "SIGNAL_DRIFT": "a channel changed between the beginning and the end of the run by more "
    "than the template allows; nothing is marked for it. limit names the detector",
    "DOUBLETS": "more events lie outside of the singlets than the template allows",
    "DEAD_CELLS": "more events lie outside of the live cells than the template allows",
    "CARRY_OVER": "the specimen was run directly after one with many cells of the kind that is "
    "sought; limit names that specimen, value is its percent",
    "READING": "the reader repaired or doubts something; value says what, with one of the "
    "flags below",
    "DRIFT": "the batch, or the specimen that is named, lies too far from the others of the "
    "run; limit says which rule is broken, item and batch of what",
    "SPILLOVER_RESIDUAL": "the matrix leaves more of a single stain in another detector than "
    "0.01, or takes more too much",
    "SPILLOVER_NOT_CHECKED": "a single-stain control could not be used; value says why",
    "CONTROL_TOO_DIM": "of a single stain: what it says is less certain than 0.00125",
    "CONTROL_FEW_POSITIVES": "of a single stain: fewer than 100 stained events",
    "CONTROL_SATURATED": "of a single stain: more than 5 % of the events are at the top of a "
    "detector",
    "CONTROL_UNLIKE_UNSTAINED": "of a single stain: the unstained control scatters elsewhere",
    "REVIEW": "a person should look at a gate; value says which and why",
}

#: Flags of a course.
COURSE_FLAGS: dict[str, str] = {
    "NO_RESULTS": "no result says anything: not done, failed, indeterminate or too few cells "
    "throughout",
    "NEVER_QUANTIFIED": "every result is below the limit of quantification",
    "UNCONFIRMED": "the number rests on a value that no control confirmed",
    "SERIES_BREAK": "car_reagent, panel_version, instrument or denominator changed between the "
    "results that the number rests on",
    "AUC_TOO_FEW": "the exposure is unknown: too few quantified results",
    "AUC_INCOMPLETE": "no result at the end of the window; the exposure ends with the last "
    "quantified one",
    "AUC_TO_TLAST": "results at the end of the window are below the limit of quantification; "
    "the exposure ends with the last quantified one",
    "EMBEDDED_BLQ": "results below the limit of quantification between quantified ones count as "
    "missing; auc_half_loq has half the limit for them",
    "AUC_TRUNCATED_BY_INFUSION": "the next infusion came within the window, and ends the exposure",
    "AUC_START_ASSUMED": "no result on day 0, on which 0 was assumed",
    "HALF_LIFE_TOO_FEW": "too few results after the peak, or they do not fall",
    "HALF_LIFE_R2": "the last results do not lie on a line",
    "HALF_LIFE_SPAN": "the last results span too few half-lives",
    "NEVER_DETECTED": "no result after the infusion detects the cells",
    "INTERMITTENT": "negative between two positive results",
    "NEGATIVE_ONCE": "one negative result alone stands for the end of persistence",
    "NEGATIVE_UNCONFIRMED": "fewer negative results at the end than were asked for; "
    "persistence is censored",
    "TRACE_AFTER": "above background but below the limit of detection after the end of persistence",
    "DOUBLE_RESULT": "several results of a day: one that detects counts before one that does not, "
    "then the one with more cells; of residual disease the worst",
    "LOST_AGAIN": "aplastic again after a confirmed recovery",
    "TRANSIENT": "a positive result that the next one did not confirm",
}

#: Flags of a survival analysis.
SURVIVAL_FLAGS: dict[str, str] = {
    "NEVER_AT_RISK": "everybody of this group was censored before the first event; the test leaves "
    "the group out",
    "FEW_PATIENTS": "a correlation of fewer than 10 patients: hardly more than an indication",
    "UNMEASURED": "of so many patients nobody knows whether they became it; they count as not",
    "NEVER_LOST": "so many patients were never without it, and cannot recover it; they count as "
    "not recovered",
    "FEW_EVENTS": "fewer events than 10, or what the setting says: hardly more than an indication",
    "WITHOUT_VALUE": "so many patients have no value of the group, and were left out",
    "IMMORTAL_TIME": "it was known only after the origin, and was allowed nevertheless: the "
    "groups differ even where nothing distinguishes them",
    "ARM_WITHOUT_EVENTS": "one of two groups has no event",
    "ARM_ALL_EVENTS": "of one of two groups every patient had an event",
    "SEPARATION": "the events separate the patients, and the hazard ratio without penalty is "
    "infinite",
    "NO_INFORMATION": "no event tells the covariates apart; there is no hazard ratio",
    "NO_INTERVAL": "too few events for a bound of the hazard ratio",
    "NO_EVENTS_YET": "before the first event; no interval is given",
    "BEYOND_FOLLOW_UP": "nobody was followed so long",
}
