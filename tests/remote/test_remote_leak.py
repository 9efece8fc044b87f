"""Keys of the environment and of addresses appear in nothing that is printed or written, whatever goes wrong."""

import sys
from pathlib import Path

import loopback
import pytest

sys.path.append(str(Path(__file__).parents[1] / "leak"))

from leak_search import Search, Secret
from loopback import KEY, SECRET

import small
import vetset
from vetset.cli.app import main
from vetset.engine.local import LocalEngine

TOKEN = "hf_plantedTokenPlantedToken"  # noqa: S105  planted
SIGNED = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
SEARCH = Search(
    [
        Secret("access key", KEY.encode()),
        Secret("secret key", SECRET.encode()),
        Secret("token", TOKEN.encode()),
        Secret("signature", SIGNED.encode()),
    ]
)
PLANS = {
    "nothing": loopback.first_times(""),
    "errors": loopback.first_times("error 500", times=1000, ending=".tar"),
    "denied": loopback.first_times("error 403", times=1000),
    "gone": loopback.first_times("error 404", times=1000, ending=".tar"),
    "dropped": loopback.first_times("drop", times=1000, ending=".tar"),
}


@pytest.fixture
def command(monkeypatch, capfd, tmp_path, caplog):
    """Run a command line in this process; all that it says, information in logs included."""
    caplog.set_level("INFO")
    monkeypatch.setenv("VETSET_HOME", str(tmp_path / "home"))
    begin = LocalEngine.__init__
    monkeypatch.setattr(LocalEngine, "__init__", lambda self, _workers=None, **_limits: begin(self, 0))

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["vetset", *map(str, arguments)])
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        else:
            code = 0
        told = capfd.readouterr()
        return code, told.out + told.err + caplog.text

    return run


@pytest.mark.parametrize("plan", PLANS)
def test_keys_of_the_environment_are_written_nowhere(roots, bucket, command, tmp_path, plan):
    address = bucket.upload(roots / "webdataset")
    bucket.plan(PLANS[plan])
    code, told = command("scan", address, "--store", tmp_path / "out" / "store")
    assert (code == 0) == (plan == "nothing"), told
    (tmp_path / "out").mkdir(exist_ok=True)
    (tmp_path / "out" / "console").write_text(told)
    assert not SEARCH.in_folder(tmp_path / "out")
    for name in ("000000000", "of-the-dataset", "secret place"):
        assert name not in told


@pytest.mark.parametrize("plan", PLANS)
def test_a_token_of_the_hub_is_written_nowhere(roots, on_the_hub, command, tmp_path, plan):
    site = on_the_hub(roots / "folder")
    site.faults.plan = lambda method, path, before: (
        PLANS[plan](method, path.replace(".jpg", ".tar"), before) if "/resolve/" in path else ""
    )
    code, told = command("scan", f"hf://datasets/{site.name}/data", "--store", tmp_path / "out" / "store")
    assert (code == 0) == (plan == "nothing"), told
    (tmp_path / "out" / "console").write_text(told)
    assert not SEARCH.in_folder(tmp_path / "out")
    assert "000000" not in told


@pytest.mark.parametrize(
    "address",
    [
        f"https://host.example/a.tar?X-Amz-Signature={SIGNED}",
        f"https://user:{SIGNED}@host.example/a.tar",
        f"s3://user:{SIGNED}@bucket/a",
    ],
)
def test_what_an_address_should_not_hold_is_not_repeated(command, tmp_path, custodian, address):
    code, told = command("scan", address, "--store", tmp_path / "store")
    assert code == 2
    assert SIGNED not in told
    with pytest.raises(vetset.errors.UsageError) as caught:
        vetset.audit(address, lists=[small.known()], seal_to=[custodian.public], out=tmp_path / "audit")
    assert SIGNED not in str(caught.value)
    assert not (tmp_path / "audit").exists()
