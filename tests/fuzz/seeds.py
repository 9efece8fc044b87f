"""Writes the inputs that fuzzing starts from: `python tests/fuzz/seeds.py`. What lies in the corpus is left alone."""

import base64
import io
import json
import struct
import tarfile
from pathlib import Path

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
from fuzz_targets.fixed import PRIVATE
from fuzz_targets.lists import INFO, SECRET
from onnx import helper
from PIL import Image

from vetset.case.findings import PART, FindingsPart
from vetset.case.ledger import packed
from vetset.hashlist.files.text import parse_list
from vetset.hashlist.vault.packing import pack
from vetset.model.canonical import canonical_json
from vetset.seal.envelope import seal
from vetset.seal.padding import pad
from vetset.seal.signature import sign
from vetset.seal.statement import statement

CORPUS = Path(__file__).parent / "corpus"
MD5, SHA256 = "0123456789abcdef" * 2, "00112233445566778899aabbccddeeff" * 2
PHOTODNA = bytes(range(100, 244))
CODED = base64.b64encode(PHOTODNA).decode()
DOCUMENT = {"url": "https://pictures.example/1.jpg", "md5": MD5, "sha256": SHA256, "key": "000000001", "w": 64}


def _tar(members, form=tarfile.USTAR_FORMAT, mtime=0.0):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, data, kind in members:
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.type = len(data), mtime, kind
            archive.addfile(member, io.BytesIO(data))
    # One end block and a half are enough, and small inputs are found their way through sooner.
    return buffer.getvalue().rstrip(b"\0").ljust(-(-len(buffer.getvalue().rstrip(b"\0")) // 512) * 512 + 1024, b"\0")


def tars():
    file, link, folder = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE
    one = [("a.jpg", b"\xff\xd8x", file), ("a.json", json.dumps(DOCUMENT).encode(), file), ("b.png", b"y", file)]
    long = [("d" * 120 + "/" + "e" * 90 + ".jpg", b"x", file), ("a.txt", b"words", file)]
    yield "ustar", _tar(one)
    yield "prefix", _tar([("d" * 90 + "/" + "e" * 60 + ".jpg", b"x", file)])
    yield "pax", _tar(long, tarfile.PAX_FORMAT, 1.5)
    yield "gnu", _tar(long, tarfile.GNU_FORMAT)
    yield "others", _tar([("d", b"", folder), ("l", b"", link), ("dev", b"", tarfile.CHRTYPE), *one])
    yield "two-pictures", _tar([("a.jpg", b"1", file), ("a.png", b"2", file), ("a.json", b"{}", file)])
    yield "again", _tar([("a.jpg", b"1", file), ("b.jpg", b"2", file), ("a.jpg", b"3", file), ("a.jpg", b"4", file)])
    yield "empty", bytes(1024)


def _table(table, **settings):
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **settings)
    return sink.getvalue().to_pybytes()


def tables():
    rows = 5
    plain = {"url": [DOCUMENT["url"], None, "u", "v", "w"], "md5": [MD5, None, "no", MD5, MD5], "key": list("abcde")}
    typed = {
        "URL": pa.array(["u"] * rows).dictionary_encode(),
        "sha256": pa.array([bytes(32)] * rows, pa.binary(32)),
        "id": pa.array([1.0, 2.0, None, 4.5, float("nan")]),
        "list": pa.array([[1], None, [], [2, 3], [4]]),
        "struct": pa.array([{"a": number, "b": None} for number in range(rows)]),
        "map": pa.array([[("k", number)] for number in range(rows)], pa.map_("string", pa.int64())),
        "when": pa.array(range(rows), pa.timestamp("ns")),
    }
    status = {"status": ["success", "failed_to_download"], "error_message": [None, "HTTP 404"], "key": ["a", "b"]}
    yield "plain", _table(pa.table(plain), row_group_size=2)
    yield "typed", _table(pa.table(typed), compression="zstd")
    yield "status", _table(pa.table(status), use_dictionary=False, compression="none")
    yield "no-rows", _table(pa.table({"url": pa.array([], pa.string()), "key": pa.array([], pa.string())}))
    yield "checksums", _table(pa.table(plain), write_page_checksum=True, store_schema=False, compression="gzip")


def _stream(table, rows=2, **options):
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=rows)
    return sink.getvalue().to_pybytes()


def rows_with_pictures():
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    cells = [{"bytes": b"\xff\xd81", "path": "1.jpg"}, None, {"bytes": None, "path": DOCUMENT["url"]}, {"bytes": b""}]
    one = pa.table({"image": pa.array(cells, image), "id": [1, 2, 3, 4], "url": ["u", None, None, "v"]})
    features = {"info": {"features": {"scan": {"_type": "Image"}, "image": {"_type": "Image"}}}}
    several = pa.table({
        "views": pa.array([cells, [], None], pa.list_(image)),
        "pair": pa.array([None, cells[:2], cells[1:3]], pa.list_(image, 2)),
        "meta": pa.array([{"thumb": cells[0], "w": 1}, None, {"thumb": None, "w": None}],
                         pa.struct({"thumb": image, "w": pa.int8()})),
        "scan": pa.array([b"x", b"y", b"x"]).dictionary_encode(),
        "caption": pa.array(["a", "b", "a"]).dictionary_encode(),
        "when": pa.array([1, None, 3], pa.timestamp("ns")),
    }).replace_schema_metadata({b"huggingface": json.dumps(features)})  # fmt: skip
    yield "parquet-one", _table(one, row_group_size=3, store_schema=False)
    yield "parquet-several", _table(several, compression="zstd")
    yield "stream-one", _stream(one)
    yield "stream-several", _stream(several)
    yield "stream-compressed", _stream(one, compression="lz4")
    yield "stream-words", _stream(pa.table({"caption": ["a", "b"], "md5": [MD5, None]}))
    yield "stream-no-rows", _stream(one.slice(0, 0))


def features():
    image = {"_type": "Image"}
    shapes = {"image": image, "raw": image, "place": image, "many": [image], "number": {"_type": "Value"}}
    yield "usual", json.dumps({"info": {"features": shapes}, "fingerprint": "ab"}).encode()
    both = {"_type": "Sequence", "feature": {"image": image, "caption": {"_type": "Value"}}, "length": -1}
    others = {"image": {"_type": "Audio"}, "both": both, "many": {"_type": "List", "feature": image}}
    yield "others", json.dumps({"info": {"features": others}}).encode()
    yield "none", b'{"info": {"features": null, "splits": {}}}'


def companions():
    split = {"name": "train", "num_bytes": 7, "num_examples": 9, "dataset_name": "x"}
    test = {**split, "name": "test", "shard_lengths": [5, 4]}
    cache = {"splits": {"train": split, "test": test}, "download_checksums": {"u": {}}, "dataset_size": 7}
    yield "cache", json.dumps({**cache, "features": {}, "size_in_bytes": 9}).encode()
    yield "state", b'{"_data_files": [{"filename": "x"}], "_fingerprint": "0123456789abcdef", "_split": null}'
    yield "indices", b'{"_data_files": [], "_indices_data_files": [{"filename": "indices.arrow"}]}'


def documents():
    yield "usual", json.dumps(DOCUMENT).encode()
    yield "odd", b'{"URL": "x", "MD5": 7, "sha1": null, "sha256": "zz", "a": [1, {"b": 1e3}], "c": NaN, "d": true}'
    yield "twice", b'{"md5": "' + MD5.encode() + b'", "MD5": "x", "md5": ""}'
    yield "counts", b'{"count": 3, "successes": 2, "status_dict": {"success": 2}, "duration": 1.5}'
    yield "photodna", json.dumps({"photodna": CODED, "PhotoDNA2": PHOTODNA.hex()}).encode()
    yield "deep", b"[" * 2000 + b"]" * 2000
    yield "text", b'"\\ud800 \\u0000"'


def photodna_values():
    yield "forms", b"\n".join([PHOTODNA, CODED.encode(), PHOTODNA.hex().upper().encode()])
    yield "bad", b"\n".join([b"", CODED[:-1].encode() + b"=", CODED[:99].encode(), PHOTODNA.hex().encode()[:-1] + b"g"])


def folders():
    yield "sidecars", b"a.jpg=x\na.json={}\na.txt=words\na.jpg.txt=own\na.b.png=y\na.b.json=[]\nreadme=z"
    yield "stems", b"a.jpg=1\na.png=2\na.JPG=3\na..jpg=4\n.jpg=5\n.a.jpg=6\n\xff.jpg=7"


def arrays():
    for name, array in {
        "half": np.arange(6, dtype="<f2").reshape(3, 2),
        "single": np.arange(4, dtype="<f4").reshape(1, 4),
        "none": np.zeros((0, 2), "<f4"),
        "bytes": np.arange(6, dtype="i1").reshape(2, 3),
        "bfloat": np.arange(6, dtype="<u2").reshape(2, 3).view("V2"),
    }.items():
        buffer = io.BytesIO()
        np.save(buffer, array)
        yield name, buffer.getvalue().replace(b"|V2", b"<V2")
    header = b"{'descr': '<f2', 'fortran_order': False, 'shape': (1, 2), }".ljust(117) + b"\n"
    yield "second", b"\x93NUMPY\x02\x00" + struct.pack("<I", len(header)) + header + bytes(4)
    yield (
        "objects",
        b"\x93NUMPY\x01\x00"
        + struct.pack("<H", 60)
        + b"{'descr': '|O', 'fortran_order': False, 'shape': (1, 1), }  \n",
    )


def vectors_in_containers():
    def tensors(header, data, padding=0):
        text = json.dumps(header).encode() + b" " * padding
        return struct.pack("<Q", len(text)) + text + data

    emb = {"dtype": "F16", "shape": [3, 2], "data_offsets": [0, 12]}
    yield "one", tensors({"emb": emb}, bytes(range(12)), 3)
    ids = {"dtype": "I64", "shape": [3], "data_offsets": [12, 36]}
    yield "two", tensors({"__metadata__": {"model": "x"}, "ids": ids, "emb": emb}, bytes(range(36)))
    yield "bfloat", tensors({"e": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]}}, bytes(8))
    yield "none", tensors({}, b"")


def archives():
    for name, dtype in (("half", "<f2"), ("bytes", "i1")):
        buffer = io.BytesIO()
        np.savez(buffer, l14_img=np.arange(6).reshape(3, 2).astype(dtype), l14_txt=np.zeros((3, 4), "<f4"))
        yield name, buffer.getvalue()
    buffer = io.BytesIO()
    np.savez_compressed(buffer, emb=np.zeros((2, 2), "<f2"))
    yield "packed", buffer.getvalue()


def tables_of_vectors():
    halves = pa.array([[1.0, 2.0], None, [3.0, 4.0], [5.0, 6.0]], pa.list_(pa.float16()))
    table = pa.table({"key": list("abcd"), "emb": halves, "caption": pa.array(list("xyxy")).dictionary_encode()})
    yield "stream", _stream(table.select(["key", "emb"]))
    yield "stream-words", _stream(table)
    yield "stream-fixed", _stream(table.set_column(1, "emb", halves.cast(pa.list_(pa.float16(), 2))), compression="lz4")
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=3)
    yield "file", sink.getvalue().to_pybytes()


def texts():
    yield "kinds", f"# list\nmd5 {MD5}\nPDQ {SHA256}\n\nsha256 {SHA256}\r\n".encode()
    yield "bare", f"\ufeff{MD5}\n{MD5.upper()}".encode()
    yield "photodna", f"photodna {CODED}\nphotodna {PHOTODNA[::-1].hex()}\n".encode()
    yield "bad", f"md5 {MD5[:-1]}\nnokind {MD5}\nmd5 {MD5} x\n".encode()


def csvs():
    yield "columns", f"id,md5,sha256\none,{MD5},{SHA256}\ntwo,,{SHA256}\n".encode()
    yield "kind-value", f'kind;value;id\nmd5;"{MD5}";"a ""b"""\npdq;{SHA256};#2\n'.encode()
    yield "photodna", f"id,photodna\none,{CODED}\ntwo,{PHOTODNA[::-1].hex()}\n".encode()
    yield "value", f"value\tid\n{MD5}\tx\n".encode()
    yield "base32", f"id,sha1_base32\na,{'A2' * 16}\n".encode()


def tables_of_owners():
    yield from texts()
    yield from csvs()
    header = "id,md5,sha1,category,age,source,updated,grid,viral,sets,UK,deleted"
    rows = f'a,{MD5},,A1,7-10,h,2026-01-02,yes,,"US|CA",1,\nb,,,,,,2026-01-02T03:04:05Z,,,,,1\n'
    yield "remarks", f"{header}\n{rows}".encode()
    yield "quoted", f'"id","md5"\n"a","{MD5}"\n"b, c","{MD5[::-1]}"\n'.encode()
    yield "counted", f"kind,value\ntmk,x\nmd5,{MD5}\n".encode()
    yield "apart", f"id,md5\na,{MD5}\nb,{MD5}\na,{MD5}\n".encode()


def answers():
    space = "https://hashsharing.ncmec.org/hashsharing/v2"
    heading = '<member id="42">M</member><timestamp>2026-01-01T12:00:00Z</timestamp><id>i1</id>'
    members = '<members><member id="7">N</member></members>'
    feedback = (
        f'<feedback lastUpdateTimestamp="2026-01-02T00:00:00Z"><affirmativeFeedback type="Md5">{members}'
        f'</affirmativeFeedback><negativeFeedback type="Sha1"><reasons><reason name="r"/>{members}</reasons>'
        "</negativeFeedback></feedback>"
    )
    values = f'<md5>{MD5}</md5><pdq>{SHA256}</pdq><tmk-pdqf rel="self" href="/v2/x"/>'
    words = '<categorizations><group name="g"><categorization guid="g" name="Viral"/></group></categorizations>'
    one = f"<image>{heading}<classification>A1</classification><fingerprints>{values}</fingerprints>{words}{feedback}"
    place = "/v2/entries?from=2026-01-01T00%3A00%3A00.000Z&amp;to=2026-01-02T00%3A00%3A00.000Z&amp;start=2"
    for name, inside in {
        "usual": f'<images count="1" maxTimestamp="2026-01-01T12:00:00Z">{one}</image></images>',
        "deleted": f"<images><deletedImage>{heading}</deletedImage></images><videos><video><id>v</id></video></videos>",
        "paged": f"<images/><paging><next>{place}</next></paging>",
        "strange": f"<images>{one}<tags><tag>word</tag></tags></image></images><audios/>",
    }.items():
        yield name, f'<?xml version="1.0"?>\n<queryResult xmlns="{space}">{inside}</queryResult>'.encode()
    yield "bomb", b'<!DOCTYPE q [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><q>&b;</q>'


def pages():
    yield from answers()
    reason = '<reason guid="01234567-abcd-0123-4567-012345678900" name="r" type="Md5"/>'
    space = "https://hashsharing.ncmec.org/hashsharing/v2"
    yield "reasons", f'<r xmlns="{space}"><availableFeedbackReasons>{reason}</availableFeedbackReasons></r>'.encode()


def packings():
    for name, text in texts():
        if name == "kinds":
            path = CORPUS / "x.txt"
            path.write_bytes(text)
            yield name, b"".join(pack(INFO, parse_list(path), SECRET)[0])
            path.unlink()
    yield "nothing", b'{"columns":[],"format":"vetset-list","info":{"category":"other"},"version":3}\n'


def keys():
    yield "public", PRIVATE.public.to_bytes()
    yield "private", PRIVATE.to_bytes()
    vault = {"format": "vetset-vault-key", "version": 1, "identity": PRIVATE.identity, "secret": "22" * 32}
    yield "vault", json.dumps(vault).encode()


def envelopes():
    yield "short", seal(b"plain", [PRIVATE.public])
    yield "empty", seal(b"", [PRIVATE.public])


def paddings():
    yield "one", pad(b"x", 1)
    yield "floor", pad(b"payload", 64)


def dsses():
    yield "usual", sign("application/x", b"payload", PRIVATE)
    signature = base64.b64encode(bytes(64)).decode()
    yield (
        "two",
        json.dumps({"payload": "", "payloadType": "application/x", "signatures": [{"sig": signature}] * 2}).encode(),
    )


def statements():
    predicate = {"records": 3, "rate": 0.5, "sealed_result": base64.b64encode(b"x").decode()}
    yield "audit", statement({"a.tar": SHA256}, "urn:vetset:predicate:audit:v1", predicate)
    yield "other", statement({"a": SHA256, "b": SHA256}, "urn:other", {})


def orders():
    order = {
        "dataset": SHA256, "salt": "33" * 32, "tokens": [MD5, "f" * 32], "mapping": {"url": None, "key": "id"},
        "embeddings": "", "cover": False,
    }  # fmt: skip
    yield "usual", canonical_json(order)
    yield "least", canonical_json({"dataset": "", "salt": "", "tokens": []})


def manifests():
    shard = {"uri": "a.tar", "name": SHA256, "digest": SHA256, "records": 3, "part": SHA256}
    used = dict.fromkeys(("name", "owner", "category", "licence", "as_of", "purpose", "expires", "version"), "x")
    request = {
        "root": "/data", "format": "webdataset", "dataset_stamp": MD5, "mapping": {"url": None}, "policy": {},
        "lists": [used], "recipients": [{"name": "x", "recipient": "age1x", "fingerprint": MD5}], "embeddings": "",
        "embeddings_stamp": "", "embedder": "", "store": "/store",
    }  # fmt: skip
    coverage = {"md5": {"kind": "md5", "records": 3, "decided": 2, "undecided": {"null_value": 1}}}
    yield "usual", canonical_json({
        "request": request, "vetset": "0.1.0", "state": "sealed", "shards": [shard], "unclaimed": 1,
        "failed": [{"uri": "b.tar", "error": "DatasetError"}], "coverage": coverage, "format": "vetset-audit",
        "version": 1,
    })  # fmt: skip
    yield "least", canonical_json({"request": request, "vetset": "", "format": "vetset-audit", "version": 1})


def parts():
    content = PART.dump_python(FindingsPart((), (), (), (), (), "complete"), mode="json")
    document = {"number": 1, "previous": None, "content": content}
    yield "padded", packed(document, 64)
    yield "document", canonical_json(document)
    record = {"shard": SHA256, "row": 0, "key": "k"}
    verdict = {"record": record, "decision": "known", "verifier": "v", "tracking": ""}
    yield "verdicts", canonical_json({"content": {"part": "verdicts", "verifier": "v", "verdicts": [verdict]}})


def notes():
    yield "marker", canonical_json({"format": "vetset-store", "version": 1, "lifetime_days": 90})
    shard = {"uri": "a.tar", "digest": SHA256, "records": 3, "part": SHA256}
    yield "scan", canonical_json({
        "root": "/data", "format": "webdataset", "dataset_stamp": SHA256, "scan_policy": {}, "mapping": {"url": None},
        "embedder": "", "shards": [shard], "failed": {"b.tar": "DatasetError"},
    })  # fmt: skip


def pictures():
    ramp = np.arange(24 * 16 * 3, dtype=np.uint8).reshape(24, 16, 3)
    forms = {
        "jpeg": ("RGB", {"format": "JPEG"}), "cmyk": ("CMYK", {"format": "JPEG"}), "png": ("P", {"format": "PNG"}),
        "progressive": ("L", {"format": "JPEG", "progressive": True}), "gif": ("P", {"format": "GIF"}),
        "webp": ("RGBA", {"format": "WEBP", "lossless": True}), "avif": ("RGB", {"format": "AVIF"}),
        "tiff": ("RGB", {"format": "TIFF", "compression": "tiff_lzw"}), "bmp": ("RGB", {"format": "BMP"}),
        "jp2": ("L", {"format": "JPEG2000"}), "ppm": ("RGB", {"format": "PPM"}), "ico": ("RGBA", {"format": "ICO"}),
        "png16": ("I;16", {"format": "PNG"}),
    }  # fmt: skip
    for name, (mode, settings) in forms.items():
        picture = Image.fromarray(ramp)
        buffer = io.BytesIO()
        (picture.convert("L").convert("I").convert(mode) if mode == "I;16" else picture.convert(mode)).save(
            buffer, **settings
        )
        yield name, buffer.getvalue()
    yield from heifs()


def heifs():
    folder = CORPUS.parents[1] / "fixtures" / "heif"
    for name in ("odd-sides", "grid", "alpha-premultiplied", "collection", "turned-5"):
        yield f"heif-{name}", (folder / f"{name}.heic").read_bytes()


def boxes():
    """The same, most of them cut behind the boxes, so that damage falls on these."""
    for name, data in heifs():
        yield name, data if name == "heif-odd-sides" else data[: data.index(b"mdat") + 64]


def descriptions():
    usual = {
        "version": 1, "input": "x", "output": "y", "dimension": 8, "size": 8, "resize": "squash", "filter": "bilinear",
        "layout": "NCHW", "dtype": "float32", "scale": 0.004, "mean": [0.5, 0.5, 0.5], "std": [1, 1, 1],
    }  # fmt: skip
    yield "usual", json.dumps(usual).encode()
    yield "crop", json.dumps({**usual, "resize": "shortest_centre_crop", "dtype": "float16", "sha256": SHA256}).encode()


def graphs():
    weights = helper.make_tensor("w", onnx.TensorProto.FLOAT, [2], [1.0, 2.0])
    outside = onnx.TensorProto(name="o", data_type=onnx.TensorProto.FLOAT, dims=[2])
    outside.data_location = onnx.TensorProto.EXTERNAL
    outside.external_data.add(key="location", value="w.bin")
    for name, constant in (("usual", weights), ("outside", outside)):
        branch = helper.make_graph([helper.make_node("Constant", [], ["c"], value=constant)], "b", [], [])
        function = helper.make_function("own", "f", ["a"], [], [helper.make_node("Abs", ["a"], ["b"])], [])
        nodes = [
            helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch),
            helper.make_node("f", ["y"], ["z"], domain="own"),
        ]
        graph = helper.make_graph(nodes, "g", [], [], [weights])
        yield name, helper.make_model(graph, functions=[function]).SerializeToString()


def policies():
    yield (
        "some",
        b'version = 1\n[scan]\nkinds = ["md5", "sha256", "pdq"]\n[match]\npdq_radius = 20\nconfirm_distance = 5\n',
    )
    yield "numbers", b"[expand]\nfalse_candidate_rate = 1e-4\nmin_similarity = -0.5\n[seal]\nbytes_per_record = 0.25\n"
    yield "none", b""


def stopncii():
    entry = {
        "lastModtimestamp": 1625167804, "hashValue": SHA256, "hashStatus": "Received", "signalType": "ImagePDQ",
        "caseNumbers": {"a": "Received", "b": "Withdrawn"},
        "CSPFeedbacks": [{"source": "A", "feedbackValue": "Blocked", "tags": ["Nude"]}],
    }  # fmt: skip
    gone = {**entry, "hashStatus": "Deleted", "hashValue": "f" * 64}
    page = {
        "count": 2,
        "nextPageToken": "x",
        "nextSetTimestamp": 9,
        "hasMoreRecords": False,
        "hashRecords": [entry, gone],
    }
    yield "page", json.dumps(page).encode()
    yield "list", json.dumps([entry, {**entry, "signalType": "VideoMD5", "hashValue": MD5}, gone]).encode()
    yield "lines", b"\n".join(json.dumps(each).encode() for each in (entry, gone))


def techagainst():
    entry = {
        "id": 7, "hash_digest": SHA256, "algorithm": "PDQ", "ideology": "islamist", "file_type": "jpg",
        "deleted": False, "updated_on": 1704901040.25, "created_on": "2025-03-03T23:05:22.587",
    }  # fmt: skip
    others = [
        {**entry, "id": 8, "algorithm": "MD5", "hash_digest": MD5}, {**entry, "id": 9, "deleted": True},
        {**entry, "id": 10, "algorithm": "MD5", "file_type": "mp4"}, {**entry, "id": 11, "algorithm": "TMK"},
    ]  # fmt: skip
    yield "page", json.dumps({"count": 1, "next": None, "checkpoint": "1704901040.25,7", "results": [entry]}).encode()
    yield "list", json.dumps([entry, *others], indent=1).encode()
    yield "lines", b"\n".join(json.dumps(each).encode() for each in (entry, *others))


def updates():
    said = {"id": "5", "owner": {"id": "1"}, "status": "MALICIOUS", "tags": ["a", "b"], "added_on": "2020"}
    reacted = {**said, "id": "6", "owner": {"id": "2"}, "reactions": [{"key": "HELPFUL", "value": "3,4"}]}
    entry = {"id": "7", "indicator": SHA256, "type": "HASH_PDQ", "last_updated": 1582372222, "should_delete": False}
    full = {**entry, "descriptors": {"data": [said, {**reacted, "tags": {"data": [{"text": "media_type_video"}]}}]}}
    short = {**entry, "id": "8", "status": "NON_MALICIOUS", "tags": ["a"], "last_updated": "2020-07-02T21:08:31+0000"}
    gone = {**entry, "id": "9", "should_delete": True}
    yield "page", json.dumps({"data": [full, short, gone], "paging": {"cursors": {}}}).encode()
    yield "lines", b"\n".join(json.dumps(each).encode() for each in (full, short, gone))


def signals():
    yield "types", f"pdq {SHA256}\n# list\n\nvideo_md5 {MD5}\nmd5 {MD5.upper()}\r\nurl https://a.example b\n".encode()
    yield "bare", f"{SHA256}\n{SHA256[::-1]}".encode()
    yield "bad", f"pdq {MD5}\nnotype {MD5}\n{MD5} pdq\n".encode()


SEEDS = {
    "tar_walk": tars, "tar_samples": tars, "parquet_table": tables, "table_beside": tables, "json_fields": documents,
    "folder_sidecars": folders, "npy_header": arrays, "list_text": texts, "list_table": csvs,
    "list_ways": tables_of_owners, "list_packing": packings,
    "key_files": keys, "envelope": envelopes, "padding": paddings, "dsse": dsses, "statement": statements,
    "removal_order": orders, "manifest": manifests, "sealed_part": parts, "store_note": notes, "picture": pictures,
    "graph_description": descriptions, "graph_file": graphs, "policy_file": policies, "strict_document": documents,
    "heif_boxes": boxes, "safetensors_header": vectors_in_containers, "npz_arrays": archives,
    "arrow_vectors": tables_of_vectors,
    "list_stopncii": stopncii, "list_techagainst": techagainst, "list_updates": updates, "list_signals": signals,
    "ncmec_entries": answers, "ncmec_page": pages,
    "photodna_values": photodna_values, "hf_rows": rows_with_pictures, "hf_features": features, "hf_info": companions,
}  # fmt: skip

if __name__ == "__main__":
    for target, made in SEEDS.items():
        (CORPUS / target).mkdir(parents=True, exist_ok=True)
        for name, data in made():
            path = CORPUS / target / f"seed-{name}"
            if not path.exists():
                path.write_bytes(data)
