"""Nothing leaks: the whole way is walked on the command line, and what it left is searched for what was planted."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from leak_search import Search, Secret

import small_dataset
from vetset.api.auditing import audit
from vetset.api.custody import open_audit
from vetset.engine.local import LocalEngine
from vetset.seal.keys import load_private

VETSET = [sys.executable, "-c", "from vetset.cli import main; main()"]
MATCHED = [1, 2, 8, 10, 13, 17]
SECOND = [3, 4, 9]
NEWER = [6, 13]


@dataclass
class Sandbox:
    """One user's machine: everything that the commands may write to lies below `root`."""

    root: Path
    console: dict[str, tuple[int, str, str]] = field(default_factory=dict)

    def path(self, name):
        return self.root / name

    def run(self, label, *arguments):
        """Run one command; what it says is kept with everything else that is searched."""
        environment = {
            name: os.environ[name] for name in ("PATH", "PYTHONPATH", "NUMBA_CACHE_DIR") if name in os.environ
        }
        for name, folder in (("HOME", "home"), ("VETSET_HOME", "vault"), ("TMPDIR", "tmp")):
            self.path(folder).mkdir(exist_ok=True)
            environment[name] = str(self.path(folder))
        self.path("cwd").mkdir(exist_ok=True)
        command = [*VETSET, *map(str, arguments)]
        told = subprocess.run(
            command, env=environment, cwd=self.path("cwd"), capture_output=True, text=True, check=False
        )
        self.console[label] = (told.returncode, told.stdout, told.stderr)
        self.path("console").mkdir(exist_ok=True)
        self.path("console").joinpath(label).write_text(told.stdout + told.stderr)
        return told

    def must(self, label, *arguments):
        told = self.run(label, *arguments)
        assert told.returncode == 0, told.stderr
        return told


def add_list(sandbox, name, source):
    about = ("--owner", f"owner of {name}", "--category", "benchmark", "--licence", "test", "--as-of", "2026-01-01")
    sandbox.must(f"add-{name}", "lists", "add", source, "--name", name, *about)


def walk_to_clean(sandbox):
    """What an operator does, and the order of the custodian between: all of it says the same whatever was found."""
    out, keys = sandbox.path("out"), sandbox.path("keys")
    given = ("--list", "known", "--seal-to", keys / "custodian.pub", "--embeddings", sandbox.path("embeddings"))
    sandbox.must("audit", "audit", sandbox.path("dataset"), *given, "--out", out / "audit", "--workers", 2)
    sandbox.must("recheck", "recheck", out / "audit", "--list", "known", "--list", "newer")
    sandbox.must("recheck-again", "recheck", out / "audit")
    return out, keys


def at_once(sandbox, *commands):
    """Run commands that do not wait for each other side by side."""
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda command: sandbox.must(*command), commands))


def order_and_clean(sandbox, out, keys, *others):
    """The custodian's order and what follows from it, beside other commands that only read."""
    key, signer = ("--key", keys / "custodian.key"), ("--signer", keys / "custodian.pub")
    attest = ("attest", "attest", out / "audit", *key, "--out", out / "statement.json")
    at_once(sandbox, ("order", "order", out / "audit", *key, "--out", out / "order.json"), attest, *others)
    clean = ("clean", sandbox.path("dataset"), out / "order.json", *signer)
    check = ("check", out / "statement.json", *signer, *key, "--dataset", sandbox.path("dataset"))
    at_once(
        sandbox,
        ("clean", *clean, "--out", out / "cleaned", "--workers", 2),
        ("keep", *clean, "--out", out / "keep", "--keep-list", "--workers", 1),
        ("check", *check),
    )


@dataclass(frozen=True)
class Walked:
    """Two walks over one dataset: one list matches, the other does not."""

    sandbox: Sandbox
    items: list[small_dataset.Item]
    matching: list[tuple[str, bytes]]
    idle: list[tuple[str, bytes]]
    found: dict[str, tuple[int, str, str]]
    nothing: dict[str, tuple[int, str, str]]
    with_findings: Path
    without: Path


def same_kinds(lines):
    """As many entries of every kind as these, about nothing."""
    pool = small_dataset.unrelated_lines(6 * len(lines), seed=77)
    by_kind = {}
    for kind, value in pool:
        by_kind.setdefault(kind, []).append(value)
    return [(kind, by_kind[kind].pop()) for kind, _ in lines]


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    root = tmp_path_factory.mktemp("leak")
    sources = tmp_path_factory.mktemp("sources")  # what a list is imported from is the user's to delete
    sandbox = Sandbox(root)
    items = small_dataset.build(root / "dataset", shards=3, rows=6)
    small_dataset.write_vectors(items, root / "embeddings", near={4: 1, 9: 8, 3: 2})
    matching = small_dataset.known_lines(items, MATCHED)
    idle = small_dataset.unrelated_lines(60)
    second = small_dataset.known_lines(items, SECOND)
    sandbox.must("keygen", "keygen", "custodian", "--out", root / "keys")

    newer = small_dataset.known_lines(items, NEWER)
    nothing, nothing_newer = same_kinds(matching), same_kinds(newer)
    add_list(sandbox, "known", small_dataset.write_list(sources / "nothing.txt", nothing + idle))
    add_list(sandbox, "newer", small_dataset.write_list(sources / "nothing-newer.txt", nothing_newer))
    out, keys = walk_to_clean(sandbox)
    order_and_clean(sandbox, out, keys)
    without = dict(sandbox.console)
    for name in ("out", "vault", "console"):
        (root / name).rename(root / f"{name}-without")

    add_list(sandbox, "known", small_dataset.write_list(sources / "known.txt", matching + idle))
    add_list(sandbox, "newer", small_dataset.write_list(sources / "newer.txt", newer))
    add_list(sandbox, "second", small_dataset.write_list(sources / "second.txt", second + idle[:9]))
    out, keys = walk_to_clean(sandbox)
    before = {name: (out / "audit" / name).read_bytes() for name in ("run.json", "case/000001.age", "case/000002.age")}
    opening = ("open", out / "audit", "--key", keys / "custodian.key")
    order_and_clean(sandbox, out, keys, ("open", *opening), ("open-json", *opening, "--json"))
    sandbox.must("verify", "verify", *opening[1:], "--with", "list:second")
    sandbox.must("expand", "expand", *opening[1:])
    sandbox.must("again", "audit", root / "dataset", "--list", "known", "--seal-to", keys / "custodian.pub",
                 "--embeddings", root / "embeddings", "--out", out / "audit", "--json")  # fmt: skip
    assert {name: (out / "audit" / name).read_bytes() for name in before} == before
    return Walked(
        sandbox, items, [*matching, *second, *newer], [*idle, *nothing, *nothing_newer], dict(sandbox.console), without,
        root / "out", root / "out-without",
    )  # fmt: skip


def addresses(items):
    for number, item in enumerate(items):
        yield Secret(f"address {number}", item.url.encode())
        yield Secret(f"caption {number}", item.caption.encode())
        # the part of each that is its own, so that a piece of it is found too
        yield Secret(f"address token {number}", item.url.split("/")[3].encode())
        yield Secret(f"caption token {number}", item.caption.rpartition(" ")[2].encode())


def values(lines, name):
    return [Secret(f"{name} {number} ({kind})", value) for number, (kind, value) in enumerate(lines)]


def pictures(items):
    """A piece out of the middle of every picture."""
    return [
        Secret(f"picture {number}", item.image[len(item.image) // 2 :][:24])
        for number, item in enumerate(items)
        if len(item.image) > 100
    ]


def written(walked):
    """Every folder that a command wrote to, apart from copies of the dataset."""
    root = walked.sandbox.root
    folders = [root / name for name in ("home", "tmp", "cwd", "vault", "vault-without", "console", "console-without")]
    for out in (walked.with_findings, walked.without):
        folders += [path for path in out.iterdir() if path.name != "cleaned"]
    return folders


def searched(search, folders):
    found = set()
    for folder in folders:
        found |= search.in_folder(folder) if folder.is_dir() else search.in_bytes(folder.read_bytes(), folder.name)
    return found


def test_something_was_found_and_something_was_not(walked):
    document = json.loads(walked.found["open-json"][1])
    assert document["union"]["benchmark"]["records"] == len({*MATCHED, *NEWER})
    assert document["candidates"]["records"] > 0
    findings = open_audit(walked.without / "audit", walked.sandbox.path("keys") / "custodian.key").case.findings
    assert (findings.matches, findings.candidates) == ((), ())


def test_no_address_caption_or_picture_is_anywhere_outside_the_dataset(walked):
    secrets = [*addresses(walked.items), *pictures(walked.items)]
    assert not searched(Search(secrets), written(walked))


def test_no_value_of_a_list_that_matches_nothing_is_anywhere(walked):
    folders = [*written(walked), walked.with_findings / "cleaned", walked.without / "cleaned"]
    assert not searched(Search(values(walked.idle, "idle")), folders)


def test_values_that_match_are_nowhere_but_in_the_store_of_all_signals(walked):
    search = Search(values(walked.matching, "matching"))
    stores = [walked.with_findings / "audit" / "store", walked.without / "audit" / "store"]
    folders = []
    for folder in written(walked):
        folders += [path for path in folder.iterdir() if path not in stores] if folder.is_dir() else [folder]
    assert not searched(search, folders)
    assert searched(search, stores), "the search would not have found them"


def test_no_private_key_is_anywhere_but_in_its_file(walked):
    key = load_private(walked.sandbox.path("keys") / "custodian.key")
    vault = json.loads((walked.sandbox.path("vault") / "vault.key").read_bytes())
    secrets = [
        Secret("identity", key.identity.encode()),
        Secret("signing", key.signing.encode()),
        Secret("signing bytes", bytes.fromhex(key.signing)),
        Secret("vault", vault["identity"].encode()),
        Secret("vault secret", bytes.fromhex(vault["secret"])),
    ]
    root = walked.sandbox.root
    places = {place for _, _, place in searched(Search(secrets), [*written(walked), root / "keys"])}
    assert places == {"custodian.key", "vault.key"}


def test_nothing_is_left_in_the_temporary_folder_the_home_or_where_the_commands_ran(walked):
    left = [path for name in ("tmp", "home", "cwd") for path in walked.sandbox.path(name).rglob("*") if path.is_file()]
    assert left == []


def normal(console):
    """What was said, without how long it took: on a slow machine a line comes every few seconds, by the clock alone."""
    code, said, told = console
    told = re.sub(r"^\w+: \d+/\d+ shards, \d+ records, \d+ records/s, \w+ left\n", "", told, flags=re.MULTILINE)
    times = re.compile(r"in \d+(?:h\d\d)?(?:m\d\d)?s|\d+ records/s|(?:\d+[hm])*\d+s left")
    return code, times.sub("…", said), times.sub("…", told)


@pytest.mark.parametrize(
    "command", ["add-known", "audit", "recheck", "recheck-again", "order", "clean", "keep", "attest"]
)
def test_console_and_exit_code_are_the_same_with_and_without_findings(walked, command):
    def comparable(console):
        code, said, told = normal(console)
        return code, re.sub(r"version [0-9a-f]{12}", "version …", said), told

    assert comparable(walked.found[command]) == comparable(walked.nothing[command])


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_store_is_the_same_whatever_the_list(walked):
    stores = [files_of(out / "audit" / "store") for out in (walked.with_findings, walked.without)]
    assert stores[0] == stores[1]
    assert len(stores[0]) > 9


def test_the_public_side_is_the_same_but_for_the_version_of_the_list(walked):
    documents = [
        json.loads((out / "audit" / "run.json").read_bytes()) for out in (walked.with_findings, walked.without)
    ]
    for of_lists in (
        [document["request"]["lists"] for document in documents],
        [document["rechecks"][0]["lists"] for document in documents],
    ):
        versions = [used[0].pop("version") for used in of_lists]
        assert versions[0] != versions[1]
    sums = [document.pop("sum") for document in documents]
    assert sums[0] != sums[1]
    assert documents[0] == documents[1]


@pytest.mark.parametrize(
    "name", ["audit/case/000001.age", "audit/case/000002.age", "order.json", "statement.json", "audit/run.json"]
)
def test_files_are_as_large_with_findings_as_without(walked, name):
    assert (walked.with_findings / name).stat().st_size == (walked.without / name).stat().st_size


def test_what_was_found_shows_in_no_name_of_a_file(walked):
    def names(out):
        later = {"audit/case/000003.age", "audit/case/000004.age"}
        return {name for name in files_of(out) if not name.startswith(("cleaned", "keep"))} - later

    assert names(walked.with_findings) == names(walked.without)


def driven(walked, out, base):
    """A copy of an audit as the operator left it, driven until dry and counted by its custodian."""
    shutil.copytree(out / "audit", base / "audit")
    for part in ("000003.age", "000004.age"):
        (base / "audit" / "case" / part).unlink(missing_ok=True)
    sandbox = Sandbox(base)
    (base / "vault").symlink_to(walked.sandbox.path("vault"))
    key = ("--key", walked.sandbox.path("keys") / "custodian.key", "--store", base / "audit" / "store")
    drive = ("expand", base / "audit", *key, "--until-dry", "--with", "list:second", "--first-by", "status")
    sandbox.must("drive", *drive, "--embeddings", walked.sandbox.path("embeddings"))
    sandbox.must("copies", "copies", base / "audit", *key)
    sandbox.must("copies-json", "open", base / "audit", *key[:2], "--json")
    (base / "vault").unlink()
    return sandbox


def test_rounds_and_copies_show_what_they_found_to_the_custodian_alone(walked, tmp_path):
    sandboxes = [driven(walked, out, tmp_path / name) for name, out in
                 (("with", walked.with_findings), ("without", walked.without))]  # fmt: skip
    told = [json.loads(sandbox.console["copies-json"][1]) for sandbox in sandboxes]
    assert [entry["until_dry"][0]["confirmed"] > 0 for entry in told] == [True, False]
    assert [len(entry["rounds"]) > 1 for entry in told] == [True, False]
    assert [entry["copies"]["by_category"]["benchmark"]["items"] > 0 for entry in told] == [True, False]
    audits = [sandbox.path("audit") for sandbox in sandboxes]
    sizes = [{path.name: path.stat().st_size for path in (audit / "case").iterdir()} for audit in audits]
    assert sizes[0] == sizes[1]
    assert max(sizes[0]) == "000004.age"
    for sandbox, out in zip(sandboxes, (walked.with_findings, walked.without), strict=True):
        assert (sandbox.path("audit") / "run.json").read_bytes() == (out / "audit" / "run.json").read_bytes()
        assert files_of(sandbox.path("audit") / "store") == files_of(out / "audit" / "store")
        assert [
            path for name in ("tmp", "home", "cwd") for path in sandbox.path(name).rglob("*") if path.is_file()
        ] == []
    keys = [Secret(f"key {number}", item.key.encode()) for number, item in enumerate(walked.items)]
    search = Search([*addresses(walked.items), *pictures(walked.items), *values(walked.matching, "matching"), *keys])
    folders = [sandbox.path("console") for sandbox in sandboxes] + [audit / "case" for audit in audits]
    assert not searched(search, folders)


def test_without_the_seal_the_search_would_find_addresses(walked, tmp_path, monkeypatch):
    from vetset.case import ledger

    monkeypatch.setenv("VETSET_HOME", str(walked.sandbox.path("vault")))
    monkeypatch.setattr(ledger, "seal", lambda plain, _: plain)
    audit(
        walked.sandbox.path("dataset"),
        lists=["known"],
        seal_to=[walked.sandbox.path("keys") / "custodian.pub"],
        out=tmp_path / "out",
        engine=LocalEngine(0),
    )
    found = Search(addresses(walked.items)).in_folder(tmp_path / "out")
    assert {name for name, _, _ in found} >= {f"address {number}" for number in MATCHED}


def test_a_plan_says_and_leaves_nothing_of_what_it_looked_at(walked, tmp_path):
    sandbox = Sandbox(tmp_path)
    damaged = tmp_path / "damaged"
    shutil.copytree(walked.sandbox.path("dataset"), damaged)
    tar = min(damaged.glob("*.tar"))
    tar.write_bytes(tar.read_bytes()[:5000])
    sandbox.must("plan", "plan", walked.sandbox.path("dataset"), "--workers", 2)
    sandbox.must("plan-json", "plan", damaged, "--workers", 1, "--json")
    every = [("sha256", hashlib.sha256(item.image).digest()) for item in walked.items]
    every += [("md5", hashlib.md5(item.image).digest()) for item in walked.items]
    every += [("url_md5", hashlib.md5(item.url.encode()).digest()) for item in walked.items]
    keys = [Secret(f"key {number}", item.key.encode()) for number, item in enumerate(walked.items)]
    search = Search([*addresses(walked.items), *pictures(walked.items), *values(every, "value"), *keys])
    assert not searched(search, [sandbox.path(name) for name in ("console", "tmp", "home", "cwd")])
    assert [path for name in ("tmp", "home", "cwd") for path in sandbox.path(name).rglob("*") if path.is_file()] == []


HEX = "00f1e2d3c4b5a69788796a5b4c3d2e1f"
BAD_LISTS = {
    "too short": ("list.txt", f"md5 {HEX[:-1]}\n"),
    "no kind": ("list.txt", f"{HEX}\n"),
    "unknown kind": ("list.txt", f"photo {HEX}\n"),
    "not hex": ("list.txt", f"md5 {HEX[:-1]}z\n"),
    "kind as value": ("list.txt", f"{HEX} md5\n"),
    "an address": ("list.txt", "https://planted.example/secret-token.jpg\n"),
    "a column too many": ("list.csv", f"id,md5\nx,{HEX},{HEX}\n"),
    "an unknown column": ("list.csv", f"id,{HEX}\nx,y\n"),
    "a quote that never ends": ("list.csv", f'id,md5\nx,"{HEX}\n'),
    "not text": ("list.txt", f"md5 {HEX}\n\udcff"),
}


@pytest.mark.parametrize(("name", "text"), BAD_LISTS.values(), ids=BAD_LISTS.keys())
def test_a_malformed_list_is_told_without_its_values(tmp_path, name, text):
    from vetset.hashlist.files.text import parse_list
    from vetset.model.errors import ListError

    (tmp_path / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ListError) as caught:
        parse_list(tmp_path / name)
    error = caught.value
    said = " ".join(str(part) for part in (error, repr(error), error.__cause__, error.__context__, vars(error)))
    search = Search([Secret("value", bytes.fromhex(HEX)), Secret("part", HEX[4:24].encode()),
                     Secret("address", b"secret-token")])  # fmt: skip
    assert not search.in_bytes(said.encode(), "error")


def test_errors_of_commands_repeat_no_value_and_no_address(walked, tmp_path):
    sandbox = Sandbox(tmp_path / "other")
    sandbox.root.mkdir()
    secret = walked.matching[0][1]
    (tmp_path / "bad.txt").write_text(f"md5 {secret.hex()}0\nmd5 {secret.hex()}\n")
    about = ("--name", "n", "--owner", "o", "--category", "benchmark", "--licence", "l")
    assert sandbox.run("bad-list", "lists", "add", tmp_path / "bad.txt", *about).returncode == 12
    dataset = tmp_path / "dataset"
    dataset.mkdir()
    for path in walked.sandbox.path("dataset").iterdir():
        data = path.read_bytes()
        (dataset / path.name).write_bytes(data[: len(data) * 2 // 3] if path.suffix == ".tar" else data)
    keys = walked.sandbox.path("keys")
    add_list(sandbox, "known", small_dataset.write_list(tmp_path / "good.txt", walked.matching))
    told = sandbox.run(
        "broken", "audit", dataset, "--list", "known", "--seal-to", keys / "custodian.pub", "--out", sandbox.path("out")
    )
    assert told.returncode == 30
    secrets = [*addresses(walked.items), *values(walked.matching, "matching")]
    folders = [sandbox.path(name) for name in ("console", "tmp", "home", "cwd")] + [sandbox.path("out") / "run.json"]
    assert not searched(Search(secrets), folders)
