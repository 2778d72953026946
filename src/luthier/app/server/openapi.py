"""The description of the interface, as OpenAPI 3.1; tests send what it allows and what it forbids."""

from __future__ import annotations

from typing import Any

from luthier.app.server.incoming import (
    KEY_PATTERN,
    LARGEST_NUMBER,
    LARGEST_STEP,
    LONGEST_NAME,
)
from luthier.study.protocols import PAGE
from luthier.version import __version__

LONGEST_WAIT = 30.0

Json = dict[str, Any]


def description() -> Json:
    """Return the OpenAPI document."""
    study = "/v1/studies/{name}"
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Luthier: studies over HTTP",
            "version": __version__,
            "description": "A study is a log of numbered events. Appending and reading is all there "
            "is to it; checkpoints are kept for workers that share no disk, by the study's name or "
            "any other text: workers add a mark of when the study was begun.",
        },
        "security": [{"token": []}],
        "paths": {
            "/v1/health": _open("health", "Whether the server is up.", _object(luthier=_TEXT)),
            "/v1/openapi.json": _open("openapi", "This document.", {"type": "object"}),
            "/v1/studies": {
                "get": _operation(
                    "listStudies",
                    "The names of the studies, in the order of their creation.",
                    {"200": _json(_object(names=_array(_TEXT)))},
                )
            },
            f"{study}/events": {"parameters": [_NAME], "get": _READ, "post": _APPEND},
            f"{study}/snapshot": {"parameters": [_NAME], "get": _SNAPSHOT, "put": _KEEP_SNAPSHOT},
            f"{study}/checkpoints": {
                "parameters": [_NAME],
                "get": _operation(
                    "listCheckpoints",
                    "Every trial that has checkpoints, and after which steps.",
                    {"200": _json(_object(trials=_array(_object(trial=_STEP, steps=_STEPS))))},
                    "422",
                ),
            },
            f"{study}/checkpoints/{{trial}}": {
                "parameters": [_NAME, _path("trial", _STEP)],
                "get": _operation(
                    "listSteps",
                    "After which steps the trial has checkpoints.",
                    {"200": _json(_object(steps=_STEPS))},
                    "422",
                ),
            },
            f"{study}/checkpoints/{{trial}}/{{step}}": {
                "parameters": [_NAME, _path("trial", _STEP), _path("step", _STEP)],
                "get": _operation(
                    "getCheckpoint", "The checkpoint's tar file.", {"200": _TAR}, "404", "422"
                ),
                "put": {
                    **_operation(
                        "putCheckpoint",
                        "Keep a tar file as the checkpoint, all or nothing.",
                        {"204": {"description": "Kept."}},
                        "413",
                        "422",
                        "507",
                    ),
                    "requestBody": {"required": True, "content": _SOME_BYTES},
                },
                "delete": _operation(
                    "deleteCheckpoint",
                    "Delete the checkpoint if it is there.",
                    {"204": {"description": "It is not there any more."}},
                    "422",
                ),
            },
        },
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Error": _object(error={**_TEXT, "description": "One sentence."})},
            "responses": {status: _error(text) for status, text in _REFUSALS.items()},
        },
    }


_TEXT: Json = {"type": "string"}
_REFUSALS = {
    "401": "The token is missing or wrong.",
    "404": "There is none.",
    "409": "The log's last number is not the expected one; nothing was appended.",
    "413": "The body is too long.",
    "422": "The request is not as described here.",
    "500": "The server's store failed; nothing was written.",
    "507": "The server's disk is full or cannot be written.",
}


def _object(**properties: Json) -> Json:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _array(items: Json) -> Json:
    return {"type": "array", "items": items}


def _number(largest: int, smallest: int = 0) -> Json:
    return {"type": "integer", "minimum": smallest, "maximum": largest}


def _json(schema: Json, text: str = "Found.") -> Json:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _error(text: str) -> Json:
    return _json({"$ref": "#/components/schemas/Error"}, text)


def _path(name: str, schema: Json, text: str = "") -> Json:
    return {"name": name, "in": "path", "required": True, "schema": schema, "description": text}


def _operation(name: str, text: str, answers: Json, *refusals: str) -> Json:
    refused = {
        status: {"$ref": f"#/components/responses/{status}"} for status in ("401", *refusals, "500")
    }
    return {"operationId": name, "summary": text, "responses": {**answers, **refused}}


def _open(name: str, text: str, schema: Json) -> Json:
    return {
        "get": {
            "operationId": name,
            "summary": text,
            "security": [],
            "responses": {"200": _json(schema, text)},
        }
    }


_NUMBER = _number(LARGEST_NUMBER)
_STEP = _number(LARGEST_STEP)
_STEPS = _array(_STEP)
_BASE64: Json = {
    "type": "string",
    "contentEncoding": "base64",
    "pattern": "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)?$",
}
_BINARY: Json = {"type": "string", "format": "binary"}
_BYTES: Json = {"application/octet-stream": {"schema": _BINARY}}
_SOME_BYTES: Json = {"application/octet-stream": {"schema": {**_BINARY, "minLength": 1}}}
_TAR: Json = {"description": "A tar file.", "content": _BYTES}
_NAME = _path(
    "name",
    {"type": "string", "minLength": 1, "maxLength": LONGEST_NAME},
    "Any text, as percent-encoded UTF-8; a slash in it as %2F.",
)
_NUMBER_HEADER: Json = {
    "description": "The number of the last event that the snapshot holds.",
    "required": True,
    "schema": _NUMBER,
}
_READ: Json = {
    **_operation(
        "readEvents",
        "The events after a number, in order, as pairs of number and body. Ask again while `more`.",
        {
            "200": _json(
                _object(
                    events=_array(
                        {
                            **_array({"anyOf": [_NUMBER, _BASE64]}),
                            "minItems": 2,
                            "maxItems": 2,
                            "description": "Number and body.",
                        }
                    ),
                    more={"type": "boolean"},
                )
            )
        },
        "422",
    ),
    "parameters": [
        {"name": "since", "in": "query", "schema": {**_NUMBER, "default": 0}},
        {
            "name": "limit",
            "in": "query",
            "description": "The most events to answer with.",
            "schema": _number(PAGE, smallest=1),
        },
        {
            "name": "wait",
            "in": "query",
            "description": "When there are no events yet: seconds to wait for one.",
            "schema": {"type": "number", "minimum": 0, "maximum": LONGEST_WAIT, "default": 0},
        },
    ],
}
_APPEND: Json = {
    **_operation(
        "appendEvents",
        "Append all events or none.",
        {"200": _json(_object(last=_NUMBER), "The number of the last event.")},
        "409",
        "413",
        "422",
    ),
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "description": "A text that no other append has: one that is sent again, because the "
            "answer was lost, gets the answer of the first time.",
            "schema": {"type": "string", "pattern": KEY_PATTERN},
        }
    ],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "bodies": {
                            **_array(_BASE64),
                            "description": "Luthier's events, each as MessagePack.",
                        },
                        "expect": {
                            "anyOf": [_NUMBER, {"type": "null"}],
                            "description": "Append only if this is the log's last number.",
                        },
                    },
                    "required": ["bodies"],
                    "additionalProperties": False,
                }
            }
        },
    },
}
_SNAPSHOT: Json = _operation(
    "readSnapshot",
    "The newest kept fold of the log.",
    {
        "200": {
            "description": "The snapshot.",
            "headers": {"Luthier-Number": _NUMBER_HEADER},
            "content": _BYTES,
        }
    },
    "404",
    "422",
)
_KEEP_SNAPSHOT: Json = {
    **_operation(
        "keepSnapshot",
        "Keep a fold of the log, in place of the one before.",
        {"204": {"description": "Kept."}},
        "413",
        "422",
    ),
    "parameters": [{"name": "Luthier-Number", "in": "header", **_NUMBER_HEADER}],
    "requestBody": {"content": _BYTES},
}
