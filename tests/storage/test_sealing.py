from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from trackstream.settings import Settings
from trackstream.storage.errors import MasterKeyError
from trackstream.storage.sealing import MasterKey

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_sealed_opens_and_does_not_show(master_key: MasterKey) -> None:
    sealed = master_key.seal("sesame", app_id="a", key_id="k")
    assert b"sesame" not in sealed
    assert master_key.open(sealed, app_id="a", key_id="k") == "sesame"
    assert sealed != master_key.seal("sesame", app_id="a", key_id="k")


@pytest.mark.parametrize(("app_id", "key_id"), [("b", "k"), ("a", "j"), ("ak", "")])
def test_it_opens_for_its_own_key_only(master_key: MasterKey, app_id: str, key_id: str) -> None:
    sealed = master_key.seal("sesame", app_id="a", key_id="k")
    with pytest.raises(MasterKeyError, match="does not open"):
        master_key.open(sealed, app_id=app_id, key_id=key_id)


def test_a_changed_byte_does_not_open(master_key: MasterKey) -> None:
    sealed = master_key.seal("sesame", app_id="a", key_id="k")
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(MasterKeyError):
            master_key.open(bytes(changed), app_id="a", key_id="k")
    for short in (b"", sealed[:5], sealed[:13], sealed[:-1]):
        with pytest.raises(MasterKeyError):
            master_key.open(short, app_id="a", key_id="k")


def test_another_master_key_does_not_open(master_key: MasterKey) -> None:
    sealed = MasterKey(b"x" * 32).seal("sesame", app_id="a", key_id="k")
    with pytest.raises(MasterKeyError, match="TRACKSTREAM_MASTER_KEY"):
        master_key.open(sealed, app_id="a", key_id="k")


def test_a_key_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "deep" / "data")
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: MasterKey.load(settings), range(8)))
    sealed = keys[0].seal("sesame", app_id="a", key_id="k")
    assert all(key.open(sealed, app_id="a", key_id="k") == "sesame" for key in keys)
    assert [path.name for path in settings.data_dir.iterdir()] == ["master.key"]
    assert (settings.data_dir / "master.key").stat().st_mode & 0o777 == 0o600


def test_the_setting_wins_and_writes_no_file(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, master_key=bytes(range(32)).hex())
    sealed = MasterKey.load(settings).seal("sesame", app_id="a", key_id="k")
    assert MasterKey(bytes(range(32))).open(sealed, app_id="a", key_id="k") == "sesame"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["zz", "ab" * 31, "ab" * 33])
def test_a_malformed_key_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(MasterKeyError, match="TRACKSTREAM_MASTER_KEY takes 32 bytes in hex"):
        MasterKey.load(Settings(data_dir=tmp_path, master_key=text))
    (tmp_path / "master.key").write_text(text)
    with pytest.raises(MasterKeyError, match=r"master\.key takes 32 bytes in hex"):
        MasterKey.load(Settings(data_dir=tmp_path))
