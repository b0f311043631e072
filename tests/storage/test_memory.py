from __future__ import annotations

from trackstream.storage.expiring import Expiring
from trackstream.storage.recent import Recent
from trackstream.storage.used import UsedOnce


def test_recent_is_bounded_and_keeps_what_is_used() -> None:
    recent = Recent[str, int](10)
    recent.put("used", -1)
    for number in range(100):
        recent.put(str(number), number)
        assert recent.get("used") == -1
        assert len(recent) <= 10
    assert recent.get("99") == 99
    assert recent.get("0") is None


def test_expiring_forgets_after_its_time() -> None:
    now_s = [0.0]
    memory = Expiring[str](10, clock_s=lambda: now_s[0])
    memory.put("a", "1", 5)
    now_s[0] = 4.9
    assert memory.get("a") == "1"
    now_s[0] = 5.0
    assert memory.get("a") is None
    assert len(memory) == 0


def test_expiring_drops_the_oldest_when_full() -> None:
    memory = Expiring[int](3)
    for number in range(5):
        memory.put(str(number), number, 60)
    assert [memory.get(str(number)) for number in range(5)] == [None, None, 2, 3, 4]


def test_used_once_forgets_none_before_its_time() -> None:
    now_s = [0.0]
    used = UsedOnce(3, clock_s=lambda: now_s[0])
    for number in range(3):
        now_s[0] = number * 40
        assert used.add(str(number), 600)
    assert used.whole
    assert not used.add("3", 600)
    assert not used.whole
    assert [str(number) in used for number in range(4)] == [True, True, True, False]
    now_s[0] = 599.9
    assert "0" in used
    now_s[0] = 635
    assert ("0" in used, "1" in used, len(used)) == (False, True, 2)
    assert used.add("4", 600)
    assert not used.whole
    now_s[0] = 80 + 600
    assert used.whole
