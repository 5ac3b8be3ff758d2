"""Many clips on disk: tar files in the WebDataset layout, and a manifest that says where every clip lies.

A folder holds `manifest.json` and `000000.tar`, `000001.tar`, …; in a tar, the files of a clip share its name. A shard
counts only once the manifest names it, so an interrupted writer loses at most the shard it was writing. One process
writes at a time: `writer.pid` says which.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import psutil

from training.data.clip import Clip
from training.errors import DataError

MANIFEST: Final = "manifest.json"
WRITER: Final = "writer.pid"
FORMAT: Final = "avatar-sdk shards 1"


class ShardWriter:
    """Writes clips into a folder, after those that are there already. A context manager."""

    def __init__(self, folder: Path, settings: Mapping[str, Any], clips_per_shard: int = 32) -> None:
        """Opens or continues a data set.

        Args:
            folder: is made when it does not exist.
            settings: how the clips were made; kept in the manifest, and must agree with what stands there.
            clips_per_shard: a shard is closed when it holds so many.

        Raises:
            DataError: the folder holds a data set that was made in another way, another process writes into it, or it
                cannot be written.
        """
        self.folder = folder
        self._clips_per_shard = clips_per_shard
        self._settings = json.loads(json.dumps(dict(settings)))
        self._pending: list[dict[str, Any]] = []
        self._file: tarfile.TarFile | None = None
        self._manifest: dict[str, Any] = {"format": FORMAT, "settings": self._settings, "shards": []}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _claim(folder)
        except OSError as error:
            raise DataError(f"{folder} cannot be made: {error.strerror}") from error
        if (folder / MANIFEST).is_file():
            self._manifest = read_manifest(folder)
            if self._manifest["settings"] != self._settings:
                (folder / WRITER).unlink()
                raise DataError(f"{folder} holds clips made with other settings; give another folder or delete it")

    @property
    def names(self) -> set[str]:
        """Names of the clips that are safely stored."""
        return {clip["name"] for shard in self._manifest["shards"] for clip in shard["clips"]}

    def add(self, clip: Clip) -> None:
        """Stores one clip.

        Raises:
            DataError: the disk is full or cannot be written; shards that were closed before are whole.
        """
        self.add_encoded(clip.name, clip.encode(), len(clip))

    def add_encoded(self, name: str, files: Mapping[str, bytes], frames: int) -> None:
        """Stores a clip that was encoded elsewhere. Raises as `add`."""
        try:
            if self._file is None:
                self._file = tarfile.open(self._partial, "w")  # noqa: SIM115 - closed with the shard
            places = {}
            for ending, data in files.items():
                member = tarfile.TarInfo(f"{name}.{ending}")
                member.size = len(data)
                places[ending] = [self._file.offset + tarfile.BLOCKSIZE, len(data)]
                self._file.addfile(member, io.BytesIO(data))
        except OSError as error:
            raise self._failed(error) from error
        self._pending.append({"name": name, "frames": frames, "files": places})
        if len(self._pending) >= self._clips_per_shard:
            self.close()

    def close(self) -> None:
        """Ends the shard that is being written and names it in the manifest.

        Raises:
            DataError: the disk is full or cannot be written; shards that were closed before are whole.
        """
        if self._file is None:
            return
        try:
            self._file.close()
            self._name_shard()
        except OSError as error:
            raise self._failed(error) from error

    def _name_shard(self) -> None:
        self._file = None
        shard = f"{len(self._manifest['shards']):06d}.tar"
        self._partial.replace(self.folder / shard)
        self._manifest["shards"].append({"file": shard, "clips": self._pending})
        self._pending = []
        fresh = self.folder / (MANIFEST + ".new")
        fresh.write_text(json.dumps(self._manifest))
        os.replace(fresh, self.folder / MANIFEST)

    @property
    def _partial(self) -> Path:
        return self.folder / "partial.tar"

    def _failed(self, error: OSError) -> DataError:
        """Drops the unfinished shard without writing another byte, and says so."""
        if self._file is not None and self._file.fileobj is not None:
            self._file.fileobj.close()
        self._file = None
        self._pending = []
        self._partial.unlink(missing_ok=True)
        return DataError(f"{self.folder} cannot be written: {error.strerror}; free some space and go on")

    def __enter__(self) -> ShardWriter:
        """Nothing is written yet."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Closes the shard; Ctrl-C loses nothing that was added."""
        if kind is None or not issubclass(kind, DataError):
            self.close()
        (self.folder / WRITER).unlink(missing_ok=True)


class Shards:
    """Random access to the clips of a folder."""

    def __init__(self, folder: Path) -> None:
        """Reads the manifest.

        Raises:
            DataError: there is none, it is damaged, or it names no clip.
        """
        self.folder = folder
        manifest = read_manifest(folder)
        self.settings: dict[str, Any] = manifest["settings"]
        self._places = [(shard["file"], clip) for shard in manifest["shards"] for clip in shard["clips"]]
        if not self._places:
            raise DataError(f"{folder} holds no clips")

    def __len__(self) -> int:
        """Clips."""
        return len(self._places)

    @property
    def picture(self) -> tuple[int, int] | None:
        """Width and height of whole pictures; None = the clips are face crops."""
        size = self.settings.get("picture")
        return None if size is None else (int(size[0]), int(size[1]))

    def frames(self, index: int) -> int:
        """Length of a clip."""
        return int(self._places[index][1]["frames"])

    def __getitem__(self, index: int) -> Clip:
        """Reads and decodes one clip.

        Raises:
            DataError: its shard is missing or damaged.
        """
        shard, place = self._places[index]
        try:
            with (self.folder / shard).open("rb") as file:
                return Clip.decode(place["name"], {ending: _read(file, *at) for ending, at in place["files"].items()})
        except OSError as error:
            raise DataError(f"{self.folder / shard} cannot be read: {error.strerror}") from error

    def __iter__(self) -> Iterator[Clip]:
        """All clips in order."""
        return (self[index] for index in range(len(self)))


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a folder.

    Raises:
        DataError: there is none, or it is damaged.
    """
    path = folder / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise DataError(
            f"{folder} has no {MANIFEST}; make clips with `python -m training synthesize` or `prepare`"
        ) from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if manifest.get("format") != FORMAT:
        raise DataError(f"{path} says it is {manifest.get('format')!r}; this version reads {FORMAT!r}")
    return manifest


def _claim(folder: Path) -> None:
    """Makes this process the folder's writer; one that has died is succeeded.

    Raises:
        DataError: another process writes.
    """
    path = folder / WRITER
    if path.is_file():
        writer = path.read_text().strip()
        if writer.isdigit() and int(writer) != os.getpid() and psutil.pid_exists(int(writer)):
            raise DataError(f"process {writer} writes into {folder}; wait until it is done, or delete {path}")
    path.write_text(str(os.getpid()))


def _read(file: Any, offset: int, size: int) -> bytes:
    file.seek(offset)
    return bytes(file.read(size))
