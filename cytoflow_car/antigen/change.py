"""How an antigen changed between two specimens of one patient."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from cytoflow_car.antigen.rules import AntigenCutoffs
from cytoflow_car.model.antigen import (
    AntigenChange,
    AntigenComparison,
    AntigenProfile,
    AntigenStatus,
)
from cytoflow_car.model.events import Values
from cytoflow_car.model.measurement import Interval


def compare_antigen(
    before: AntigenProfile,
    after: AntigenProfile,
    cutoffs: AntigenCutoffs,
    *,
    baseline: str,
    obstacle: str = "",
    caveat: str = "",
    confidence: float = 0.95,
) -> AntigenComparison:
    """Compare an antigen with that of the patient's baseline.

    What is lost is told first, then a part of the cells that lost it, then a density that fell or
    rose by more than two runs differ. Without calibration a density cannot be compared between
    runs, so only what the share of positive cells says is told.

    Parameters
    ----------
    before, after
        Profiles of one antigen of one population.
    baseline
        sample_id of `before`.
    obstacle
        Why the two cannot be compared, beyond what they say themselves; empty for nothing.
    caveat
        What a comparison leaves open; it is added to the reason.

    Returns
    -------
    NOT_COMPARABLE with its reason, or the change. Ratio and distance are of the net density.
    """
    reason = obstacle or _why_not_comparable(before, after)
    if reason:
        return AntigenComparison(baseline, AntigenChange.NOT_COMPARABLE, reason)
    ratio, interval = _log10_ratio(before, after, confidence)
    change, reason = _judge(before, after, ratio, cutoffs)
    kinds = [item.background.kind for item in (before, after) if item.background is not None]
    if len(set(kinds)) == 2:
        reason = f"{reason}; background by {kinds[0]}, now by {kinds[1]}"
    if caveat:
        reason = f"{reason}; {caveat}"
    distance = None if ratio is None else _distance(before, after)
    return AntigenComparison(baseline, change, reason, ratio, interval, distance)


def _why_not_comparable(before: AntigenProfile, after: AntigenProfile) -> str:
    if before.status is None or after.status is None:
        which = "the baseline" if before.status is None else "this specimen"
        return f"NO_STATUS of {which}"
    if _spelt(before.stain) != _spelt(after.stain):
        named = "" if before.reagent == after.reagent else f" {before.reagent}, now {after.reagent}"
        return f"REAGENT{named or ' of another name'}"
    # On one cytometer another detector is another fluorochrome; on two, only a stain that names its
    # own tells that it is the same.
    names_label = len(before.stain.split()) > 1
    same_cytometer = before.instrument == after.instrument
    if before.detector != after.detector and (same_cytometer or not names_label):
        return f"DETECTOR {before.detector}, now {after.detector}"
    if before.calibrator != after.calibrator:
        kits = [item or "none" for item in (before.calibrator, after.calibrator)]
        return f"CALIBRATOR {kits[0]}; now {kits[1]}"
    return ""


def _spelt(reagent: str) -> str:
    return "".join(reagent.lower().split())


def _judge(
    before: AntigenProfile, after: AntigenProfile, ratio: float | None, cutoffs: AntigenCutoffs
) -> tuple[AntigenChange, str]:
    positive = f"{before.positive_percent:.1f} % positive, now {after.positive_percent:.1f} %"
    fewer, more = _share_changed(before, after, cutoffs)
    if after.status is AntigenStatus.NEG and before.status is AntigenStatus.NEG:
        return AntigenChange.UNCHANGED, positive
    if after.status is AntigenStatus.NEG:
        return AntigenChange.LOSS, positive
    if before.status is AntigenStatus.NEG:
        return AntigenChange.GAIN, positive
    fell, rose = _density_changed(ratio, cutoffs)
    told = "" if ratio is None else f"density times {10.0**ratio:.3g}"
    split = after.heterogeneity is not None and after.heterogeneity.is_bimodal
    if after.status is AntigenStatus.PARTIAL and fewer and (split or not fell):
        return AntigenChange.PARTIAL_LOSS, positive
    if fell:
        return AntigenChange.DOWN, told
    if rose or more:
        return AntigenChange.GAIN, told if rose else positive
    if ratio is None:
        # An unchanged share of positive cells may hide a density that fell.
        reason = "AT_BACKGROUND" if before.calibrator else "NO_CALIBRATION"
        return AntigenChange.NOT_COMPARABLE, reason
    return AntigenChange.UNCHANGED, told


def _share_changed(
    before: AntigenProfile, after: AntigenProfile, cutoffs: AntigenCutoffs
) -> tuple[bool, bool]:
    """Tell whether fewer, and whether more, cells are positive than by chance."""
    assert before.n_positive is not None and after.n_positive is not None
    assert before.positive_percent is not None and after.positive_percent is not None
    table = [
        [before.n_positive, before.n_events - before.n_positive],
        [after.n_positive, after.n_events - after.n_positive],
    ]
    points = after.positive_percent - before.positive_percent
    if abs(points) < cutoffs.partial_points:
        return False, False
    side = "greater" if points < 0 else "less"
    by_chance = float(stats.fisher_exact(table, alternative=side)[1])
    changed = by_chance < cutoffs.alpha
    return changed and points < 0, changed and points > 0


def _density_changed(ratio: float | None, cutoffs: AntigenCutoffs) -> tuple[bool, bool]:
    if ratio is None:
        return False, False
    two_runs = 1.96 * math.sqrt(2.0) * cutoffs.assay_cv / math.log(10.0)
    changed = abs(ratio) >= cutoffs.down_log10 and abs(ratio) > two_runs
    return changed and ratio < 0, changed and ratio > 0


def _log10_ratio(
    before: AntigenProfile, after: AntigenProfile, confidence: float
) -> tuple[float | None, Interval | None]:
    """Return the ratio of net medians with its interval; None without molecules or below them."""
    if not before.calibrator or before.net is None or after.net is None:
        return None, None
    assert before.draws is not None and after.draws is not None
    ratio = math.log10(after.net / before.net)
    size = min(before.draws.size, after.draws.size)
    one, other = before.draws[:size], after.draws[:size]
    # A draw at or below background is infinitely far down; of two such nothing can be said.
    told = (one > 0) | (other > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = [np.where(item > 0, np.log10(item), -np.inf) for item in (other[told], one[told])]
        draws = logs[0] - logs[1]
    outside = (1.0 - confidence) / 2.0
    low = float(np.quantile(draws, outside, method="lower"))
    high = float(np.quantile(draws, 1.0 - outside, method="higher"))
    if math.isinf(low) or math.isinf(high):
        return ratio, None
    return ratio, Interval(low, high)


def _distance(before: AntigenProfile, after: AntigenProfile) -> float:
    """Return the Wasserstein distance of two densities in decades.

    Between two distributions on a line it is the mean difference of their quantiles. What does not
    reach its background counts as lying there.
    """
    decades = [_decades(item) for item in (before, after)]
    return float(np.abs(decades[0] - decades[1]).mean())


def _decades(profile: AntigenProfile) -> Values:
    assert profile.grid is not None and profile.background is not None
    background = profile.background
    floor = (background.high or 0.0) - (background.value or 0.0)
    found: Values = np.log10(np.maximum(profile.grid, max(floor, 1.0)))
    return found
