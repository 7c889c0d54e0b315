"""A kit of calibration beads as a file: TOML with what the lot's leaflet says."""

from __future__ import annotations

import hashlib
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from cytoflow_car.errors import CalibrationError
from cytoflow_car.model.calibration import BeadKit, CheckLimits, KitChannel, Unit

if TYPE_CHECKING:
    from collections.abc import Sequence

_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
_Positive = Annotated[float, Field(gt=0)]
_DEFAULTS = CheckLimits()
_Text = Annotated[str, Field(min_length=1)]


def _ascending(levels: list[float]) -> list[float]:
    if not all(low < high for low, high in pairwise(levels)):
        raise ValueError(f"levels {levels} do not ascend")
    return levels


def _from_low_to_high(slope: list[float]) -> list[float]:
    if slope[0] >= slope[1]:
        raise ValueError("the lower limit is not below the upper one")
    return slope


class _Channel(BaseModel):
    model_config = _STRICT
    levels: Annotated[
        list[Annotated[float, Field(ge=0)]], Field(min_length=3), AfterValidator(_ascending)
    ]
    fp_ratio: _Positive | None = None


class _Checks(BaseModel):
    model_config = _STRICT
    r2: Annotated[float, Field(gt=0, le=1)] = _DEFAULTS.r2
    slope: Annotated[
        list[_Positive], Field(min_length=2, max_length=2), AfterValidator(_from_low_to_high)
    ] = [_DEFAULTS.slope_low, _DEFAULTS.slope_high]
    back_calculated_percent: _Positive = _DEFAULTS.back_calculated_percent
    events: Annotated[int, Field(ge=1)] = _DEFAULTS.events


class _Kit(BaseModel):
    model_config = _STRICT
    name: _Text
    lot: _Text
    unit: Unit
    indirect: bool
    channels: Annotated[dict[_Text, _Channel], Field(min_length=1)]
    checks: _Checks = _Checks()


def read_kit(path: Path) -> BeadKit:
    """Read a kit.

    Raises
    ------
    CalibrationError
        No such file, no TOML, or a field that is missing, unknown or impossible; it is named.
    """
    try:
        content = path.read_bytes()
        plain = tomllib.loads(content.decode("utf-8"))
    except OSError as fault:
        raise CalibrationError(
            f"it cannot be opened ({fault.strerror})", where=path.name, expected="a kit file"
        ) from fault
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as fault:
        raise CalibrationError(
            f"it is not TOML ({fault})", where=path.name, expected="a kit file in TOML"
        ) from fault
    try:
        kit = _Kit.model_validate(plain)
    except ValidationError as fault:
        first = fault.errors()[0]
        problem = first["msg"].removeprefix("Value error, ")
        raise CalibrationError(
            f"{problem[:1].lower()}{problem[1:]}",
            where=f"{path.name}, {_place(first['loc'])}",
            expected="name, lot, unit (PE, MESF, ERF or ABC), indirect, and ascending levels "
            "of each channel, as in the documentation",
            advice="Copy the values of your lot from its leaflet; the program knows none",
        ) from None
    for name, channel in kit.channels.items():
        if kit.unit == "ABC" and channel.fp_ratio is not None:
            raise CalibrationError(
                "an F:P ratio is given, but the levels are antibodies already",
                where=f"{path.name}, channels {name} fp_ratio",
                expected="no fp_ratio with unit ABC",
            )
    limits = CheckLimits(
        kit.checks.r2,
        kit.checks.slope[0],
        kit.checks.slope[1],
        kit.checks.back_calculated_percent,
        kit.checks.events,
    )
    channels = tuple(
        KitChannel(name, tuple(item.levels), item.fp_ratio) for name, item in kit.channels.items()
    )
    digest = hashlib.sha256(content).hexdigest()
    return BeadKit(kit.name, kit.lot, kit.unit, kit.indirect, channels, limits, digest)


def _place(steps: Sequence[Any]) -> str:
    return " ".join(str(step) for step in steps) or "the whole file"
