"""Files of owners' JSON among the formats of lists: told by what they hold, and named under the vault's secret."""

from collections import Counter

import pytest
from importer_contract import rows_of
from json_entries import SECRET, digits, lines, listed, stopncii, techagainst, update

import vetset
from vetset.hashlist.bank import Bank
from vetset.hashlist.entry_names import SECRET_BYTES, entry_name
from vetset.hashlist.formats import opinions
from vetset.hashlist.vault.vault import Vault
from vetset.model.errors import ListError
from vetset.model.signal import Kind

PAGES = {"stopncii": "hashRecords", "techagainst": "results", "threat_updates": "data"}
MAKERS = {"stopncii": stopncii, "techagainst": techagainst, "threat_updates": update}


@pytest.mark.parametrize("name", MAKERS)
def test_json_is_told_by_its_fields(tmp_path, name):
    path = tmp_path / "list"
    entries = [MAKERS[name](seed) for seed in (1, 2)]
    page = listed({PAGES[name]: entries})
    for content in (listed(entries), lines(entries), page, b"\xef\xbb\xbf" + page):
        path.write_bytes(content)
        found = rows_of(opinions(path, secret=lambda: SECRET))
        assert [row["value"].hex() for row in found] == [digits(1, 64), digits(2, 64)]
        assert found == rows_of(opinions(path, format=name, secret=lambda: SECRET))


def test_json_of_nobody_or_of_two_is_not_guessed_at(tmp_path):
    path = tmp_path / "list.json"
    for content in (b'[{"md5": "x"}]', b"{}", listed([stopncii(1), techagainst(2)])):
        path.write_bytes(content)
        with pytest.raises(ListError, match="format of the list cannot be told"):
            opinions(path, secret=lambda: SECRET)


def test_signals_are_read_where_they_are_named(tmp_path):
    path, unsupported = tmp_path / "list.txt", Counter()
    path.write_text(f"pdq {digits(1, 64)}\nvideo_md5 {digits(2, 32)}\n")
    found = rows_of(opinions(path, format="threatexchange", unsupported=unsupported, secret=lambda: SECRET))
    assert [row["value"].hex() for row in found] == [digits(1, 64)]
    assert unsupported == {"video_md5": 1}
    path.write_text(f"{digits(1, 64)}\n")
    bare = opinions(path, format="threatexchange", kind=Kind.PDQ, secret=lambda: SECRET)
    assert rows_of(bare) == found


def test_entries_without_ids_need_a_secret(tmp_path):
    path = tmp_path / "list"
    path.write_bytes(listed([stopncii(1)]))
    with pytest.raises(ListError, match="named under a secret"):
        opinions(path)


def test_a_vault_names_entries_alike_for_ever_and_no_two_alike(tmp_path):
    one, other = Vault(tmp_path / "one"), Vault(tmp_path / "other")
    secret = one.naming_secret()
    assert len(secret) == SECRET_BYTES
    assert Vault(tmp_path / "one").naming_secret() == secret
    assert other.naming_secret() != secret
    assert secret.hex() not in (tmp_path / "one" / "vault.key").read_text()


def test_a_withdrawal_finds_the_entry_that_was_imported_before(tmp_path, monkeypatch):
    monkeypatch.setenv("VETSET_HOME", str(tmp_path / "home"))
    path = tmp_path / "list.json"
    path.write_bytes(listed([stopncii(1), stopncii(2)]))
    about = {"owner": "StopNCII", "category": "intimate-images", "licence": "made up"}
    vetset.add_list(path, name="ncii", as_of="2026-01-01", **about)
    path.write_bytes(listed([stopncii(1, hashStatus="Withdrawn", lastModtimestamp=1_800_000_000)]))
    vetset.update_list(path, name="ncii", as_of="2026-01-02", accept=True)
    vault = Vault(tmp_path / "home")
    standing = [row for row in Bank.from_bytes(vault.bank("ncii")).rows.to_pylist() if not row["withdrawn"]]
    value = bytes.fromhex(digits(2, 64))
    name = entry_name(vault.naming_secret(), Kind.PDQ, value)
    assert [(row["entry"], row["value"]) for row in standing] == [(name, value)]


def test_a_delta_of_a_service_may_take_back_what_never_came(tmp_path, monkeypatch):
    monkeypatch.setenv("VETSET_HOME", str(tmp_path / "home"))
    path = tmp_path / "list.json"
    path.write_bytes(listed([techagainst(1)]))
    about = {"owner": "Tech Against Terrorism", "category": "terrorism", "licence": "made up"}
    vetset.add_list(path, name="tat", as_of="2026-01-01", **about)
    path.write_bytes(listed([techagainst(2), techagainst(3, deleted=True), techagainst(4, algorithm="TMK")]))
    vetset.update_list(path, name="tat", as_of="2026-01-02", accept=True)
    standing = Bank.from_bytes(Vault(tmp_path / "home").bank("tat")).entries()
    assert standing.entries[Kind.PDQ].ids.tolist() == sorted([b"1", b"2"], key=lambda one: digits(int(one), 64))
