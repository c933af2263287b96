# SPDX-License-Identifier: Apache-2.0
"""Exports a lineage as CycloneDX 1.7 ML-BOM. The same lineage always gives the same bytes.

What CycloneDX has no field for (who signed, roots of format v1) stands in properties ``pyhash:*``.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from typing import Any

from pyhash.manifest import FORMAT_NAME
from pyhash.provenance.lineage import Statement
from pyhash.provenance.schema import build_type
from pyhash.provenance.statement import Material, Step

SPEC_VERSION = "1.7"


def dump_cyclonedx(statements: Sequence[Statement], root: str, name: str) -> bytes:
    """Return the BOM of a checkpoint. Pure, thread-safe, raises nothing.

    Args:
        statements: From the checkpoint back, as ``verify_lineage`` has them.
        root: The checkpoint, 64 hex digits.
        name: What to call it when no statement does.
    """
    made = {one.step.root: one for one in statements if one.step.step != "evaluate"}
    ancestors = [one for one in made.values() if one.step.root != root]
    origin = made.get(root)
    data = _datasets(statements)
    component: dict[str, Any] = {
        "type": "machine-learning-model",
        "bom-ref": _reference(root),
        "name": origin.step.name if origin else name,
        "properties": _properties(root, origin),
    }
    if origin is not None and origin.step.oms_digest is not None:
        component["hashes"] = [{"alg": "SHA-256", "content": origin.step.oms_digest}]
    if ancestors:
        component["pedigree"] = {"ancestors": [_ancestor(one) for one in ancestors]}
    if data:
        component["modelCard"] = {
            "modelParameters": {"datasets": [{"ref": _data_reference(one)} for one in data]}
        }
    bom: dict[str, Any] = {
        "$schema": "http://cyclonedx.org/schema/bom-1.7.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'{FORMAT_NAME}:{root}')}",
        "version": 1,
        "metadata": {"component": component},
        "components": [_data_component(one) for one in data],
    }
    if statements:
        bom["formulation"] = [{"workflows": [_workflow(one) for one in statements]}]
    return (json.dumps(bom, indent=1, ensure_ascii=False) + "\n").encode("utf-8")


def _datasets(statements: Sequence[Statement]) -> list[Material]:
    found = (one for statement in statements for one in statement.step.of_role("dataset"))
    return list(dict.fromkeys(found))


def _reference(root: str) -> str:
    return f"{FORMAT_NAME}:{root}"


def _data_reference(material: Material) -> str:
    digest = ":".join(material.digests[0]) if material.digests else "unknown"
    return f"data:{material.name}:{digest}"


def _properties(root: str, origin: Statement | None) -> list[dict[str, str]]:
    pairs = {"pyhash:root": _reference(root)}
    if origin is not None:
        pairs["pyhash:step"] = origin.step.step
        pairs["pyhash:signed_by"] = origin.key or "not checked"
        pairs["pyhash:unknown"] = " ".join(origin.step.unknown)
    return [{"name": name, "value": value} for name, value in pairs.items()]


def _ancestor(statement: Statement) -> dict[str, Any]:
    step = statement.step
    component: dict[str, Any] = {
        "type": "machine-learning-model",
        "bom-ref": _reference(step.root),
        "name": step.name,
        "properties": _properties(step.root, statement),
    }
    if step.oms_digest is not None:
        component["hashes"] = [{"alg": "SHA-256", "content": step.oms_digest}]
    return component


def _data_component(material: Material) -> dict[str, Any]:
    digests = dict(material.digests)
    component: dict[str, Any] = {
        "type": "data",
        "bom-ref": _data_reference(material),
        "name": material.name,
        "data": [{"type": "dataset", "name": material.name}],
        "properties": [
            {"name": f"pyhash:{name}", "value": digest} for name, digest in digests.items()
        ]
        or [{"name": "pyhash:digest", "value": "unknown"}],
    }
    if len(digests.get("sha256", "")) == 64:
        component["hashes"] = [{"alg": "SHA-256", "content": digests["sha256"]}]
    if material.uri is not None:
        component["externalReferences"] = [{"type": "distribution", "url": material.uri}]
    return component


def _workflow(statement: Statement) -> dict[str, Any]:
    step = statement.step
    reference = f"step:{step.step}:{step.root}:{step.finished or 'unknown'}"
    workflow: dict[str, Any] = {
        "bom-ref": reference,
        "uid": reference,
        "name": f"{step.step} of {step.name}",
        "taskTypes": ["build" if step.step != "evaluate" else "test"],
        "properties": [
            {"name": "pyhash:build_type", "value": build_type(step.step)},
            {"name": "pyhash:signed_by", "value": statement.key or "not checked"},
            *_parameters(step),
        ],
    }
    for field, time in (("timeStart", step.started), ("timeEnd", step.finished)):
        if time is not None:
            workflow[field] = time
    return workflow


def _parameters(step: Step) -> list[dict[str, str]]:
    return [
        {"name": f"pyhash:parameter:{name}", "value": json.dumps(value, ensure_ascii=False)}
        for name, value in step.parameters or ()
    ]
