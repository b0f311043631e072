"""Half an emoji, NUL and line ends in the paths of a worker's views: an answer, and never a 500."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

if TYPE_CHECKING:
    from tests.agents.running import Worker

pytestmark = pytest.mark.xdist_group("worker")

ODD = ["\ud800", "a\udfffb", "\x00", "a\r\nX-Injected: 1", "\x1b[2J\x7f", "€"]


@pytest.mark.parametrize(
    "path",
    [
        *("/{}", "/apps/{}/live", "/campaigns/{}/live", "/campaigns/x/live?app_id={}"),
        *("/funnels/{}/live?app_id=x", "/funnels/x/live?app_id={}", "/funnels/live?app_id={}"),
        *("/funnels/live?day={}", "/tables/{}/x", "/tables/visitors/{}", "/tables/conversions/{}"),
    ],
)
def test_a_path_or_a_query(worker: Worker, path: str) -> None:
    for odd in ODD:
        status, _ = worker.get(path.format(quote(odd.encode("utf-8", "surrogatepass"), safe="")))
        assert status < 500, (path, odd)
    assert "X-Injected: 1" not in {line.strip() for line in worker.log().splitlines()}
