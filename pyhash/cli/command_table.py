# SPDX-License-Identifier: Apache-2.0
"""The list of commands and the help that shows it. Imports nothing, so that it costs nothing.

A new command is a module with a click command called ``command``, and one line here.
"""

from __future__ import annotations

# name -> (module in pyhash.cli, one line for the list)
COMMANDS = {
    "keygen": ("keygen", "Make a key pair to sign with."),
    "sign": ("sign", "Sign a checkpoint."),
    "seal": ("seal", "Sign a checkpoint and have the kernel seal its files."),
    "cosign": ("cosign", "Verify a checkpoint and sign the same statement with another key."),
    "verify": ("verify", "Check every byte of a checkpoint against its signature."),
    "run": ("run", "Start a command only if a checkpoint verifies."),
    "health": ("health", "Tell probes whether a verified checkpoint is still that."),
    "push": ("push", "Publish a signed checkpoint as a release."),
    "pull": ("pull", "Fetch a release, verified as it arrives."),
    "repair": ("repair", "Mend a damaged checkpoint from a second copy."),
    "scrub": ("scrub", "Check checkpoints in the background, for cron and timers."),
    "share": ("share", "Make time-limited links to one release."),
    "log": ("log", "Keep an append-only record of statements and accesses that proves itself."),
    "provenance": ("provenance", "Say, show and verify how a checkpoint came about."),
    "store": ("store", "Run a store, write its policies, audit its accesses."),
    "hash": ("hash", "Print the root of a checkpoint, or digests of files; check lists of them."),
    "export": ("export", "Write the list of digests that another tool takes."),
    "policy": ("policy", "Explain what a policy file requires of a checkpoint."),
    "ls": ("ls", "List files and tensors from the headers, unverified."),
    "diff": ("diff", "Say what differs between two checkpoints or bundles."),
    "bench": ("bench", "Measure what this host can do, and what holds it back."),
    "doctor": ("doctor", "Show version, kernels and their rates, threads, readers."),
    "completion": ("completion", "Print the completion script for a shell."),
}

HELP_OPTIONS = ("-h", "--help")

_HELP = """\
Usage: pyhash COMMAND [OPTIONS] ...

  Sign and verify AI checkpoints at the speed of the drive; refuse to start on any mismatch.

Commands:
{commands}

Options:
  --version   Print the version.
  -h, --help  Print this, or with a command that command's help.

Exit codes:
  0    verified, or done
  1    refused: the answer is no
  2    the command line makes no sense
  3    could not be done or checked
  130  interrupted

Example:
  pyhash keygen publisher
  pyhash sign my-model --key publisher.key
  pyhash verify my-model --key publisher.pub"""


def help_text() -> str:
    """Return what ``pyhash --help`` prints, without the last line's end. Raises nothing."""
    width = max(map(len, COMMANDS))
    lines = (f"  {name.ljust(width)}  {text}" for name, (_, text) in COMMANDS.items())
    return _HELP.format(commands="\n".join(lines))
