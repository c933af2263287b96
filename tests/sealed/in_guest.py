# SPDX-License-Identifier: Apache-2.0
"""The checks of sealing, run as root in a machine whose kernel has fs-verity (see run.py).

    in_guest.py MOUNT FSVERITY

MOUNT/sealed is ext4 with the feature on /dev/vda, MOUNT/plain ext4 without it, MOUNT itself tmpfs.
Prints one JSON object for each check.
"""

from __future__ import annotations

import base64
import errno
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]
from spoiling import spoil  # noqa: E402

from pyhash.cli import group, run, seal, sign, verify  # noqa: E402, F401 - before each fork

WEIGHTS = os.urandom((1 << 20) + 4096)  # 257 blocks: two levels of digests
FILES = {
    "config.json": b'{"model_type": "llama"}',
    "empty.txt": b"",
    "model.safetensors": (2).to_bytes(8, "little") + b"{}",
    "sub/block.bin": bytes(4096),
    "sub/weights.bin": WEIGHTS,
}


class Place:
    """Where the checks work: a key, and fresh checkpoints on each file system."""

    def __init__(self, mount: Path, fsverity: str) -> None:
        self.sealed, self.plain, self.memory = mount / "sealed", mount / "plain", mount
        self.fsverity = fsverity
        self.key, self.public = mount / "k.key", mount / "k.pub"
        self.count = 0
        self.warm_up()

    def warm_up(self) -> None:
        """Make the keys, and load in this process all that its forks would load each."""
        outputs = [os.dup(1), os.dup(2)]
        with open(os.devnull, "w") as nothing:
            for descriptor in (1, 2):
                os.dup2(nothing.fileno(), descriptor)
            model = self.model(self.memory)
            codes = [
                group.run(["keygen", str(self.key.with_suffix(""))]),
                group.run(["sign", str(model), "--key", str(self.key)]),
                group.run(["verify", str(model), "--key", str(self.public)]),
                self.seal(model)[0],
                self.start(model, "kernel")[0],
                group.run(["seal", str(model), "--key", str(self.key)]),
                group.run(
                    [
                        *("verify", str(model), "--key", str(self.public)),
                        *("--guarantee", "kernel"),
                    ]
                ),
            ]
        sys.stdout.flush()
        for descriptor, output in zip((1, 2), outputs, strict=True):
            os.dup2(output, descriptor)
            os.close(output)
        if codes != [0, 0, 0, 3, 3, 3, 3]:
            raise AssertionError(f"exit codes {codes}")

    def model(self, where: Path | None = None, files: dict[str, bytes] = FILES) -> Path:
        """Write a checkpoint."""
        self.count += 1
        model = (where or self.sealed) / f"model-{self.count}"
        for name, data in files.items():
            (model / name).parent.mkdir(parents=True, exist_ok=True)
            (model / name).write_bytes(data)
        return model

    def sealed_model(self) -> Path:
        """Write a checkpoint and seal it."""
        model = self.model()
        expect(0, *self.seal(model))
        return model

    def seal(self, model: Path) -> tuple[int, str]:
        return pyhash("seal", model, "--key", self.key)

    def verify(self, model: Path, guarantee: str = "kernel") -> tuple[int, str]:
        return pyhash("verify", model, "--key", self.public, "--guarantee", guarantee)

    def start(self, model: Path, guarantee: str, *command: str) -> tuple[int, str]:
        """``pyhash run``; what is started writes a word that no refusal has."""
        words = command or ("/bin/echo", "CHILD", "STARTED")
        options = ("--key", self.public, "--guarantee", guarantee)
        return pyhash("run", *options, model, "--", *words)


def pyhash(*words: object) -> tuple[int, str]:
    """Run a command line in a fork of this process, which spares an emulated processor the start
    of an interpreter; its exit code, and all that it printed.
    """
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        for descriptor in (1, 2):
            os.dup2(writable, descriptor)
        os.closerange(3, 64)
        code = group.run(list(map(str, words)))
        sys.stdout.flush()
        os._exit(code)
    os.close(writable)
    with open(readable, encoding="utf-8", errors="replace") as file:
        text = file.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), text


def pyhash_process(*words: object) -> tuple[int, str]:
    """Run a command line as a user does."""
    command = [sys.executable, "-I", "-m", "pyhash", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def expect(code: int, actual: int, text: str, *words: str) -> str:
    """Raise AssertionError unless code and words are as expected."""
    missing = [word for word in words if word not in text]
    if code != actual or missing:
        raise AssertionError(f"exit {actual}, expected {code}; without {missing}: {text}")
    return text.strip().splitlines()[-1] if text.strip() else ""


def refuse(code: int, outcome: tuple[int, str], *words: str) -> str:
    """Expect a refusal that started nothing."""
    if "CHILD STARTED" in outcome[1]:
        raise AssertionError(f"the child was started: {outcome[1]}")
    return expect(code, *outcome, *words)


def signed_digests(model: Path) -> dict[str, str]:
    """The fs-verity digests of a bundle, read with nothing of ours."""
    bundle = json.loads((model / "model.sig").read_text())
    statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    return {
        one["name"]: one["annotations"]["pyhash-verity"]["digest"]
        for one in statement["predicate"]["resources"]
    }


def no_verity(place: Place) -> str:
    """File systems without fs-verity are named, and nothing is written."""
    texts = []
    for where, name in ((place.memory, "tmpfs"), (place.plain, "ext4")):
        model = place.model(where)
        texts.append(refuse(3, place.seal(model), "no fs-verity on its file system", f"({name})"))
        if (model / "model.sig").exists() or (model / "model.tree").exists():
            raise AssertionError("something was written")
        expect(0, *pyhash("sign", model, "--key", place.key))
        refuse(3, place.verify(model), "no fs-verity digests were signed")
    sealed = place.sealed_model()
    copy = place.plain / "copy"
    shutil.copytree(sealed, copy)
    refuse(3, place.start(copy, "kernel"), "no fs-verity on its file system")
    expect(0, *place.verify(copy, "content"))
    return texts[0]


def open_for_writing(place: Place) -> str:
    """A file that somebody writes is refused, the bundle stays, and sealing goes on later."""
    model = place.model()
    expect(0, *pyhash("sign", model, "--key", place.key))
    before = (model / "model.sig").read_bytes()
    with (model / "sub/weights.bin").open("r+b"):
        text = refuse(3, place.seal(model), "sub/weights.bin", "open for writing")
    if (model / "model.sig").read_bytes() != before:
        raise AssertionError("the bundle is another one")
    expect(0, *place.verify(model, "content"))
    refuse(3, place.verify(model), "no fs-verity digests were signed")
    expect(0, *place.seal(model))
    expect(0, *place.verify(model), "kernel")
    return text


def sealed(place: Place) -> str:
    """Seal, verify, run; sealing again does nothing; every other guarantee holds too."""
    model = place.model()
    expect(0, *place.seal(model), f"{len(FILES)} of {len(FILES)} now")
    expect(0, *place.seal(model), f"0 of {len(FILES)} now")
    expect(0, *pyhash_process("seal", model, "--key", place.key), f"0 of {len(FILES)} now")
    text = expect(0, *place.verify(model), "kernel: every file is sealed", "0 B hashed")
    expect(0, *place.verify(model, "content"), "content: every byte")
    expect(0, *place.start(model, "kernel"), "CHILD STARTED", "(kernel)")
    expect(0, *place.start(model, "content"), "CHILD STARTED")
    expect(2, *pyhash("verify", model, "--key", place.public, "--guarantee", "kernel", "--receipt"))
    return text


def peer_agrees(place: Place) -> str:
    """Debian's fsverity computes and measures what was signed."""
    model = place.sealed_model()
    for name, digest in signed_digests(model).items():
        for verb in ("measure", "digest"):
            command = [place.fsverity, verb, model / name]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            if done.stdout.split()[0] != f"sha256:{digest}":
                raise AssertionError(f"{verb} {name}: {done.stdout} instead of {digest}")
    return f"{len(FILES)} files, digest and measure"


def writes_refused(place: Place) -> str:
    """The kernel lets nobody write to a sealed file, root neither."""
    model = place.sealed_model()
    for name in FILES:
        for flags in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC):
            try:
                os.close(os.open(model / name, flags))
            except PermissionError as error:
                if error.errno != errno.EPERM:
                    raise
            else:
                raise AssertionError(f"{name} could be opened for writing")
    expect(0, *place.verify(model))
    return "EPERM for each way of opening"


def replaced(place: Place) -> str:
    """Another file in the place of a sealed one: refused, sealed or not."""
    model = place.sealed_model()
    target = model / "sub/weights.bin"
    evil = bytes([WEIGHTS[0] ^ 1]) + WEIGHTS[1:]
    for data in (evil, WEIGHTS):
        target.unlink()
        target.write_bytes(data)
        for outcome in (place.verify(model), place.start(model, "kernel")):
            text = refuse(3, outcome, "1 of 5 files are not sealed", "sub/weights.bin")
    target.unlink()
    target.write_bytes(evil)
    subprocess.run([place.fsverity, "enable", target], check=True)
    for outcome in (place.verify(model), place.start(model, "kernel")):
        refuse(1, outcome, "sub/weights.bin", "sealed with other content")
    return text


def exchanged(place: Place) -> str:
    """Two sealed files of one size under each other's names are refused."""
    model = place.model(files={"a.bin": b"a" * 9000, "b.bin": b"b" * 9000})
    expect(0, *place.seal(model))
    (model / "a.bin").rename(model / "c.bin")
    (model / "b.bin").rename(model / "a.bin")
    (model / "c.bin").rename(model / "b.bin")
    return refuse(1, place.start(model, "kernel"), "a.bin", "b.bin", "sealed with other content")


def other_checks_stand(place: Place) -> str:
    """File set, sizes, signature and closure are checked behind sealed files too."""
    model = place.sealed_model()
    (model / "extra.py").write_text("evil")
    refuse(1, place.start(model, "kernel"), "extra.py")
    (model / "extra.py").unlink()
    (model / "sub/block.bin").rename(model.parent / "kept")
    refuse(1, place.start(model, "kernel"), "sub/block.bin", "not there")
    (model / "sub/block.bin").write_bytes(b"short")
    refuse(1, place.start(model, "kernel"), "5 bytes instead of the signed 4096")
    (model / "sub/block.bin").unlink()
    (model.parent / "kept").rename(model / "sub/block.bin")
    expect(0, *place.start(model, "kernel"), "CHILD STARTED")
    expect(0, *pyhash("keygen", place.memory / "other"))
    options = ("--key", place.memory / "other.pub", "--guarantee", "kernel")
    refuse(1, pyhash("run", *options, model, "--", "/bin/echo", "CHILD", "STARTED"))
    bundle = (model / "model.sig").read_text()
    (model / "model.sig").write_text(bundle.replace('"sig"', '"sig" ').replace("A", "B", 1))
    outcome = place.start(model, "kernel")
    return refuse(outcome[0] or -1, outcome)


def otherwise_sealed(place: Place) -> str:
    """A file that is sealed with a salt or another algorithm is refused, by name."""
    for options in (["--salt=00112233"], ["--hash-alg=sha512"]):
        model = place.model()
        command = [place.fsverity, "enable", *options, str(model / "sub/block.bin")]
        subprocess.run(command, check=True)
        code, text = place.seal(model)
        if code not in (1, 3) or "sub/block.bin" not in text or (model / "model.sig").exists():
            raise AssertionError(f"exit {code}: {text}")
    return text.strip()


def bad_block(place: Place) -> str:
    """A bit that turned on the disk under a sealed file keeps a start from happening, or, behind
    the guarantee kernel, comes out of the child's own read as an error, never as other bytes.
    """
    model = place.sealed_model()
    place_of_bit = 1 << 20
    spoil(model / "sub/weights.bin", place_of_bit)
    refuse(3, place.verify(model, "content"), "sub/weights.bin")
    text = refuse(3, place.start(model, "content"), "sub/weights.bin", "was not started")
    code, said = place.start(model, "kernel", "/bin/cat", str(model / "sub/weights.bin"))
    if code == 0 or "Input/output error" not in said:
        raise AssertionError(f"the child read it: exit {code}, {said[-300:]}")
    return text


def bad_block_in_config(place: Place) -> str:
    """What is read before a start is read through the kernel's check, whatever the guarantee."""
    model = place.sealed_model()
    spoil(model / "config.json", 3)
    return refuse(3, place.start(model, "kernel"), "config.json", "was not started")


def bad_seal(place: Place) -> str:
    """A seal that is damaged on the disk makes the file one that cannot be opened, or read."""
    model = place.sealed_model()
    # The tree of 257 blocks has four; then, from the next multiple of 65536 on, the descriptor.
    spoil(model / "sub/weights.bin", 4 * 4096 + 16, behind=True)
    outcome = place.start(model, "kernel")
    return refuse(outcome[0] or -1, outcome, "sub/weights.bin", "was not started")


def killed(place: Place) -> str:
    """SIGKILL at every step: the bundle is the old or the new one, and sealing again completes."""
    from killing import sweep

    return sweep(place.sealed / "killed", place.key, place.public)


def fast(place: Place) -> str:
    """Two hundred sealed files verify in milliseconds, and the times are reported."""
    from timing import measure

    files = {f"part-{number:03}.bin": os.urandom(16 << 10) for number in range(200)}
    model = place.model(files=files)
    expect(0, *place.seal(model))
    expect(0, *place.verify(model))
    MEASURED.update(measure(model, place.public))
    return MEASURED["text"]


MEASURED: dict[str, object] = {}
CHECKS: list[tuple[str, Callable[[Place], str]]] = [
    (one.__name__.replace("_", " "), one)
    for one in (
        no_verity,
        open_for_writing,
        sealed,
        peer_agrees,
        writes_refused,
        replaced,
        exchanged,
        other_checks_stand,
        otherwise_sealed,
        bad_block,
        bad_block_in_config,
        bad_seal,
        killed,
        fast,
    )
]


def main() -> int:
    place = Place(Path(sys.argv[1]), sys.argv[2])
    failed = 0
    for name, check in CHECKS:
        began = time.monotonic()
        try:
            passed, text = True, check(place)
        except Exception as error:  # noqa: BLE001 - every check is to report
            passed, text = False, f"{type(error).__name__}: {error}"
        failed += not passed
        report = {"check": name, "passed": passed, "text": text, "measured": dict(MEASURED)}
        report["seconds"] = round(time.monotonic() - began, 2)
        print(json.dumps(report), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
