"""The requests about checkpoints."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from luthier.app.server import incoming
from luthier.app.server.checkpoint_files import CheckpointFiles

_BLOCK = 1 << 20
_ADVICE = (
    "Start luthier serve with a larger --max-checkpoint, or keep the checkpoints elsewhere: "
    'checkpoints="s3://bucket/runs".'
)


class CheckpointRoutes:
    """Takes, gives and deletes checkpoints; what is inside them is the workers' business."""

    def __init__(self, root: Path, largest: int) -> None:
        self._files = CheckpointFiles(root)
        self._files.delete_abandoned()
        self._largest = largest

    async def list_trials(self, request: Request) -> Response:
        """Answer which checkpoints the study has."""
        found = await run_in_threadpool(self._files.trials, incoming.study_name(request))
        return JSONResponse({"trials": [{"trial": t, "steps": s} for t, s in found.items()]})

    async def list_steps(self, request: Request) -> Response:
        """Answer after which steps the trial has checkpoints."""
        study, trial = incoming.study_name(request), incoming.step_number(request, "trial")
        found = await run_in_threadpool(self._files.trials, study)
        return JSONResponse({"steps": found.get(trial, [])})

    async def get(self, request: Request) -> Response:
        """Answer with the tar file."""
        which = _which(request)
        file = await run_in_threadpool(self._files.open, *which)
        if file is None:
            raise HTTPException(404, f"Trial {which[1]} has no checkpoint of step {which[2]}.")
        size = os.fstat(file.fileno()).st_size
        headers = {"Content-Length": str(size)}
        return StreamingResponse(
            _blocks(file), headers=headers, media_type="application/octet-stream"
        )

    async def put(self, request: Request) -> Response:
        """Take the tar file, all or nothing."""
        which = _which(request)
        try:
            with await run_in_threadpool(self._files.upload, *which) as upload:
                async for chunk in incoming.chunks(request, self._largest, _ADVICE):
                    await run_in_threadpool(upload.write, chunk)
                if not upload.size:
                    raise HTTPException(422, "The body is empty, expected a tar file.")
                await run_in_threadpool(upload.keep)
        except OSError as error:
            reason = error.strerror or "it cannot be written"
            raise HTTPException(
                507, f"The server did not keep the checkpoint: {reason}."
            ) from error
        return Response(status_code=204)

    async def delete(self, request: Request) -> Response:
        """Delete the tar file if it is there."""
        await run_in_threadpool(self._files.delete, *_which(request))
        return Response(status_code=204)


def _which(request: Request) -> tuple[str, int, int]:
    return (
        incoming.study_name(request),
        incoming.step_number(request, "trial"),
        incoming.step_number(request, "step"),
    )


def _blocks(file: BinaryIO) -> Generator[bytes]:
    with file:
        while block := file.read(_BLOCK):
            yield block
