from __future__ import annotations

from io import StringIO

import pytest

from trackstream.analysis.path_file import PathFileError, read
from trackstream.analysis.paths import Paths, Totals
from trackstream.core.models import PathCount

HEADER = "path,total_conversions,total_conversion_value,total_null\n"


def rows(text: str) -> list[PathCount]:
    return list(read(StringIO(text, newline="")))


def problems(text: str) -> list[str]:
    with pytest.raises(PathFileError) as caught:
        rows(text)
    return caught.value.problems


def test_a_file_as_the_r_package_takes_it() -> None:
    assert rows(HEADER + "search > email > search,3,149.97,12\nsearch,0,0,7\n") == [
        PathCount(("search", "email", "search"), 3, 149_970_000, 12),
        PathCount(("search",), 0, 0, 7),
    ]


@pytest.mark.parametrize(
    "text",
    [
        'path;total_conversions;total_conversion_value;total_null\r\n"a > b";2;1.5;1\r\n',
        "\ufeffpath\ttotal_conversions\ttotal_conversion_value\ttotal_null\na>b\t2\t1.5\t1",
        "total_null,x,Path,total_conversion_value,total_conversions\n1,?,a > b,1.50,2.0\n\n",
        HEADER + "a > b,2e+00,1.5e0,1\n",
    ],
    ids=["semicolons", "tabs", "other order", "R's numbers"],
)
def test_other_forms(text: str) -> None:
    assert rows(text) == [PathCount(("a", "b"), 2, 1_500_000, 1)]


def test_value_and_nulls_may_be_missing() -> None:
    assert rows("path,total_conversions\na,2\nb,\nc,NA\n") == [
        PathCount(("a",), 2, 0, 0),
        PathCount(("b",), 0, 0, 0),
        PathCount(("c",), 0, 0, 0),
    ]


def test_all_problems_are_told_at_once_with_their_lines() -> None:
    assert problems(
        HEADER
        + "a,1,2,3\n"
        + "a > > b,1,2,3\n"
        + "\n"
        + ",x,-1,1.5\n"
        + "a,1,2\n"
        + "a,-1,2,3\n"
        + "a,0,5,3\n"
        + "a,1,NaN,3\n"
    ) == [
        "line 3: the path has an empty channel",
        "line 5: the path is empty",
        "line 5: total_conversions is 'x': it has to be a whole number, 0 or more",
        "line 5: total_null is '1.5': it has to be a whole number, 0 or more",
        "line 5: total_conversion_value is '-1': it has to be a number, 0 or more",
        "line 6: 3 columns where the header has 4",
        "line 7: total_conversions is '-1': it has to be a whole number, 0 or more",
        "line 8: total_conversion_value without total_conversions",
        "line 9: total_conversion_value is 'NaN': it has to be a number, 0 or more",
    ]


def test_very_many_problems_are_counted() -> None:
    told = problems(HEADER + "a,x,0,0\n" * 1000)
    assert len(told) == 101
    assert told[99] == (
        "line 101: total_conversions is 'x': it has to be a whole number, 0 or more"
    )
    assert told[100] == "and 900 more problems"


@pytest.mark.parametrize("text", ["", "a,b\n", "a > b,1,2,3\n"])
def test_a_file_without_a_header_says_which(text: str) -> None:
    (told,) = problems(text)
    assert told.startswith("line 1: the header has no column path, total_conversions")


def test_the_same_paths_are_counted_together_and_unused_ones_left_out() -> None:
    paths = Paths(rows(HEADER + "b > a,1,2,3\nc,0,0,0\nb>a,10,20,30\na,0,0,5\n"))
    assert paths.channels == ["a", "b"]
    assert paths.totals == Totals(paths=2, conversions=11, value_micros=22_000_000, nulls=38)
    assert [(list(codes), *rest) for codes, *rest in paths.each()] == [
        ([1, 0], 11, 22_000_000),
        ([0], 0, 0),
    ]
