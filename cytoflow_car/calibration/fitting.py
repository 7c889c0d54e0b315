"""Lines from the peaks' fluorescence to the values that a kit assigns, and their checks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.stats import linregress

from cytoflow_car.calibration.peaks import JOINED, FoundPeaks
from cytoflow_car.errors import CalibrationError
from cytoflow_car.model.calibration import (
    BeadKit,
    BeadPeak,
    Binding,
    CalibratedPeak,
    Calibration,
    CheckLimits,
    KitChannel,
    LineFit,
    MefFit,
)

#: Fewest peaks that make a line which can be checked.
LEAST_PEAKS = 3


def fit_line(mfi: Sequence[float], levels: Sequence[float]) -> LineFit:
    """Fit ``log10(level) = slope * log10(mfi) + intercept`` by least squares.

    >>> fit = fit_line([760, 8400, 37500, 97000], [474, 5359, 23843, 62336])
    >>> round(fit.slope, 5), round(fit.intercept, 5), round(fit.r2, 6)
    (1.00555, -0.21994, 0.999994)

    Raises
    ------
    CalibrationError
        Fewer than three points, or a value that is not positive.
    """
    if len(mfi) < LEAST_PEAKS or min(*mfi, *levels) <= 0:
        raise CalibrationError(
            f"a line needs peaks with positive values, and there are {len(mfi)}",
            expected=f"at least {LEAST_PEAKS}, neither blank nor at an end of the scale",
            advice="Acquire the beads at a voltage at which most peaks are on scale",
        )
    x, y = np.log10(np.asarray(mfi, float)), np.log10(np.asarray(levels, float))
    fit = linregress(x, y)
    center = float(x.mean())
    # The errors of slope and intercept are those of a line through the centre of the points.
    spread = float(((x - center) ** 2).sum())
    return LineFit(
        float(fit.slope),
        float(fit.intercept),
        float(fit.rvalue) ** 2,
        slope_error=float(fit.stderr),
        mean_error=float(fit.stderr) * (spread / len(mfi)) ** 0.5,
        mean_log_mfi=center,
        n_peaks=len(mfi),
    )


def fit_mef(mfi: Sequence[float], levels: Sequence[float]) -> MefFit | None:
    """Fit ``ln(level + autofluorescence) = slope * ln(mfi) + intercept`` by least squares.

    Blank beads shine, too: their own fluorescence is the third parameter.

    Returns
    -------
    None where no level is 0, where a MFI is not positive, or with fewer than four peaks.

    References
    ----------
    Castillo-Hair et al., ACS Synth Biol 5 (2016) 774-780: the form; the search is ours.
    """
    if len(mfi) <= LEAST_PEAKS or min(levels) > 0 or min(mfi) <= 0:
        return None
    x, assigned = np.log(np.asarray(mfi, float)), np.asarray(levels, float)

    def rest(log_auto: float) -> float:
        y = np.log(assigned + np.exp(log_auto))
        fit = linregress(x, y)
        return float(((y - fit.slope * x - fit.intercept) ** 2).sum())

    # From a millionth of the highest level to that level; the best of a grid, made exact.
    grid = np.log(assigned.max()) + np.linspace(np.log(1e-6), 0.0, 141)
    best = int(np.argmin([rest(float(value)) for value in grid]))
    bounds = (float(grid[max(best - 1, 0)]), float(grid[min(best + 1, grid.size - 1)]))
    found = minimize_scalar(rest, bounds=bounds, method="bounded", options={"xatol": 1e-9})
    auto = float(np.exp(found.x))
    line = linregress(x, np.log(assigned + auto))
    return MefFit(float(line.slope), float(line.intercept), auto)


def calibrate(
    found: FoundPeaks,
    kit: BeadKit,
    channel: KitChannel,
    binding: Binding,
    *,
    n_events: int,
    n_singlets: int,
) -> Calibration:
    """Give each peak its level, fit, and check.

    Peaks and levels are matched in order, and only where there are as many of the one as of the
    other. The line is fitted to the peaks that are on scale and whose level is not 0.

    Raises
    ------
    CalibrationError
        Peaks and levels are not equally many, or fewer than three peaks can be fitted.
    """
    matched = _match(found.peaks, channel.levels)
    usable = [(peak, levels[0]) for peak, levels in matched if _is_fitted(peak, levels)]
    line = fit_line([peak.mfi for peak, _ in usable], [level for _, level in usable])
    seen = [
        (peak, levels[0])
        for peak, levels in matched
        # A blank's median will do; noise makes nothing of its autofluorescence.
        if _is_fitted(peak, levels) or (levels == (0.0,) and not peak.is_cut)
    ]
    mef = fit_mef([peak.mfi for peak, _ in seen], [level for _, level in seen])
    peaks = tuple(_calibrated(peak, levels, line) for peak, levels in matched)
    flags = tuple(_check(peaks, line, kit.limits))
    return Calibration(kit, channel, binding, n_events, n_singlets, peaks, line, mef, flags)


def _match(
    peaks: Sequence[BeadPeak], levels: Sequence[float]
) -> list[tuple[BeadPeak, tuple[float, ...]]]:
    if any(not peak.n_joined for peak in peaks) or sum(p.n_joined for p in peaks) != len(levels):
        at = f", at {'; '.join(_tell(peak) for peak in peaks)}" if peaks else ""
        counted = "1 peak was" if len(peaks) == 1 else f"{len(peaks) or 'no'} peaks were"
        raise CalibrationError(
            f"{counted} found{at}",
            expected=f"{len(levels)}, one for each level of the kit",
            advice="No level is guessed: look at the picture, whether kit, lot and channel are "
            "the right ones, at a voltage at which all beads are on scale, and for enough beads",
        )
    matched = []
    begin = 0
    for peak in peaks:
        matched.append((peak, tuple(levels[begin : begin + peak.n_joined])))
        begin += peak.n_joined
    return matched


def _tell(peak: BeadPeak) -> str:
    if not peak.n_joined:
        ends = "with the events of no whole number of peaks, at an end of the scale"
    elif peak.n_joined > 1:
        ends = f"counted as {peak.n_joined} peaks at an end of the scale"
    else:
        ends = ""
    return f"{peak.mfi:.4g} ({peak.n_events} events{', ' if ends else ''}{ends})"


def _is_fitted(peak: BeadPeak, levels: tuple[float, ...]) -> bool:
    return (
        len(levels) == 1
        and levels[0] > 0
        and not peak.is_cut
        and "PEAK_NOT_POSITIVE" not in peak.flags
    )


def _calibrated(peak: BeadPeak, levels: tuple[float, ...], line: LineFit) -> CalibratedPeak:
    if peak.mfi <= 0:
        return CalibratedPeak(peak, levels, False, None, None)
    value = 10.0 ** (line.intercept + line.slope * float(np.log10(peak.mfi)))
    deviation = None
    if len(levels) == 1 and levels[0] > 0:
        deviation = 100.0 * (value / levels[0] - 1.0)
    return CalibratedPeak(peak, levels, _is_fitted(peak, levels), value, deviation)


def _check(peaks: Sequence[CalibratedPeak], line: LineFit, limits: CheckLimits) -> Iterator[str]:
    if line.r2 < limits.r2:
        yield f"POOR_FIT:r2 {line.r2:.4f}, at least {limits.r2:g}"
    if not limits.slope_low <= line.slope <= limits.slope_high:
        yield f"SLOPE_OUTSIDE:{line.slope:.3f}, {limits.slope_low:g} to {limits.slope_high:g}"
    for item in peaks:
        off = item.deviation_percent
        if item.fitted and off is not None and abs(off) > limits.back_calculated_percent:
            most = limits.back_calculated_percent
            yield f"BACK_CALCULATED:level {item.levels[0]:g} {off:+.1f} %, at most {most:g} %"
    mfis = [item.peak.mfi for item in peaks]
    if mfis != sorted(set(mfis)):
        yield "NOT_MONOTONE:a brighter level has no higher MFI"
    usual = float(np.median([item.peak.n_events / len(item.levels) for item in peaks]))
    for item in peaks:
        where = f"level {' and '.join(f'{level:g}' for level in item.levels)}"
        if "PEAK_SATURATED" in item.peak.flags:
            yield f"PEAK_SATURATED:{where}"
        if "PEAK_OFF_SCALE" in item.peak.flags:
            yield f"PEAK_OFF_SCALE:{where}"
        if "PEAK_NOT_POSITIVE" in item.peak.flags and max(item.levels) > 0:
            yield f"PEAK_NOT_POSITIVE:{where}"
        if len(item.levels) == 1 and item.peak.n_events >= JOINED * usual:
            times = item.peak.n_events / usual
            yield f"PEAK_UNEVEN:{where} {times:.1f} times the events of the median peak"
        if item.peak.n_events < limits.events:
            yield f"FEW_BEADS:{where} {item.peak.n_events} events, at least {limits.events}"
