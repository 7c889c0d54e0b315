"""A kit file is read strictly: what is wrong is refused, and the field is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from cytoflow_car.errors import CalibrationError
from cytoflow_car.model.calibration import CheckLimits
from cytoflow_car.tables.kit_file import read_kit

KIT = """\
name = "Planted beads"
lot = "1"
unit = "PE"
indirect = false

[channels.PE-A]
levels = [474, 5359, 23843, 62336]
fp_ratio = 1.0

[checks]
slope = [0.8, 1.2]
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "kit.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_kit_is_read(tmp_path: Path) -> None:
    kit = read_kit(written(tmp_path, KIT))
    assert (kit.name, kit.lot, kit.unit, kit.indirect) == ("Planted beads", "1", "PE", False)
    assert kit.channels[0].levels == (474, 5359, 23843, 62336)
    assert kit.limits == CheckLimits(slope_low=0.8, slope_high=1.2)
    assert len(kit.sha256) == 64


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ('lot = "1"\n', "", "lot"),
        ('lot = "1"', 'lott = "1"', "lot"),
        ('lot = "1"', "lot = 1", "lot"),
        ('unit = "PE"', 'unit = "pe"', "unit"),
        ("indirect = false", 'indirect = "no"', "indirect"),
        ("indirect = false\n", "", "indirect"),
        ("indirect = false", "indirect = false\nvoltage = 5", "voltage"),
        ("5359, 23843", "23843, 5359", "channels PE-A levels"),
        ("5359, 23843", "5359, 5359", "channels PE-A levels"),
        ("474,", "-1,", "channels PE-A levels 0"),
        ("474,", "nan,", "channels PE-A levels 0"),
        ("474, 5359, 23843, 62336", "474, 5359", "channels PE-A levels"),
        ("fp_ratio", "fp", "channels PE-A fp"),
        ("fp_ratio = 1.0", "fp_ratio = 0", "channels PE-A fp_ratio"),
        ("[0.8, 1.2]", "[1.2, 0.8]", "checks slope"),
        ("slope = [0.8, 1.2]", "r2 = 2", "checks r2"),
        ('unit = "PE"', 'unit = "ABC"', "channels PE-A fp_ratio"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, old: str, new: str, where: str) -> None:
    assert old in KIT
    with pytest.raises(CalibrationError) as caught:
        read_kit(written(tmp_path, KIT.replace(old, new, 1)))
    assert caught.value.where == f"kit.toml, {where}"


@pytest.mark.parametrize("content", [b"name = ", b"\xff\xfe"])
def test_what_is_no_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "kit.toml"
    path.write_bytes(content)
    with pytest.raises(CalibrationError, match="not TOML"):
        read_kit(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="cannot be opened"):
        read_kit(tmp_path / "none.toml")
