#!/usr/bin/env python3
"""Write the JSON Schema of what `homeward … --output json` prints.

    render_cli_schema.py docs/cli.schema.json

The resources come from the descriptors of the API; what commands put around them stands here. A
test holds the file to this, and the output of the commands to the file.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from homeward.api.common.v1 import audit_pb2, audit_service_pb2
from homeward.api.embedding.v1 import model_pb2
from homeward.api.ingestion.v1 import (
    camera_pb2,
    clip_service_pb2,
    footage_pb2,
    footage_service_pb2,
    scan_pb2,
)
from homeward.api.matching.v1 import (
    policy_pb2,
    retention_service_pb2,
    sighting_pb2,
    sighting_service_pb2,
    subject_pb2,
    subject_service_pb2,
)

Schema = dict[str, Any]
Shape = Any
"""A message class, `str`, `int`, `float` or `bool`, a list of one shape, a dictionary of names to
shapes (with `?` after a name that may be missing), a tuple of shapes that may be there, a schema as
`Raw`, or None for null."""


class Raw(dict[str, Any]):
    """A schema as it is."""


TEXTS = [str]
ANYTHING = Raw({})
FACTS_OF_A_SIGHTING = {
    "notice?": str,
    "sighting": sighting_pb2.Sighting,
    "exportTime": str,
    "subject": {"subjectId": str, "caseReference": str, "label": str},
    "camera": {
        "cameraId": str,
        "place": (str, None),
        "clockOffset": (str, None),
        "clockOffsetSource": (str, None),
    },
    "recording": {"footageId": str, "sha256": (str, None), "bestShotOffset": str},
    "confirmedBy": TEXTS,
    "policy": {"policyId": str, "threshold": float, "state": str},
    "faceHeightPx": int,
    "caveats": TEXTS,
    "still": str,
    "stillSha256": str,
}
REFUSAL = {"reason": str, "message": str, "advice": str}
PACK = Raw({"type": "object", "required": ["name"]})
DOCUMENTS: Mapping[str, Shape] = {
    "audit checkpoint": {"checkpoint": audit_service_pb2.GetAuditCheckpointResponse},
    "audit list": {"events": [audit_pb2.AuditEvent]},
    "audit verify": {
        "intact": bool,
        "verifiedCount": int,
        "writers": Raw({"type": "object", "additionalProperties": {"type": "integer"}}),
        "problems": [{"fault": str, "writer": str, "sequence": int, "description": str}],
        "verifierKey": str,
    },
    "camera add, camera show, camera update": {"camera": camera_pb2.Camera},
    "camera list": {"cameras": [camera_pb2.Camera]},
    "camera rm, footage rm": {"removed": TEXTS},
    "export verify": {
        "holds": bool,
        "signerKnown": bool,
        "verifierKey": str,
        "findings": [{"holds": bool, "sentence": str}],
        "manifest": (Raw({"type": "object"}), None),
    },
    "footage add": {
        "footage": [footage_pb2.Footage],
        "alreadyHeld": TEXTS,
        "startSource": Raw({"enum": ["OPTION", "FILE_NAME"]}),
        "warnings": [{"footageId": str, "message": str}],
        "refused": [{"file": str, "reason": str, "message": str}],
    },
    "footage list": {"footage": [footage_pb2.Footage]},
    "footage show": {"footage": footage_pb2.Footage},
    "footage watch": (
        {
            "file": str,
            "footage": footage_pb2.Footage,
            "alreadyHeld": bool,
            "warnings": TEXTS,
        },
        {"file": str, "reason": str, "message": str},
    ),
    "logout": {"issuer": str, "revoked": bool},
    "model install": {"pack": PACK},
    "model list": {"packs": [PACK]},
    "model show": {"model": model_pb2.Model},
    "plan": {
        "footageHours": float,
        "coreHours": float,
        "cores": int,
        "scanners": int,
        "storageBytes": int,
        "qdrantBytes": int,
        "assumptions": TEXTS,
    },
    "policy list": {"policies": [policy_pb2.Policy]},
    "policy show, policy add, policy approve, policy activate, policy expire": {
        "policy": policy_pb2.Policy
    },
    "record verify": {"intact": bool, "scanId": str, "sha256": str, "verifierKey": str},
    "report": {
        "files": TEXTS,
        "figures": [{"section": str, "name": str, "value": str}],
        "promise": str,
        "alarms": TEXTS,
        "notCovered": TEXTS,
    },
    "retention": {
        "footage": footage_service_pb2.GetRetentionReportResponse,
        "people": retention_service_pb2.GetRetentionReportResponse,
    },
    "review": {
        "results": [
            {
                "line": int,
                "sighting": str,
                "decision": str,
                "state?": str,
                "error?": str,
                "reason?": str,
            }
        ]
    },
    "scan cancel, scan authorise": {"scan": scan_pb2.Scan},
    "scan certificate, subject erase, subject certificate": {
        "certificate": subject_pb2.ErasureCertificate
    },
    "scan list": {"scans": [scan_pb2.Scan]},
    "scan record": {"sha256": str, "verifierKey": str},
    "scan refuse": {"scan": scan_pb2.Scan, "certificate": subject_pb2.ErasureCertificate},
    "scan show": {"scan": scan_pb2.Scan, "caveats": TEXTS},
    "scan stretches": {
        "incomparableStretches": [scan_pb2.IncomparableStretch],
        "unlistedFootage": [scan_pb2.UnlistedFootage],
        "gaps": [scan_pb2.CoverageGap],
    },
    "search, scan watch": {
        "scan": scan_pb2.Scan,
        "candidates": [scan_pb2.ScanCandidate],
        "caveats": TEXTS,
    },
    "sheet": {
        "file": str,
        "candidateCount": int,
        "gapCount": int,
        "stretchCount": int,
        "unknown": TEXTS,
        "warnings": TEXTS,
    },
    "sighting clip": {"clip": clip_service_pb2.Clip, "file": str},
    "sighting export": (
        FACTS_OF_A_SIGHTING,
        {
            "file": str,
            "sha256": str,
            "verifierKey": str,
            "recipient": str,
            "noClipReason": str,
            "sighting": sighting_pb2.Sighting,
        },
    ),
    "sighting list": {
        "sightings": [sighting_pb2.Sighting],
        "lost": sighting_service_pb2.LostSightings,
        "caveats": TEXTS,
    },
    "sighting list --rejected": {"rejections": [sighting_pb2.Rejection]},
    "sighting near": {
        "sightingId": str,
        "withinSeconds": float,
        "speedKmh": float,
        "recordings": [
            {
                "footageId": str,
                "cameraId": str,
                "distanceMetres": int,
                "startTime": str,
                "endTime": str,
            }
        ],
        "unplacedCameras": TEXTS,
        "scope": scan_pb2.ScanScope,
        "scan?": scan_pb2.Scan,
    },
    "sighting review": {"sighting": sighting_pb2.Sighting},
    "sighting show": {"sighting": sighting_pb2.Sighting, "caveats": TEXTS},
    "status": {
        "services": [{"name": str, "address": str, "state": str}],
        "model?": model_pb2.Model,
        "thresholdPolicy?": policy_pb2.ThresholdPolicy,
        "searchesRefused?": REFUSAL,
    },
    "subject add, subject add-photo": {
        "subject?": subject_pb2.Subject,
        "caveats?": TEXTS,
        "warnings?": TEXTS,
        "photos": [
            {
                "file": str,
                "referencePhoto?": subject_pb2.ReferencePhoto,
                "warnings?": TEXTS,
                "notCompared?": str,
                "reason?": str,
                "message?": str,
                "advice?": str,
            }
        ],
    },
    "subject close": {
        "subject": subject_pb2.Subject,
        "certificate": subject_pb2.ErasureCertificate,
    },
    "subject list": {"subjects": [subject_pb2.Subject]},
    "subject rebuild": {
        "rebuild": subject_service_pb2.RebuildGalleryResponse,
        "unusablePhotos": [subject_service_pb2.UnusablePhoto],
    },
    "subject reenrol": {
        "reenrolment": subject_service_pb2.ReenrolSubjectsResponse,
        "unusablePhotos": [subject_service_pb2.UnusablePhoto],
    },
    "subject show, subject update": {"subject": subject_pb2.Subject, "caveats": TEXTS},
    "watch": sighting_service_pb2.WatchSightingsResponse,
    "whoami": {
        "name?": str,
        "roles?": ANYTHING,
        "cases?": ANYTHING,
        "issuer?": str,
        "expireTime?": str,
        "renewed": bool,
        "from": str,
    },
}
"""What a command prints, by its words; of several commands, after commas."""
_BARE: Mapping[type | None, Schema] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    None: {"type": "null"},
}
_WELL_KNOWN: Mapping[str, Schema] = {
    "google.protobuf.Any": {"type": "object"},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?\d+(\.\d+)?s$"},
    "google.protobuf.FieldMask": {"type": "string"},
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
}
_LONG = (
    FieldDescriptor.TYPE_INT64,
    FieldDescriptor.TYPE_UINT64,
    FieldDescriptor.TYPE_SINT64,
    FieldDescriptor.TYPE_FIXED64,
    FieldDescriptor.TYPE_SFIXED64,
)


_SCALARS: Mapping[int, Schema] = {
    FieldDescriptor.TYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.TYPE_BYTES: {"type": "string", "contentEncoding": "base64"},
    FieldDescriptor.TYPE_DOUBLE: {"type": "number"},
    FieldDescriptor.TYPE_FLOAT: {"type": "number"},
    FieldDescriptor.TYPE_STRING: {"type": "string"},
}


class SchemaOfMessages:
    """Collects the definitions of the messages that documents refer to."""

    def __init__(self) -> None:
        self.definitions: dict[str, Schema] = {}

    def of(self, shape: Shape) -> Schema:
        """Return the schema of a shape."""
        if isinstance(shape, Raw):
            return dict(shape)
        if shape is None or shape in (str, bool, int, float):
            return dict(_BARE[shape])
        if isinstance(shape, tuple):
            return {"anyOf": [self.of(one) for one in shape]}
        if isinstance(shape, list):
            return {"type": "array", "items": self.of(shape[0])}
        if isinstance(shape, Mapping):
            return {
                "type": "object",
                "properties": {name.rstrip("?"): self.of(one) for name, one in shape.items()},
                "required": [name for name in shape if not name.endswith("?")],
            }
        return self._message(shape.DESCRIPTOR)

    def _message(self, kind: Descriptor) -> Schema:
        if kind.full_name in _WELL_KNOWN:
            return dict(_WELL_KNOWN[kind.full_name])
        if kind.full_name not in self.definitions:
            self.definitions[kind.full_name] = {}  # a message may hold its own kind
            self.definitions[kind.full_name] = {
                "type": "object",
                "properties": {field.json_name: self._field(field) for field in kind.fields},
            }
        return {"$ref": f"#/$defs/{kind.full_name}"}

    def _field(self, field: FieldDescriptor) -> Schema:
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            value = field.message_type.fields_by_name["value"]
            return {"type": "object", "additionalProperties": self._one(value)}
        one = self._one(field)
        return {"type": "array", "items": one} if field.is_repeated else one

    def _one(self, field: FieldDescriptor) -> Schema:
        if field.message_type is not None:
            return self._message(field.message_type)
        if field.enum_type is not None:
            return self._enum(field.enum_type)
        if field.type in _LONG:
            return {"type": "string", "pattern": r"^-?\d+$"}
        return dict(_SCALARS.get(field.type, {"type": "integer"}))

    def _enum(self, kind: EnumDescriptor) -> Schema:
        self.definitions[kind.full_name] = {"enum": [value.name for value in kind.values]}
        return {"$ref": f"#/$defs/{kind.full_name}"}


def schema() -> Schema:
    """Return the schema of all documents; that of one is `$defs` by the command's words."""
    messages = SchemaOfMessages()
    documents = {
        words: messages.of(shape)
        for commands, shape in DOCUMENTS.items()
        for words in commands.split(", ")
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:homeward:cli-output",
        "title": "What `homeward COMMAND --output json` prints",
        "description": "The document of a command is $defs/COMMAND, such as $defs/subject list."
        " Fields that have their default are left out; a later version may add fields.",
        "$defs": documents | dict(sorted(messages.definitions.items())),
    }


def text() -> str:
    """Return the file."""
    return json.dumps(schema(), indent=1) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(text(), encoding="utf-8")
