# SPDX-License-Identifier: Apache-2.0
"""A virtual machine with Debian's kernel, which has fs-verity, and this machine's files read-only.

QEMU, with KVM where there is one and software emulation where not. The kernel and what is needed to
start it are taken out of Debian's packages; only QEMU is installed where it is missing, which needs
root. Whatever cannot be had is an error: nothing here is skipped.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
from tests.support.debian import PackageMissing, unpack  # noqa: E402

BUILD = Path(__file__).resolve().parent / "build"
QEMU = "qemu-system-x86_64"
KERNEL = "linux-image-amd64"  # depends on the kernel proper
# What the kernel needs to see its disks, its file systems and this machine's files.
MODULES = (
    *("virtio_pci", "virtio_blk", "9pnet_virtio", "9p"),
    *("crc32c_generic", "sha256_ssse3", "sha512_generic", "ext4"),
)
# What runs it, the fastest first, with options.
ACCELERATORS = {
    "kvm": ["-accel", "kvm", "-cpu", "host"],
    "software emulation": ["-accel", "tcg,thread=multi", "-cpu", "max"],
}
START_SECONDS = 10  # for the first sign of life
BEGUN = "the machine has begun"
# Where the disks may be mounted over this machine's files: the first that hides nothing needed.
PLACES = ("/mnt", "/media", "/srv", "/opt", "/home")
START = """\
#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /host
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev
echo {begun}
for module in {modules}; do /bin/busybox insmod /modules/$module.ko || echo "no $module"; done
/bin/busybox mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=512000,cache=loose host /host
/bin/busybox mount -t proc proc /host/proc
/bin/busybox mount -t devtmpfs dev /host/dev
/bin/busybox mount -t tmpfs tmpfs /host{place}
/bin/busybox mkdir /host{place}/sealed /host{place}/plain
/bin/busybox mount -t ext4 /dev/vda /host{place}/sealed
/bin/busybox mount -t ext4 /dev/vdb /host{place}/plain
/bin/busybox chroot /host /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin \\
  HOME={place} TMPDIR={place} PYTHONDONTWRITEBYTECODE=1 LD_LIBRARY_PATH={libraries} \\
  {command} >/dev/ttyS1 2>&1
echo "exit code $?" >/dev/ttyS1
/bin/busybox sync
/bin/busybox poweroff -f
"""


class Unavailable(RuntimeError):
    """The machine cannot be made; the message says why."""


def find_qemu() -> str:
    """Return QEMU; installs it where that is possible.

    Raises:
        Unavailable: It is not here and cannot be installed.
    """
    if not shutil.which(QEMU) and os.geteuid() == 0 and shutil.which("apt-get"):
        for words in (["update"], ["-y", "--no-install-recommends", "install", "qemu-system-x86"]):
            subprocess.run(["apt-get", "-q", "-oAcquire::Retries=3", *words], check=False)
    found = shutil.which(QEMU)
    if found is None:
        raise Unavailable(f"no {QEMU} here; install qemu-system-x86 (that takes root)")
    return found


def find_program(name: str, packages: tuple[str, ...]) -> Path:
    """Return a program of this machine, or one unpacked from Debian's packages.

    Raises:
        Unavailable: It cannot be had.
    """
    here = shutil.which(name)
    if here:
        return Path(here)
    target = BUILD / packages[0]
    if not target.exists():
        _unpack(packages, target)
    found = [one for one in target.rglob(name) if one.is_file() and os.access(one, os.X_OK)]
    if not found:
        raise Unavailable(f"no {name} in the packages {', '.join(packages)}")
    return found[0]


def find_kernel() -> Path:
    """Return the directory that Debian's kernel is unpacked in.

    Raises:
        Unavailable: It cannot be had.
    """
    target = BUILD / "kernel"
    if not list(target.glob("boot/vmlinuz-*")):
        command = ["apt-cache", "depends", KERNEL]
        if not shutil.which("apt-cache"):
            raise Unavailable(f"no apt-cache here to find Debian's {KERNEL} with")
        text = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        found = re.search(r"Depends: (linux-image-\S+)", text)
        if found is None:
            raise Unavailable(f"Debian's {KERNEL} is not known here; apt-get update may help")
        _unpack((found[1],), target)
    if not list(target.glob("boot/vmlinuz-*")):
        raise Unavailable(f"no kernel in Debian's {KERNEL}")
    return target


def _unpack(packages: tuple[str, ...], target: Path) -> None:
    try:
        unpack(packages, target)
    except PackageMissing as error:
        raise Unavailable(str(error)) from error


def make_disk(place: Path, megabytes: int, *features: str) -> None:
    """Write an ext4 image.

    Raises:
        Unavailable: There is no mkfs.ext4, or it failed.
    """
    place.unlink(missing_ok=True)
    with place.open("wb") as file:
        file.truncate(megabytes << 20)
    program = find_program("mkfs.ext4", ("e2fsprogs",))
    command = [program, "-q", "-F", "-t", "ext4", "-b", "4096", *features, place]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Unavailable(f"mkfs.ext4: {done.stderr.strip()}")


def make_start(kernel: Path, place: Path, command: str, mount: str, libraries: str) -> None:
    """Write the archive that the kernel starts from: modules, busybox, and what to do.

    Raises:
        Unavailable: A module or busybox cannot be had.
    """
    modules = list(_with_dependencies(kernel))
    script = START.format(
        begun=BEGUN,
        modules=" ".join(name for name, _ in modules),
        command=command,
        place=mount,
        libraries=libraries,
    )
    busybox = find_program("busybox", ("busybox-static",))
    entries = [
        ("bin", None, stat.S_IFDIR | 0o755),
        ("modules", None, stat.S_IFDIR | 0o755),
        ("bin/busybox", busybox.read_bytes(), stat.S_IFREG | 0o755),
        ("init", script.encode(), stat.S_IFREG | 0o755),
        *((f"modules/{name}.ko", data, stat.S_IFREG | 0o644) for name, data in modules),
        ("TRAILER!!!", None, 0),
    ]
    place.write_bytes(b"".join(_entry(*one) for one in entries))


def _entry(name: str, data: bytes | None, mode: int) -> bytes:
    """One entry of a cpio archive, format newc (Documentation/driver-api/early-userspace)."""
    size, encoded = len(data or b""), name.encode() + b"\0"
    fields = (0, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, len(encoded), 0)
    head = b"070701" + b"".join(b"%08x" % field for field in fields) + encoded
    return head + bytes(-len(head) % 4) + (data or b"") + bytes(-size % 4)


def _with_dependencies(kernel: Path) -> Iterator[tuple[str, bytes]]:
    """Modules by name with their bytes, each after those that it depends on."""
    there = {one.stem.replace("-", "_"): one for one in kernel.rglob("*.ko")}
    done: set[str] = set()

    def add(name: str) -> Iterator[tuple[str, bytes]]:
        if name in done:
            return
        done.add(name)
        if name not in there:
            raise Unavailable(f"Debian's kernel has no module {name}")
        data = there[name].read_bytes()
        found = re.search(rb"\0depends=([^\0]*)\0", data)
        for other in (found[1].decode() if found else "").split(","):
            if other:
                yield from add(other.replace("-", "_"))
        yield name, data

    for one in MODULES:
        yield from add(one)


def free_place(*needed: Path) -> str:
    """Return a directory of this machine that can be mounted over and hides nothing needed.

    Raises:
        Unavailable: There is none.
    """
    for place in PLACES:
        if Path(place).is_dir() and not any(one.is_relative_to(place) for one in needed):
            return place
    raise Unavailable(f"none of {', '.join(PLACES)} can be mounted over in the machine")


def start(kernel: Path, archive: Path, disks: list[Path], timeout: float) -> tuple[str, str]:
    """Run the machine until it switches itself off.

    Args:
        kernel: As ``find_kernel`` gives it.
        archive: As ``make_start`` wrote it.
        disks: Images.
        timeout: Seconds.

    Returns:
        What the command printed, and what the machine ran on.

    Raises:
        Unavailable: QEMU did not start, or did not end.
    """
    (image,) = kernel.glob("boot/vmlinuz-*")
    result, console = BUILD / "result.txt", BUILD / "console.txt"
    command = [find_qemu(), "-m", "1536", "-smp", "2", "-display", "none", "-nodefaults"]
    command += ["-no-reboot", "-kernel", str(image), "-initrd", str(archive)]
    command += ["-append", "console=ttyS0 loglevel=3 panic=-1"]
    command += ["-serial", f"file:{console}", "-serial", f"file:{result}"]
    shared = "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap"
    command += ["-virtfs", shared]
    for disk in disks:
        command += ["-drive", f"file={disk},if=virtio,format=raw,cache=unsafe"]
    for name, options in ACCELERATORS.items():
        if name == "kvm" and not os.access("/dev/kvm", os.R_OK | os.W_OK):
            continue
        is_last = name != "kvm"
        to_begin = timeout if is_last else START_SECONDS
        if _run(command + options, console, to_begin, timeout, is_last=is_last):
            return result.read_text(errors="replace"), name
    said = [one.read_text(errors="replace")[-2000:] for one in (console, result)]
    raise Unavailable(f"the machine did not end in {timeout:.0f} s; it said: {said}")


def _run(
    command: list[str], console: Path, to_begin: float, to_end: float, *, is_last: bool
) -> bool:
    """Run QEMU; returns whether it began and ended in time. Some hosts offer a KVM on which
    nothing ever runs, or which QEMU ends on before the guest has said a word.

    Raises:
        Unavailable: QEMU refused the last way there is, or ended after the guest had begun.
    """
    console.write_text("")
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace"
    ) as process:
        try:
            began = time.monotonic()
            while process.poll() is None:
                passed = time.monotonic() - began
                is_begun = BEGUN in console.read_text(errors="replace")
                if passed > to_end or (passed > to_begin and not is_begun):
                    return False
                time.sleep(0.2)
        finally:
            process.kill()
        if process.returncode != 0:
            if not is_last and BEGUN not in console.read_text(errors="replace"):
                return False
            said = process.stderr.read()[-2000:] if process.stderr else ""
            raise Unavailable(f"{QEMU}: exit code {process.returncode}: {said}")
        return True
