# SPDX-License-Identifier: Apache-2.0
"""The commands of distribution, in this process: what they print, their objects, exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from pyhash import errors
from pyhash.cli.group import run
from pyhash.credentials import MAX_CREDENTIAL_BYTES, dump_credential, load_credential, load_secret
from pyhash.store import embedded
from pyhash.store.embedded import EmbeddedStore, running_store
from tests.distribution._release import BIG, Release, content_of, flip


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str]) -> Any:
    """Run a command line; its exit code, and what it printed."""

    def called(*arguments: object) -> tuple[int, str, str]:
        code = run([str(one) for one in arguments])
        out, err = capfd.readouterr()
        return code, out, err

    return called


@pytest.fixture
def in_json(call: Any) -> Any:
    """Run a command line; its exit code and its object."""

    def called(*arguments: object) -> tuple[int, dict[str, Any]]:
        code, out, _ = call(*arguments, "--format", "json")
        found = json.loads(out)
        assert found["exit_code"] == code
        return code, found

    return called


def test_push_and_pull(call: Any, in_json: Any, release: Release, tmp_path: Path) -> None:
    home, out = tmp_path / "home", tmp_path / "out"
    key = ("--key", release.public)
    code, text, _ = call("push", release.model, home, *key, "--dry-run")
    assert code == 0
    assert BIG in text.splitlines()
    assert "would store" in text
    code, found = in_json("push", release.model, home, *key)
    assert (code, found["bytes"], found["was_there"]) == (0, release.size, False)
    assert found["root"] == f"pyhash-v1:{release.root.hex()}"
    code, text, _ = call("pull", home, out, *key, "--limit-rate", "1G", "--connections", 2)
    assert code == 0
    assert "all of it" in text
    assert content_of(out, release) == release.content
    code, found = in_json("pull", home, tmp_path / "o2", *key, "--only", "config.json")
    assert (code, found["partial"], found["files"]) == (0, True, 1)
    code, found = in_json("pull", home, out, *key)
    assert (code, found["result"]) == (2, "usage")


def test_pull_says_what_was_bad(
    call: Any, in_json: Any, own_release: Release, release: Release, tmp_path: Path
) -> None:
    flip(own_release.model / BIG, 1)
    key = ("--key", release.public)
    code, found = in_json("pull", own_release.model, tmp_path / "out", *key)
    assert (code, found["result"]) == (1, "refused")
    assert found["findings"][0]["path"] == BIG
    code, text, _ = call(
        "pull", own_release.model, tmp_path / "out", *key, "--mirror", release.model
    )
    assert code == 0
    assert f"bad        {BIG} [0, 1048576) from {own_release.model}" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--limit-rate", "fast"), "is no rate"),
        (("--limit-rate", "0M"), "is no rate"),
        (("--tuf-root", "x"), "go together"),
        (("--tuf-state", "x"), "go together"),
        (("--release", "x"), "not a checkpoint root"),
    ],
)
def test_pull_usage(
    call: Any, release: Release, tmp_path: Path, arguments: tuple[str, str], message: str
) -> None:
    code, _, err = call(
        "pull", release.model, tmp_path / "out", "--key", release.public, *arguments
    )
    assert code == 2
    assert message in err


def test_tuf_commands(call: Any, own_release: Release, tmp_path: Path) -> None:
    home, keys, root = tmp_path / "home", tmp_path / "keys", tmp_path / "root.json"
    key = ("--key", own_release.public)
    assert call("store", "tuf-init", home, keys, root)[0] == 0
    assert call("push", own_release.model, home, *key)[0] == 0
    code, text, _ = call("store", "tuf-publish", home, keys, own_release.model, *key)
    assert code == 0, text
    for role in ("root", "timestamp"):
        assert call("store", "tuf-rotate", home, keys, "--role", role)[0] == 0
    assert call("store", "tuf-renew", home, keys)[0] == 0
    tuf = ("--tuf-root", root, "--tuf-state", tmp_path / "state")
    assert call("pull", home, tmp_path / "out", *key, *tuf)[0] == 0
    assert content_of(tmp_path / "out", own_release) == own_release.content
    given = ("--release", f"pyhash-v1:{own_release.root.hex()}")
    code, _, err = call("pull", home, tmp_path / "o2", *key, *tuf, *given)
    assert code == 2
    assert "give one of the two" in err


def test_store_commands(
    call: Any, in_json: Any, store: EmbeddedStore, release: Release, tmp_path: Path
) -> None:
    key, home = ("--key", release.public), "s3://models/cli"
    as_writer, as_reader = ("--credentials", store.writer), ("--credentials", store.reader)
    assert call("log", "init", tmp_path / "log", "--origin", "example.com/log")[0] == 0
    log = ("--log", tmp_path / "log")
    assert call("push", release.model, home, *key, *as_writer, *log)[0] == 0
    links = tmp_path / "links.json"
    code, found = in_json("share", home, links, *key, *as_reader, *log, "--for", "30m")
    assert (code, found["method"]) == (0, "GET")
    assert links.stat().st_mode & 0o777 == 0o600
    pulled = ("pull", f"links://{links}", tmp_path / "out", *key, "--ca", store.ca_file, *log)
    assert call(*pulled)[0] == 0
    upload = ("--upload", release.model / "model.sig")
    code, found = in_json("share", home, tmp_path / "up.json", *key, *as_writer, *upload)
    assert (code, found["method"]) == (0, "PUT")
    code, _, err = call("share", home, tmp_path / "up.json", *key, *upload, "--release", "x")
    assert code == 2
    assert "takes neither" in err
    assert call("share", home, links, *key, *as_reader, "--for", "soon")[0] == 2
    code, found = in_json(
        "doctor", "--store", "s3://models", *as_reader, "--known", "cli/latest.json"
    )
    assert (code, {one["outcome"] for one in found["tried"]}) == (0, {"ok"})
    code, found = in_json(
        *("doctor", "--store", home, *as_writer, "--writer", store.writer, "--claim", "versioning")
    )
    assert (code, found["result"]) == (1, "refused")
    assert call("store", "audit", tmp_path / "nothing", "--kind", "s3", *log)[0] == 2
    trust = (*log, "--log-key", tmp_path / "log.vkey")
    code, found = in_json("store", "audit", tmp_path / "nothing", "--kind", "s3", *trust)
    assert code == 3
    mine = tmp_path / "mine.jsonl"
    lines = Path(store.audit).read_text().splitlines(keepends=True)
    mine.write_text(
        "".join(
            line
            for line in lines
            if '"key": "cli/' in line and "PUT" in line and "probe" not in line
        )
    )
    audit = ("store", "audit", mine, "--kind", "seaweedfs", *trust)
    code, found = in_json(*audit, "--requester", "writer=writer", "--window", "1h")
    assert code == 0, [found["findings"], found["message"]]
    code, found = in_json(*audit, "--requester", "writer=somebody")
    assert (code, len(found["unexplained"])) == (1, found["accesses"])
    assert call(*audit, "--requester", "nonsense")[0] == 2


def test_doctor_of_a_store_that_is_not_there(
    in_json: Any, store: EmbeddedStore, tmp_path: Path
) -> None:
    values = {**load_credential(store.reader), "endpoint": "https://127.0.0.1:1"}
    place = tmp_path / "dead.toml"
    place.write_bytes(dump_credential(values))
    place.chmod(0o600)
    code, found = in_json("doctor", "--store", "s3://models", "--credentials", place)
    assert (code, found["result"]) == (3, "error")


def test_policy_is_printed_as_it_is(call: Any) -> None:
    code, text, _ = call(
        *("store", "policy", "--for", "aws", "--role", "reader", "--bucket", "models"),
        *("--prefix", "/llama/"),
    )
    assert code == 0
    assert json.loads(text)["Version"] == "2012-10-17"


def test_store_up_runs_a_command_and_stops(call: Any, release: Release, tmp_path: Path) -> None:
    """What was stored is there when it is up again, though it is stopped without much ado; and it
    does not go on without the record of its accesses.
    """
    place = tmp_path / "store"
    command = [sys.executable, "-m", "pyhash", "store", "up", str(place)]
    key = ("--key", str(release.public))
    home = ("s3://models/home", *key, "--credentials")
    push = (*(sys.executable, "-m", "pyhash", "push"), str(release.model), *home)
    inner = ("--", "sh", "-c", '"$@" && exit 7', "sh", *push, str(place / "writer.toml"))
    done = subprocess.run([*command, *inner], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "ended with 7" in done.stderr
    assert "up         https://127.0.0.1:" in done.stderr
    with subprocess.Popen(
        [*command, "--format", "json"], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        said = json.loads(process.stderr.readline())
        os.kill(said["process_id"], 0)
        reader = ("--credentials", place / "reader.toml")
        assert call("pull", home[0], tmp_path / "out", *key, *reader)[0] == 0
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=60)
    assert json.loads(out)["result"] == "ok"
    deadline = time.monotonic() + 20
    while Path(f"/proc/{said['process_id']}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert content_of(tmp_path / "out", release) == release.content
    (place / "audit.jsonl").unlink()
    (place / "audit.jsonl").symlink_to("/dev/full")
    pull = (*(sys.executable, "-m", "pyhash", "pull"), home[0], str(tmp_path / "out2"), *home[1:])
    done = subprocess.run(
        [*command, "--", *pull, str(place / "reader.toml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert "audit.jsonl: No space left on device" in done.stderr
    assert "the store was stopped" in done.stderr


def test_nothing_is_left_of_a_store_that_is_stopped_impatiently(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ctrl-C for a second time, while a server that takes no notice is being waited for."""
    script = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True)"
    command = [sys.executable, "-c", f"{script}; time.sleep(60)"]
    monkeypatch.setattr(embedded, "STOP_SECONDS", 50)
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"1\n"
        # It is ignored where the tests were started in the background of a shell.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            embedded._stop(process)
        assert process.returncode == -signal.SIGKILL


def test_server_that_dies_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weed = tmp_path / "weed"
    weed.write_text("#!/bin/sh\necho my last words >&2\nexit 1\n")
    weed.chmod(0o755)
    monkeypatch.setattr("pyhash.store.embedded._find_server", lambda: str(weed))
    with (
        pytest.raises(errors.CheckError, match="my last words"),
        running_store(tmp_path / "store"),
    ):
        pass
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.WriteError), running_store(tmp_path / "file/store"):
        pass


@pytest.mark.parametrize(
    ("text", "mode", "match"),
    [
        ("access_key_id", 0o600, "not TOML"),
        ('access_key_id = "a"', 0o600, "has no secret_access_key"),
        ('access_key_id = "a"\nsecret_access_key = ""', 0o600, "has no secret_access_key"),
        ("access_key_id = 1", 0o600, "is not a string"),
        ('token = "a"', 0o600, "unknown token"),
        ("x", 0o640, "others can read"),
    ],
)
def test_credentials_that_are_none(tmp_path: Path, text: str, mode: int, match: str) -> None:
    place = tmp_path / "c.toml"
    place.write_text(text)
    place.chmod(mode)
    with pytest.raises(errors.CheckError, match=match):
        load_credential(place)


def test_credential_caps(tmp_path: Path) -> None:
    place = tmp_path / "c.toml"
    text = b'access_key_id = "a"\nsecret_access_key = "b"\n#'
    for more, fits in ((0, True), (1, False)):
        place.write_bytes(text.ljust(MAX_CREDENTIAL_BYTES + more, b"x"))
        place.chmod(0o600)
        if fits:
            assert load_credential(place)["access_key_id"] == "a"
        else:
            with pytest.raises(errors.LimitError):
                load_credential(place)


def test_secrets(tmp_path: Path) -> None:
    place = tmp_path / "secret"
    place.write_text(" s3cret\n")
    place.chmod(0o600)
    assert load_secret(place) == b"s3cret"
    place.chmod(0o644)
    with pytest.raises(errors.KeyFileError, match="others can read"):
        load_secret(place)
    place.write_text("\n")
    place.chmod(0o600)
    with pytest.raises(errors.KeyFileError, match="empty"):
        load_secret(place)
