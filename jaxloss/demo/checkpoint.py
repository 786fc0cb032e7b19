"""Save and restore a run with orbax, and refuse a directory that holds anything else.

A directory belongs to one run: `jaxloss-demo.json` says which. Beside it orbax keeps the last two
states, each with a digest of its contents; orbax renames a state into place when it is complete, so
that a killed run leaves whole states only.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

MARK = "jaxloss-demo.json"


class Checkpoints:
    """The saved states of one run."""

    def __init__(self, directory: Path, identity: dict[str, Any]) -> None:
        """Open or create a directory.

        Args:
          directory: where the states are kept.
          identity: what another run must share to go on from here; goes into a JSON file.

        Raises:
          ValueError: if the directory holds something else, or another run.
        """
        _claim(directory, identity)
        self.directory = directory
        options = ocp.CheckpointManagerOptions(
            max_to_keep=2, cleanup_tmp_directories=True, enable_async_checkpointing=False
        )
        self._manager = ocp.CheckpointManager(directory.absolute(), options=options)

    def save(self, step: int, state: Any) -> None:
        """Save a pytree of arrays and numbers as the state after `step`."""
        items = ocp.args.Composite(
            state=ocp.args.StandardSave(state), digest=ocp.args.JsonSave(_digest(state))
        )
        self._manager.save(step, args=items, force=True)

    def restore(self, like: Any) -> tuple[int, Any] | None:
        """Return the newest step and its state, of the structure of `like`; None if there is none.

        Raises:
          ValueError: if it cannot be read, or is not what was saved.
        """
        step = self._manager.latest_step()
        if step is None:
            return None
        items = ocp.args.Composite(
            state=ocp.args.StandardRestore(like), digest=ocp.args.JsonRestore()
        )
        try:
            saved = self._manager.restore(step, args=items)
            # orbax does not look at the shapes of what it is asked for.
            intact = _shapes(saved["state"]) == _shapes(like)
            intact = intact and _digest(saved["state"]) == saved["digest"]
        except Exception as error:  # of any kind, from any of the libraries that orbax reads with
            raise self._corrupted(step) from error
        if not intact:
            raise self._corrupted(step)
        return step, saved["state"]

    def _corrupted(self, step: int) -> ValueError:
        return ValueError(
            f"--checkpoint: the state of step {step} in {self.directory} is corrupted or of another"
            f" version; delete {self.directory / str(step)} to go on from the state before it, or"
            " give another directory to start again."
        )

    def close(self) -> None:
        """Release what orbax holds."""
        self._manager.close()


def _claim(directory: Path, identity: dict[str, Any]) -> None:
    """Mark a new directory as this run's, or check that an old one is."""
    if directory.exists() and not directory.is_dir():
        raise ValueError(f"--checkpoint: {directory} is not a directory; give a directory.")
    mark = directory / MARK
    if mark.exists():
        _require_same(directory, _read(mark), identity)
    elif directory.exists() and any(directory.iterdir()):
        raise ValueError(
            f"--checkpoint: {directory} is not empty and holds no run of the demo (no {MARK}); "
            "give a new or an empty directory."
        )
    else:
        directory.mkdir(parents=True, exist_ok=True)
        mark.write_text(json.dumps(identity) + "\n")


def _read(mark: Path) -> dict[str, Any]:
    try:
        found = json.loads(mark.read_text())
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ValueError(
            f"--checkpoint: {mark} is corrupted, so the run in {mark.parent} is unknown; give "
            "another directory."
        )
    return found


def _require_same(directory: Path, found: dict[str, Any], identity: dict[str, Any]) -> None:
    if found != identity:
        raise ValueError(
            f"--checkpoint: {directory} holds another run ({_say(found)}); this one is "
            f"{_say(identity)}. Give the same options to go on with it, or another directory."
        )


def _say(identity: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in identity.items())


def _shapes(state: Any) -> Any:
    return jax.tree.map(np.shape, state)


def _digest(state: Any) -> dict[str, str]:
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        array = np.asarray(leaf)
        digest.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return {"sha256": digest.hexdigest()}
