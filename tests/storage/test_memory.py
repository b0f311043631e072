from __future__ import annotations

from trackstream.storage.expiring import Expiring
from trackstream.storage.recent import Recent


def test_recent_is_bounded_and_keeps_what_is_used() -> None:
    recent = Recent[int](10)
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


def test_expiring_puts_new_once() -> None:
    now_s = [0.0]
    memory = Expiring[bool](3, clock_s=lambda: now_s[0])
    assert memory.put_new("n", True, 5)
    assert not memory.put_new("n", True, 5)
    now_s[0] = 6.0
    assert memory.put_new("n", True, 5)
