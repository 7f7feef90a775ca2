"""Numbers in words."""

import math

from jaxedit.report import wording


def test_figures():
    figures = [25.123456, 0.01234567, 123.456, 12345.6, 0.0, 1.0, -3.14159, 3.2e-7, None, math.nan]
    assert [wording.figure(f) for f in figures] == [
        "25.12", "0.01235", "123.5", "12346", "0.000", "1.000", "-3.142", "3.200e-07", "-", "-",
    ]
    assert wording.figure(25.1234, 0.0567) == "25.12 ± 0.06"
    assert wording.figure(math.inf) == "inf"


def test_short_numbers():
    numbers = [0, 0.25, 1500, 12_000, 3_400_000, 0.00031, 2.5e10]
    assert [wording.number(n) for n in numbers] == [
        "0", "0.25", "1500", "12k", "3.4M", "3.1e-4", "2.5e10",
    ]


def test_sizes_and_durations():
    assert [wording.bytes_of(n) for n in (12, 2048, 3 * 2**20, 2**31, 2**41)] == [
        "12 B", "2.0 KiB", "3.0 MiB", "2.0 GiB", "2.0 TiB",
    ]
    assert [wording.duration(s) for s in (4.25, 185, 7620)] == ["4.2 s", "3 min 05 s", "2 h 07 min"]
