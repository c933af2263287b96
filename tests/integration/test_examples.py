# SPDX-License-Identifier: Apache-2.0
"""Every example is run, on a good checkpoint and on a damaged one."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import kubernetes_validate
import pytest
import yaml

from pyhash import errors
from tests.support import systemd
from tests.unit._loadable import SPAN, Loadable, make_loadable
from tests.unit._signed import flip

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
KUBERNETES = "1.31"


@pytest.fixture
def own(tmp_path: Path) -> Loadable:
    return make_loadable(tmp_path)


def run(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_every_example_is_named_in_the_list_and_tested_here() -> None:
    listed = (EXAMPLES / "README.md").read_text()
    here = Path(__file__).read_text()
    for path in EXAMPLES.iterdir():
        if path.name != "README.md" and not path.name.startswith("__"):
            assert f"`{path.name}`" in listed and f'"{path.name}"' in here


def test_load_tensors(own: Loadable) -> None:
    done = run("load_tensors.py", own.root, own.key)
    assert done.returncode == 0, done.stderr
    assert "tall F32 [4096, 384]" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("loaded: ")
    flip(own.root / "a.safetensors", 2 * SPAN)
    done = run("load_tensors.py", own.root, own.key)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("refused: a.safetensors: other bytes than the signed ones in [")
    (own.root / "model.sig").write_text("{")
    done = run("load_tensors.py", own.root, own.key)
    assert (done.returncode, done.stdout) == (3, "")


def test_one_rank(own: Loadable) -> None:
    path = own.root / "a.safetensors"
    done = run("one_rank.py", path, own.key, 1, 4)
    assert done.returncode == 0, done.stderr
    assert "wide [16, 16384]" in done.stdout.splitlines()
    flip(path, 2 * SPAN)
    done = run("one_rank.py", path, own.key, 1, 4)
    assert done.returncode != 0 and "DigestMismatchError" in done.stderr


def analyze(*units: Path) -> str:
    """What systemd-analyze finds wrong; the answer also says so by its exit code."""
    program, environment = systemd.analyzer()
    words = [program, "verify", "--man=no", *map(str, units)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode != 0) == ("pyhash-" in done.stderr), done.stderr
    return done.stderr


def test_service(tmp_path: Path) -> None:
    unit = EXAMPLES / "pyhash-model.service"
    text = unit.read_text()
    assert "ExecStart=/usr/bin/env pyhash run " in text
    assert analyze(unit) == ""
    broken = tmp_path / unit.name
    broken.write_text(text.replace("/usr/bin/env", "/usr/bin/no-such-program"))
    assert "no-such-program" in analyze(broken)


def test_units_of_scrub() -> None:
    units = sorted((EXAMPLES / "systemd").iterdir())
    assert [one.name for one in units] == ["pyhash-scrub@.service", "pyhash-scrub@.timer"]
    assert analyze(*units) == ""


# --- Kubernetes ---------------------------------------------------------------------------------


def manifests() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((EXAMPLES / "kubernetes" / "model-server.yaml").read_text()))


def test_kubernetes_schemas() -> None:
    found = manifests()
    assert [one["kind"] for one in found] == ["ConfigMap", "Deployment"]
    for one in found:
        kubernetes_validate.validate(one, KUBERNETES, strict=True)
    pod = found[1]["spec"]["template"]["spec"]
    pod["initContainers"][0]["comand"] = []
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(found[1], KUBERNETES, strict=True)


def test_kubernetes_mounts_and_commands() -> None:
    pod = manifests()[1]["spec"]["template"]["spec"]
    (init,), (server, health) = pod["initContainers"], pod["containers"]
    assert health["volumeMounts"][:2] == init["volumeMounts"]
    for container in (init, server):
        assert {one["mountPath"] for one in container["volumeMounts"]} == {
            "/srv/model",
            "/etc/pyhash",
        }
        assert all(one["readOnly"] for one in container["volumeMounts"])
    assert server["command"][-1] == "--" and server["args"][0] == "llama-server"


def test_kubernetes_commands_do_what_they_say(own: Loadable, tmp_path: Path) -> None:
    """The containers' own commands, with this checkpoint in the place of the mounted one."""
    pod = manifests()[1]["spec"]["template"]["spec"]
    places = {"/srv/model": str(own.root), "/etc/pyhash/publisher.pub": str(own.key)}
    marker = tmp_path / "marker"
    init = [places.get(word, word) for word in pod["initContainers"][0]["command"]]
    server = [places.get(word, word) for word in pod["containers"][0]["command"]]
    server += ["touch", str(marker)]
    assert init[0] == server[0] == "pyhash"
    assert (pyhash_command(init[1:]), pyhash_command(server[1:])) == (0, 0)
    assert marker.exists()
    marker.unlink()
    flip(own.root / "a.safetensors", 2 * SPAN)
    assert (pyhash_command(init[1:]), pyhash_command(server[1:])) == (1, 1)
    assert not marker.exists()


def test_kubernetes_readiness(own: Loadable, tmp_path: Path) -> None:
    """Not ready before verification, ready then, and not for a checkpoint that is refused."""
    pod = manifests()[1]["spec"]["template"]["spec"]
    ready = tmp_path / "ready"
    places = {
        "/srv/model": str(own.root),
        "/etc/pyhash/publisher.pub": str(own.key),
        "/run/pyhash/ready": str(ready),
    }
    health = pod["containers"][1]
    serve = [places.get(word, word) for word in health["command"] + health["args"]][1:]
    check = [places.get(word, word) for word in health["readinessProbe"]["exec"]["command"]][1:]
    assert pyhash_command(check) == 3
    with subprocess.Popen([sys.executable, "-m", "pyhash", *serve]) as server:
        try:
            end = time.monotonic() + 30
            while pyhash_command(check) != 0:
                assert time.monotonic() < end and server.poll() is None
        finally:
            server.terminate()
    flip(own.root / "a.safetensors", 2 * SPAN)
    assert pyhash_command(serve) == 1
    assert pyhash_command(check) != 0


def pyhash_command(arguments: list[str]) -> int:
    words = [sys.executable, "-m", "pyhash", *arguments]
    return subprocess.run(words, capture_output=True, check=False).returncode


# --- Ray Serve ----------------------------------------------------------------------------------


class Deployment:
    """What docs/runtimes.md says of ray.serve.deployment; a replica is made only by ``replica``."""

    def __init__(self, cls: type) -> None:
        self.cls = cls

    def bind(self, *arguments: Any) -> Any:
        return SimpleNamespace(replica=lambda: self.cls(*arguments))


def test_ray_deployment(own: Loadable, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = ModuleType("ray")
    ray.serve = SimpleNamespace(deployment=Deployment)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ray", ray)
    spec = importlib.util.spec_from_file_location("example", EXAMPLES / "ray_deployment.py")
    assert spec is not None and spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    application = example.build({"model": str(own.root), "key": str(own.key)})
    answer = application.replica()(None)
    assert answer == {"guarantee": "loaded", "tensors": sorted(own.arrays)}
    flip(own.root / "a.safetensors", 2 * SPAN)
    with pytest.raises(errors.DigestMismatchError):
        application.replica()
    (own.root / "model.sig").write_text("{")
    with pytest.raises(errors.CheckError):
        application.replica()
