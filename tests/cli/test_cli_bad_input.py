"""Bad input of every kind: the right exit code, a text that helps, and nothing lost or half-written."""

import json
import re
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import small

CAUSE = r"00001\.tar: byte \d+: .* is truncated\. Fetch or build this shard .* not affected\. Mend what is named"


@pytest.fixture
def try_audit(vetset, ready, roots):
    """Audit with some arguments changed; returns how it ended."""

    def run(dataset=None, *more, embeddings=None, seal_to="custodian.pub", name="known"):
        arguments = ["audit", dataset or roots / "webdataset", "--list", name]
        arguments += ["--seal-to", ready / "keys" / seal_to, "--out", ready / "audit", *more]
        return vetset(*arguments, *(() if embeddings is None else ("--embeddings", embeddings)))

    return run


@pytest.fixture
def data(ready):
    small.write_webdataset(ready / "data")
    return ready / "data"


def test_a_dataset_that_is_not_there(try_audit, ready):
    assert try_audit(ready / "nowhere").code == 10
    assert not (ready / "audit").exists()


def test_a_folder_without_any_picture(try_audit, ready):
    (ready / "empty").mkdir()
    assert try_audit(ready / "empty").code == 10


def test_a_truncated_tar_is_sealed_as_incomplete(try_audit, data, ready, vetset):
    tar = data / "00001.tar"
    tar.write_bytes(tar.read_bytes()[:3000])
    ended = try_audit(data)
    assert ended.code == 30
    assert "00001.tar" in ended.err
    told = json.loads(vetset("open", ready / "audit", "--key", ready / "keys" / "custodian.key", "--json").out)
    assert told["status"] == "incomplete"
    assert told["shards"] == {"read": 1, "failed": 1}
    again = try_audit(data)
    assert (again.code, again.err) == (30, ended.err.splitlines()[-1] + "\n")
    assert re.search(CAUSE, again.err)


def test_a_scan_says_why_a_shard_failed_and_what_to_do(vetset, data, ready):
    path = data / "00001.tar"
    path.write_bytes(path.read_bytes()[:3000])
    ended = vetset("scan", data, "--store", ready / "store")
    assert ended.code == 30
    assert re.search(CAUSE, ended.err)


def test_an_empty_tar_is_no_error(try_audit, data):
    (data / "00002.tar").write_bytes(bytes(10240))
    assert try_audit(data).code == 0


def test_a_file_that_is_no_tar(try_audit, data):
    (data / "00002.tar").write_bytes(b"hello" * 1000)
    assert try_audit(data).code == 30


def test_a_table_without_known_columns_claims_nothing(try_audit, ready):
    (ready / "odd").mkdir()
    pq.write_table(pa.table({"a": [1, 2]}), ready / "odd" / "a.parquet")
    ended = try_audit(ready / "odd")
    assert ended.code == 30
    assert "no column of this table can be matched" in ended.err
    assert "--column url=address" in ended.err


@pytest.mark.parametrize(
    ("columns", "option"),
    [
        ({"url": ["https://a.example/1"], "URL": ["https://a.example/2"]}, "--column url=NAME"),
        ({"md5": [1.5]}, "--column md5="),
    ],
)
def test_a_column_that_is_not_clear_is_chosen_by_an_option(try_audit, ready, columns, option):
    (ready / "odd").mkdir()
    pq.write_table(pa.table(columns), ready / "odd" / "a.parquet")
    ended = try_audit(ready / "odd")
    assert ended.code == 30
    assert option in ended.err


def test_a_table_beside_a_tar_without_a_key_is_joined_by_an_option(try_audit, data):
    pq.write_table(pa.table({"url": ["https://a.example/1"]}), data / "00000.parquet")
    ended = try_audit(data)
    assert ended.code == 30
    assert "--column key=NAME" in ended.err


def test_a_column_that_was_named_wrong_is_told(data, ready, vetset):
    arguments = ["audit", data, "--list", "known", "--seal-to", ready / "keys" / "custodian.pub"]
    wrong = "--column", "url=URL", "--column", "md5=MD5"
    ended = vetset(*arguments, "--out", ready / "wrong", *wrong)
    assert ended.code == 0
    assert "--column url=URL: no record has such a column" in ended.out
    assert "--column md5=MD5: no record has such a column" in ended.out
    told = json.loads(vetset(*arguments, "--out", ready / "right", "--column", "url=url", "--json").out)
    assert told["silent_columns"] == []


def test_two_records_with_one_key_under_embeddings(try_audit, ready):
    root = ready / "doubled"
    root.mkdir()
    for shard in range(2):
        small.pack([("same", {"jpg": small.images()[shard]})], root / f"{shard}.tar")
    small.write_new(ready / "emb", 0, small.vectors()[:1], ["same"])
    assert try_audit(root, embeddings=ready / "emb").code == 11


def test_embeddings_with_a_missing_part(try_audit, ready, roots):
    shutil.copytree(roots / "webdataset-embeddings", ready / "emb")
    (ready / "emb" / "img_emb" / "img_emb_0.npy").unlink()
    ended = try_audit(embeddings=ready / "emb")
    assert ended.code == 11
    assert "embedding part 0" in ended.err


@pytest.mark.parametrize("content", ["md5 1234\n", "nonsense\n", "", "sha256 " + "0" * 63 + "g\n"])
def test_a_malformed_list_is_not_imported_at_all(vetset, ready, content):
    (ready / "bad.txt").write_text("md5 " + "ab" * 16 + "\n" + content if content else "")
    told = ("--owner", "o", "--category", "other", "--licence", "l")
    ended = vetset("lists", "add", ready / "bad.txt", "--name", "bad", *told)
    assert ended.code == 12
    assert "ab" * 16 not in ended.err
    assert "bad" not in [entry["name"] for entry in json.loads(vetset("lists", "show", "--json").out)]


def test_a_list_of_another_kind_than_stated(vetset, ready):
    told = ("--name", "x", "--owner", "o", "--category", "other", "--licence", "l", "--kind", "pdq")
    assert vetset("lists", "add", ready / "second.txt", *told).code == 12


@pytest.mark.parametrize(("option", "value"), [("--kind", "phash"), ("--category", "spam")])
def test_a_word_that_is_not_known(vetset, ready, option, value):
    told = {"--name": "x", "--owner": "o", "--category": "other", "--licence": "l", option: value}
    assert vetset("lists", "add", ready / "second.txt", *(part for pair in told.items() for part in pair)).code == 2


def test_a_list_that_was_never_imported(try_audit):
    assert try_audit(name="unheard-of").code == 12


def test_an_audit_is_not_written_into_the_store(vetset, ready, roots):
    store, more = ready / "store", ("--list", "known", "--seal-to", ready / "keys" / "custodian.pub")
    assert vetset("scan", roots / "webdataset", "--store", store).code == 0
    before = sorted(store.rglob("*"))
    for command in (("match", store), ("audit", roots / "webdataset", "--store", store)):
        for out in (store, store / "audit"):
            ended = vetset(*command, *more, "--out", out)
            assert (ended.code, "lies inside the store" in ended.err) == (2, True)
    assert sorted(store.rglob("*")) == before


def test_a_store_that_was_named_wrong_can_be_named_right(try_audit, ready):
    ended = try_audit(None, "--store", ready / "keys")
    assert (ended.code, "Name another folder with --store" in ended.err) == (40, True)
    ended = try_audit(None, "--store", ready / "store")
    assert ended.code == 0, ended.err
    assert (ready / "store" / "store.json").is_file()
    other = try_audit(None, "--store", ready / "other")
    assert (other.code, "differs in: store" in other.err) == (2, True)


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("[match]\npdq_radius = 32\n", "match.pdq_radius"),
        ("[match]\nradius = 3\n", "match.radius"),
        ("[scan]\nkinds = ['md5', 'md5', 'sha256']\n", "scan.kinds"),
        ("[scan]\nkinds = ['embedding']\n", "scan.kinds"),
        ("[scan]\nkinds = ['md5']\n", "remove.copies"),
        ("[remove]\nundecided = ['metadata_only']\n", "remove.undecided"),
        ("[remove]\nundecided = ['low_quality']\ncopies = false\n[scan]\nkinds = ['md5']\n", "remove.undecided"),
        ("[expand]\nk = 0\n", "expand.k"),
        ("[seal]\nfloor_bytes = 1\n", "seal.floor_bytes"),
        ("version = 2\n", "version"),
        ("[match\n", "not TOML"),
    ],
)
def test_an_impossible_policy_names_its_setting(try_audit, ready, text, seen):
    (ready / "policy.toml").write_text(text)
    ended = try_audit(None, "--policy", ready / "policy.toml")
    assert ended.code == 13
    assert seen in ended.err
    assert not (ready / "audit").exists()


@pytest.mark.parametrize(
    "more",
    [
        ("--engine", "ray"),
        ("--format", "zip"),
        ("--column", "md5"),
        ("--column", "caption=x"),
        ("--embeddings", "e", "--embedder", "sscd"),
        ("--workers", "0"),
        ("--unheard-of",),
    ],
)
def test_an_option_that_makes_no_sense(try_audit, ready, more):
    assert try_audit(None, *more).code == 2
    assert not (ready / "audit").exists()


class TestKeys:
    """Keys that are missing, somebody else's, or lie open."""

    def test_a_public_key_that_is_not_there(self, try_audit):
        assert try_audit(seal_to="nobody.pub").code == 20

    def test_a_private_key_given_as_a_public_one(self, try_audit):
        assert try_audit(seal_to="custodian.key").code == 20

    def test_somebody_elses_key(self, vetset, audited, ready):
        vetset("keygen", "other", "--out", ready / "keys")
        assert vetset("open", ready / "audit", "--key", ready / "keys" / "other.key").code == 20

    def test_a_key_that_others_can_read(self, vetset, audited, ready):
        (ready / "keys" / "custodian.key").chmod(0o644)
        assert vetset("open", ready / "audit", "--key", ready / "keys" / "custodian.key").code == 20

    def test_a_key_is_not_overwritten(self, vetset, ready):
        before = small.tree(ready / "keys")
        assert vetset("keygen", "custodian", "--out", ready / "keys").code == 40
        assert small.tree(ready / "keys") == before


class TestSealed:
    """A sealed bundle that was touched."""

    @pytest.mark.parametrize("place", [0.02, 0.3, 0.6, 0.99])
    def test_one_flipped_bit(self, vetset, audited, ready, place):
        path = ready / "audit" / "case" / "000001.age"
        data = bytearray(path.read_bytes())
        data[int(len(data) * place)] ^= 1
        path.write_bytes(data)
        ended = vetset("open", ready / "audit", "--key", ready / "keys" / "custodian.key")
        assert ended.code in (20, 22)
        assert ended.out == ""

    def test_a_missing_part(self, vetset, audited, ready):
        key = ready / "keys" / "custodian.key"
        vetset("verify", ready / "audit", "--key", key, "--with", "list:second")
        (ready / "audit" / "case" / "000001.age").unlink()
        assert vetset("open", ready / "audit", "--key", key).code == 22

    def test_a_folder_that_is_no_audit(self, vetset, ready):
        assert vetset("open", ready / "keys", "--key", ready / "keys" / "custodian.key").code == 2

    def test_a_damaged_manifest(self, vetset, audited, ready):
        (ready / "audit" / "run.json").write_text("{}")
        assert vetset("open", ready / "audit", "--key", ready / "keys" / "custodian.key").code == 40


class TestOutputs:
    """Places that are taken."""

    def test_another_dataset_in_the_folder_of_an_audit(self, vetset, audited, try_audit, data):
        ended = try_audit(data)
        assert ended.code == 2
        assert "dataset" in ended.err

    def test_another_policy_in_the_folder_of_an_audit(self, vetset, audited, ready):
        (ready / "policy.toml").write_text("[match]\npdq_radius = 25\n")
        ended = vetset(*audited, "--policy", ready / "policy.toml")
        assert ended.code == 2
        assert "policy" in ended.err

    def test_another_list_in_the_folder_of_an_audit(self, vetset, audited):
        ended = vetset(*audited, "--list", "second")
        assert ended.code == 2
        assert "lists" in ended.err

    def test_a_folder_that_holds_something_else(self, try_audit, ready):
        (ready / "audit").mkdir()
        (ready / "audit" / "mine.txt").write_text("mine")
        assert try_audit().code == 40
        assert small.tree(ready / "audit") == {"mine.txt": b"mine"}

    def test_a_store_that_holds_something_else(self, try_audit, ready):
        (ready / "store").mkdir()
        (ready / "store" / "mine.txt").write_text("mine")
        assert try_audit(None, "--store", ready / "store").code == 40
        assert small.tree(ready / "store") == {"mine.txt": b"mine"}

    @pytest.mark.parametrize("command", ["order", "attest"])
    def test_a_file_below_a_file(self, vetset, audited, ready, command):
        (ready / "file").write_text("mine")
        key = ready / "keys" / "custodian.key"
        assert vetset(command, ready / "audit", "--key", key, "--out", ready / "file" / "out").code == 40


@pytest.mark.parametrize("source", ["second", "list:", "arachnid", "file:second"])
def test_a_verifier_that_is_not_known(vetset, audited, ready, source):
    key = ready / "keys" / "custodian.key"
    assert vetset("verify", ready / "audit", "--key", key, "--with", source).code == 2


def test_rounds_without_anybody_who_decides(vetset, audited, ready):
    ended = vetset("expand", ready / "audit", "--key", ready / "keys" / "custodian.key", "--until-dry")
    assert ended.code == 2
    assert "--until-dry needs" in ended.err
    assert "--with list:NAME" in ended.err


@pytest.fixture
def signed(vetset, audited, ready):
    """A removal order and a statement."""
    for command in ("order", "attest"):
        vetset(command, ready / "audit", "--key", ready / "keys" / "custodian.key", "--out", ready / command)
    return {"clean": ready / "order", "check": ready / "attest"}


@pytest.mark.parametrize("state", ["malformed", "signed by another", "of another kind"])
@pytest.mark.parametrize("command", ["clean", "check"])
def test_a_signed_file_that_does_not_hold_is_named(vetset, ready, signed, command, state):
    file, signer = signed[command], ready / "keys" / "custodian.pub"
    if state == "malformed":
        file.write_bytes(file.read_bytes()[:-10])
    elif state == "signed by another":
        vetset("keygen", "other", "--out", ready / "keys")
        signer = ready / "keys" / "other.pub"
    else:
        file = signed["check" if command == "clean" else "clean"]
    small.write_webdataset(ready / "data")
    arguments = (ready / "data", file, "--out", ready / "new") if command == "clean" else (file,)
    ended = vetset(command, *arguments, "--signer", signer)
    assert ended.code == 21
    assert ended.err.startswith(f"vetset: {file}: ")


@pytest.mark.parametrize("command", ["clean", "check"])
def test_a_signed_file_that_is_not_there(vetset, ready, roots, command):
    signer = ("--signer", ready / "keys" / "custodian.pub")
    arguments = (roots / "webdataset", ready / "nowhere", *signer, "--out", ready / "out")
    assert vetset(command, *(arguments if command == "clean" else (ready / "nowhere", *signer))).code == 2


def test_an_error_as_json_is_one_line_with_all_its_parts(try_audit, ready):
    ended = try_audit(ready / "nowhere", "--json")
    told = json.loads(ended.err)
    assert (told["error"], told["exit_code"], ended.code, ended.out) == ("DatasetError", 10, 10, "")
    assert told["where"].endswith("nowhere")
    assert set(told) == {"error", "problem", "expected", "seen", "where", "todo", "exit_code"}
