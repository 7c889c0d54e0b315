"""What a person may print of a measurement."""

from __future__ import annotations

from decimal import Decimal

from cytoflow_car.model.measurement import Interval, Status


def report_value(
    value: float | None,
    status: Status,
    *,
    interval: Interval | None,
    lod: float | None,
    loq: float | None,
) -> str:
    """Return the printed form of a value; never ``0`` alone for something that was not seen.

    Parameters
    ----------
    value, interval, lod, loq
        In the unit of the measurement.
    """
    match status:
        case Status.QUANTIFIED:
            return _short(value)
        case Status.DETECTED_UNCONFIRMED if value is not None and loq is not None and value < loq:
            return f"<{_short(loq)} (unconfirmed)"
        case Status.DETECTED_UNCONFIRMED:
            return f"{_short(value)} (unconfirmed)"
        case Status.DETECTED_BELOW_LOQ:
            return f"<{_short(loq)} (detected)"
        case Status.DETECTED_BELOW_LOD:
            return f"<{_short(lod)} (trace)"
        case Status.NOT_DETECTED:
            highest = max(lod or 0.0, interval.high if interval is not None else 0.0)
            return f"<{_short(highest)}" if highest else "not detected"
        case Status.INDETERMINATE:
            return "indeterminate"
        case Status.INSUFFICIENT | Status.EMPTY_PARENT:
            return "insufficient cells"
        case Status.NOT_DONE:
            return "not done"
        case Status.FAILED:
            return "failed"


def plain(number: float, digits: int) -> str:
    """Return a number with so many digits that count, never with an exponent.

    Examples
    --------
    >>> plain(0.0000492, 2), plain(99.6, 2), plain(0.30, 2)
    ('0.000049', '100', '0.3')
    """
    return format(Decimal(f"{number:.{digits}g}"), "f")


def _short(number: float | None) -> str:
    return "" if number is None else plain(number, 3) if abs(number) < 999.5 else f"{number:.0f}"
