"""NCMEC's answers: what is read of them, what is counted, what is refused. All values are made up."""

import base64
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from importer_contract import ImporterContract, rows_of

from vetset.hashlist.bank import Bank
from vetset.hashlist.deliveries import Change
from vetset.hashlist.opinions import Note
from vetset.hashlist.owners.ncmec.entries import NAMESPACE, EntriesReader, entries
from vetset.hashlist.owners.ncmec.environments import ENVIRONMENTS, environment
from vetset.hashlist.owners.ncmec.fingerprints import KIND_OF_TYPE, entry_id, raw
from vetset.model.errors import ListError, UsageError
from vetset.model.hashlist import Category
from vetset.model.signal import Kind

MD5, SHA1, PDQ = "ab" * 16, "cd" * 20, "0f" * 32
PDNA = base64.b64encode(bytes(range(144))).decode()
NEXT = "/v2/entries?from=2026-01-01T00%3A00%3A00.000Z&amp;to=2026-01-02T00%3A00%3A00.000Z&amp;start=1001"
WHEN = datetime(2026, 1, 1, 12, tzinfo=UTC)

SECRET = bytes(range(32))


def document(inside, attributes=f'xmlns="{NAMESPACE}"'):
    head = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
    return f"{head}<queryResult {attributes}>\n{inside}\n</queryResult>".encode()


def images(*entries):
    return f'<images count="{len(entries)}" maxTimestamp="2026-01-01T12:00:00Z">{"".join(entries)}</images>'


def image(fingerprints, extra="", *, member="42", identity="image1", when="2026-01-01T12:00:00Z", word="A1"):
    return f"""<image>
        <member id="{member}">Secretive Member</member>
        <timestamp>{when}</timestamp>
        <id>{identity}</id>
        <classification>{word}</classification>
        <fingerprints>{fingerprints}</fingerprints>{extra}
    </image>"""


def row(kind, value, entry="42-image1", **others):
    cells = {
        "entry": entry, "kind": kind, "value": bytes.fromhex(value) if value else None, "member": "42",
        "category": "A1", "updated": WHEN, "notes": 0, "sets": "", "quality": None, "agree": 0, "dispute": 0,
        "withdrawn": False,
    }  # fmt: skip
    return cells | others


def gone(entry="42-image1", **others):
    return row(None, None, entry, category="", withdrawn=True, **others)


FEEDBACK = """<feedback lastUpdateTimestamp="2026-01-02T00:00:00Z">
  <affirmativeFeedback type="Md5" lastUpdateTimestamp="2026-01-02T00:00:00Z">
    <members timestamp="2026-01-02T00:00:00Z"><member id="42">A</member><member id="7">B</member></members>
  </affirmativeFeedback>
  <negativeFeedback type="Sha1" lastUpdateTimestamp="2026-01-01T00:00:00Z">
    <reasons>
      <reason guid="01234567-abcd-0123-4567-012345678900" name="Secretive Reason" type="Sha1"/>
      <members timestamp="2026-01-01T00:00:00Z"><member id="8">B</member><member id="9">C</member></members>
      <reason guid="01234567-abcd-0123-4567-012345678901" name="Secretive Reason 2" type="Sha1"/>
      <members timestamp="2026-01-01T00:00:00Z"><member id="9">C</member></members>
    </reasons>
  </negativeFeedback>
  <negativeFeedback type="TMK_PDQF"><reasons><members><member id="3">D</member></members></reasons></negativeFeedback>
</feedback>"""
CATEGORIZATIONS = """<categorizations>
  <group name="Context" allowMultiple="true">
    <categorization guid="01234577-abcd-0123-4567-012345678911" name="Potential Meme"/>
    <categorization guid="01234577-abcd-0123-4567-012345678915" name="Secretive Context"/>
  </group>
  <categorization guid="01234567-abcd-0123-4567-012345678902" name="Unconfirmed Child Sexual Abuse Material"/>
</categorizations>"""
WHOLE = document(
    images(
        image(f"<md5>{MD5}</md5><sha1>{SHA1.upper()}</sha1><pdq>\n{PDQ} </pdq>", FEEDBACK + CATEGORIZATIONS),
        "<deletedImage><member id='43'/><id>image4</id><timestamp>2026-01-01T12:00:00Z</timestamp></deletedImage>",
    )
    + f"""<videos count="1" maxTimestamp="2026-01-01T13:00:00Z"><video><member id="42">M</member><id>v</id>
    <fingerprints><md5>{MD5}</md5></fingerprints></video></videos><paging><next>{NEXT}</next></paging>"""
)
WHOLE_ROWS = [
    row("md5", MD5, updated=datetime(2026, 1, 2, tzinfo=UTC), notes=6, agree=1),
    row("sha1", SHA1, updated=datetime(2026, 1, 2, tzinfo=UTC), notes=6, dispute=2),
    row("pdq", PDQ, updated=datetime(2026, 1, 2, tzinfo=UTC), notes=6),
    gone("43-image4", member="43"),
]


def read(data, **options):
    reader = EntriesReader("a test", SECRET, **options)
    batches = [*reader.feed(data), *reader.close()]
    return rows_of(batches), reader.told


def refusal(data, **options):
    with pytest.raises(ListError) as caught:
        read(data, **options)
    return str(caught.value)


class TestNcmec(ImporterContract):
    suffix = ".xml"
    secrets = (MD5, SHA1, SHA1.upper(), PDQ, "Secretive", "A1", "start=1001", "/v2/", PDNA[:20], "sekrit", "classified")

    def importer(self, path):
        return entries(path, SECRET)

    def documents(self):
        return {
            "whole": (WHOLE, WHOLE_ROWS),
            "nothing": (document('<images count="0"/>'), []),
            "plain": (document(images(image(f"<md5>{MD5}</md5>"))), [row("md5", MD5)]),
        }

    def refused(self):
        one = f"<md5>{MD5}</md5>"
        bomb = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10 if n else "sekrit"}">' for n in range(9))
        good = document(images(image(one)))
        return {
            "another": b"<?xml version='1.0'?><sekrit/>",
            "no namespace": document(images(image(one)), ""),
            "another namespace": document(images(image(one)), 'xmlns="https://example.org/sekrit"'),
            "doctype": good.replace(b"<queryResult", b"<!DOCTYPE queryResult><queryResult"),
            "billion laughs": good.replace(b"<queryResult", f"<!DOCTYPE q [{bomb}]><queryResult".encode(), 1),
            "external": good.replace(
                b"<queryResult", b'<!DOCTYPE q [<!ENTITY x SYSTEM "file:///etc/sekrit">]><queryResult', 1
            ),
            "undefined entity": document(images(image("<md5>&sekrit;</md5>"))),
            "latin": good.replace(b"Secretive", b"S\xe9cretive"),
            "another encoding": good.replace(b"UTF-8", b"ISO-8859-1"),
            "short": document(images(image(f"<md5>{MD5[:-1]}</md5>"))),
            "long": document(images(image(f"<md5>{MD5}0</md5>"))),
            "no digits": document(images(image(f"<pdq>{PDQ[:-1]}g</pdq>"))),
            "spaces in digits": document(images(image(f"<md5>{MD5[:15]} {MD5[:16]}</md5>"))),
            "no member": good.replace(b'<member id="42">Secretive Member</member>', b""),
            "member no number": document(images(image(one, member="sekrit"))),
            "two ids": document(images(image(one, "<id>sekrit</id>"))),
            "no id": document(images(image(one, identity=""))),
            "no time": good.replace(b"<timestamp>2026-01-01T12:00:00Z</timestamp>", b""),
            "local time": document(images(image(one, when="2026-01-01T12:00:00"))),
            "time": document(images(image(one, when="classified"))),
            "max time": good.replace(b'maxTimestamp="2026-01-01T12:00:00Z"', b'maxTimestamp="sekrit"'),
            "text beside": document(images(image(f"{one} sekrit {one}"))),
            "text behind": document(images(image(f"{one} sekrit"))),
            "unknown with value": document(images(image(one, f"<b2>{SHA1}</b2>"))),
            "unknown with attribute": document(images(image(one, f'<b2><c x="{PDQ}"/></b2>'))),
            "unknown section": document(f"<audios><audio>{MD5}</audio></audios>"),
            "unknown with base64": document(images(image(one, f"<b2>{PDNA}</b2>"))),
            "name is a value": document(images(image(one, f"<a{MD5}>{MD5}</a{MD5}>"))),
            "deep": document("<x>" * 40 + "</x>" * 40),
            "long text": document(images(image(one, identity="sekrit" * 20000))),
            "long word": document(images(image(one, word="classified" * 50))),
            "long tag": document(images(image(one, f'<x y="{"sekrit " * 300000}"/>'))),
            "many fingerprints": document(images(image(one * 2000))),
            "two next": document("<paging><next>/v2/a</next><next>/v2/b</next></paging>"),
            "two documents": good + good,
        }

    def many(self, values):
        yield document("").removesuffix(b"\n</queryResult>")
        yield b'<images count="1" maxTimestamp="2026-01-01T12:00:00Z">'
        for number in range(values // 2):
            yield image(f"<md5>{number:032x}</md5><sha1>{number:040x}</sha1>", identity=f"i{number}").encode()
        yield b"</images></queryResult>"


def test_what_is_not_kept_is_counted():
    others = '<netclean>abc</netclean><tmk-pdqf rel="self" href="/v2/x"/><ssvh_pdna href="/v2/x"/><newest>?</newest>'
    inside = image(f"<md5>{MD5}</md5>{others}", "<tags><tag>word</tag></tags>" + CATEGORIZATIONS)
    rows, told = read(document(images(inside, image("<videntifier/>", identity="i2"))))
    assert rows == [row("md5", MD5, notes=6), gone("42-i2")]
    assert told.numbers() == {
        "standing": 1, "without a value that is matched": 1, "categorizations": 1, "element tags": 1,
        "unsupported netclean": 1, "unsupported tmk_pdqf": 1, "unsupported ssvh_pdna": 1,
        "unsupported newest": 1, "unsupported videntifier": 1,
    }  # fmt: skip


def test_pages_tell_where_the_next_one_is_and_how_late_it_is():
    _, told = read(WHOLE)
    assert told.next == NEXT.replace("&amp;", "&")
    assert told.latest == datetime(2026, 1, 1, 13, tzinfo=UTC)
    assert told.numbers() == {"standing": 1, "withdrawn": 1, "videos": 1, "categorizations": 1}
    assert "/v2/" not in repr(told)


def test_photodna_is_taken():
    rows, _ = read(document(images(image(f"<pdna>{PDNA}</pdna>"))))
    assert rows == [row("photodna", bytes(range(144)).hex())]


def test_photodna_is_written_in_either_way():
    assert raw(PDNA, 144) == raw(bytes(range(144)).hex(), 144) == bytes(range(144))
    assert raw(PDNA[:-1] + "=", 144) is None
    assert raw("!" * 192, 144) is None


def test_malformed_fingerprints_name_their_entries_and_some_may_be_forgiven():
    bad = [image(f"<md5>{MD5}</md5><sha1>{SHA1[:-2]}</sha1>", identity=f"i{number}") for number in range(12)]
    told = refusal(document(images(*bad)))
    assert all(f"entry 42-i{number};" in told for number in range(10))
    assert "42-i10" not in told
    rows, read_ = read(document(images(*bad[:2])), malformed=2)
    assert [each for each in rows if not each["withdrawn"]] == [row("md5", MD5, "42-i0"), row("md5", MD5, "42-i1")]
    assert read_.malformed == 2
    assert "malformed" in refusal(document(images(*bad[:3])), malformed=2)


def test_an_entry_none_of_whose_values_can_be_read_is_not_taken_back():
    (found,), told = read(document(images(image(f"<md5>{MD5[:-2]}</md5>"))), malformed=1)
    assert (found["withdrawn"], found["notes"]) == (True, int(Note.UNREAD))
    assert (told.malformed, told.empty, told.standing) == (1, 0, 0)


def test_a_kind_that_cannot_be_read_of_an_entry_that_stands_is_named():
    found, _ = read(document(images(image(f"<md5>{MD5}</md5><sha1>{SHA1[:-2]}</sha1><sha1>zz</sha1>"))), malformed=2)
    unread = {"kind": "sha1", "value": None, "withdrawn": True, "notes": int(Note.UNREAD)}
    (told,) = (each for each in found if each["withdrawn"])
    assert {name: told[name] for name in unread} == unread
    assert [each["kind"] for each in found if not each["withdrawn"]] == ["md5"]


@pytest.mark.parametrize("full", [False, True])
def test_a_value_stays_where_its_entry_comes_again_with_that_kind_malformed(full):
    def answer(fingerprints, minute):
        reader = EntriesReader("a test", SECRET, malformed=10)
        whole = images(image(fingerprints, when=f"2026-01-01T12:{minute:02}:00Z"))
        return [*reader.feed(document(whole)), *reader.close()]

    def values(bank):
        return {kind.value: column.values.tobytes().hex() for kind, column in bank.entries().entries.items()}

    bank, _ = Bank.empty().apply(answer(f"<md5>{MD5}</md5><sha1>{SHA1}</sha1><pdq>{PDQ}</pdq>", 0), full=True)
    other = MD5[::-1]
    bank, change = bank.apply(answer(f"<md5>{other}</md5><sha1>{SHA1[:-2]}</sha1>", 1), full=full)
    assert values(bank) == {"md5": other, "sha1": SHA1}  # its owner speaks of no PDQ any more
    assert change == Change(changed=1)
    again, change = bank.apply(answer(f"<md5>{other}</md5><sha1>{SHA1[:-2]}</sha1>", 1), full=full)
    assert (values(again), change) == (values(bank), Change(unchanged=1))
    bank, _ = bank.apply(answer(f"<md5>{other}</md5>", 2), full=full)
    assert values(bank) == {"md5": other}


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "2026-01-01T00:00:00"])
def test_times_beyond_all_days_are_refused(text):
    assert "a time is not usable" in refusal(document(f'<images maxTimestamp="{text}"></images>'))


def test_ids_that_cannot_be_shown_have_another_name():
    plain = "42-image 1/ä"
    assert entry_id(SECRET, "42", "0123456789") == "42-0123456789"
    for own in (MD5, f"x{SHA1}", "ä", "a" * 100, "~" + "a" * 24, "a\tb", plain):
        name = entry_id(SECRET, "42", own)
        assert name.startswith("42-~")
        assert len(name) == 4 + 24
        assert own not in name
        assert entry_id(SECRET, "42", own) == name
        assert entry_id(SECRET, "43", own)[3:] != name[3:]
    rows, _ = read(document(images(image(f"<md5>{MD5}</md5>", identity=MD5))))
    assert rows[0]["entry"] == entry_id(SECRET, "42", MD5)
    assert MD5 not in refusal(document(images(image("<md5>zz</md5>", identity=MD5))))


def test_notes_of_the_whole_environment_are_on_every_entry():
    rows, _ = read(document(images(image(f"<md5>{MD5}</md5>"))), notes=Note.GENERATED)
    assert rows[0]["notes"] == Note.GENERATED


def test_values_stand_where_the_kinds_are():
    assert KIND_OF_TYPE["md5"] is Kind.MD5
    assert KIND_OF_TYPE["sha1"] is Kind.SHA1
    assert KIND_OF_TYPE["pdq"] is Kind.PDQ
    assert KIND_OF_TYPE["pdna"] is Kind.PHOTODNA


def test_prefixes_comments_and_sections_of_text_change_nothing():
    plain = images(image(f"<md5>{MD5}</md5>"))
    prefixed = plain.replace("</", "<\0").replace("<", "<n:").replace("<n:\0", "</n:")
    head = '<?xml version="1.0"?><n:queryResult xmlns:n="%s">%s</n:queryResult>'
    assert read((head % (NAMESPACE, prefixed)).encode())[0] == [row("md5", MD5)]
    odd = plain.replace(MD5, f"<!-- x --><![CDATA[{MD5[:9]}]]>{MD5[9:]}")
    assert read(document(odd))[0] == [row("md5", MD5)]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(1, 400), max_size=12))
def test_pieces_do_not_matter(cuts):
    reader, batches, at = EntriesReader("a test", SECRET), [], 0
    for size in [*cuts, len(WHOLE)]:
        batches += reader.feed(WHOLE[at : at + size])
        at += size
    assert rows_of([*batches, *reader.close()]) == WHOLE_ROWS


fingerprint = st.sampled_from([("md5", 16), ("sha1", 20), ("pdq", 32)]).flatmap(
    lambda kind: st.tuples(st.just(kind[0]), st.binary(min_size=kind[1], max_size=kind[1]))
)
entry = st.tuples(
    st.integers(0, 3), st.text("abcxyz-0", min_size=1, max_size=8), st.datetimes(timezones=st.just(UTC)),
    st.lists(fingerprint, max_size=4), st.lists(st.tuples(st.booleans(), st.integers(0, 4)), max_size=4), st.booleans(),
)  # fmt: skip


def tree_of(drawn):
    """The document of some entries by another library."""
    root = ET.Element("queryResult", xmlns=NAMESPACE)
    section = ET.SubElement(root, "images", count=str(len(drawn)))
    for member, own, when, values, votes, stands in drawn:
        element = ET.SubElement(section, "image" if stands else "deletedImage")
        ET.SubElement(element, "id").text = own
        ET.SubElement(element, "member", id=str(member)).text = "M"
        ET.SubElement(element, "timestamp").text = when.isoformat()
        if stands:
            fingerprints = ET.SubElement(element, "fingerprints")
            for name, value in values:
                ET.SubElement(fingerprints, name).text = value.hex()
            feedback = ET.SubElement(element, "feedback")
            for up, voter in votes:
                side = ET.SubElement(feedback, "affirmativeFeedback" if up else "negativeFeedback", type="Md5")
                place = side if up else ET.SubElement(side, "reasons")
                ET.SubElement(ET.SubElement(place, "members"), "member", id=str(voter))
    return ET.tostring(root)


@settings(deadline=None, max_examples=100)
@given(st.lists(entry, max_size=8))
def test_what_is_written_is_read(drawn):
    rows, told = read(tree_of(drawn))
    wanted = []
    for member, own, when, values, votes, stands in drawn:
        same = {"entry": f"{member}-{own}", "member": str(member), "updated": when.replace(microsecond=0)}
        if not stands or not values:
            wanted.append(gone(**same))
            continue
        for name, value in values:
            md5 = name == "md5"
            up = len({voter for agrees, voter in votes if agrees and voter != member}) if md5 else 0
            down = len({voter for agrees, voter in votes if not agrees}) if md5 else 0
            wanted.append(row(name, value.hex(), category="", agree=up, dispute=down, **same))
    assert rows == wanted
    assert told.standing + told.empty + told.withdrawn == len(drawn)


def test_the_environments_and_their_twins():
    assert len(ENVIRONMENTS) == 14
    assert len({each.base for each in ENVIRONMENTS.values()}) == 14
    for name, each in ENVIRONMENTS.items():
        assert each.base.startswith("https://")
        assert (each.category is Category.EXPLOITATIVE) == ("Exploitative" in name)
        assert each.test == name.startswith("test_")
        assert each.generated == ("Generative" in name)
        assert environment(name) is each
    with pytest.raises(UsageError, match="NGO"):
        environment("ngo")
