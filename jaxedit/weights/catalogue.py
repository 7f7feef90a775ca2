"""Which weights there are, which of them are on this machine, and how to get the others."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from jaxedit.weights import manifest, shipped
from jaxedit.weights.entry import Bundle, File, Published


def default_dir() -> Path:
    """Returns $JAXEDIT_WEIGHTS, or `jaxedit/weights` in the user's cache folder
    ($XDG_CACHE_HOME, or ~/.cache)."""
    if os.environ.get("JAXEDIT_WEIGHTS"):
        return Path(os.environ["JAXEDIT_WEIGHTS"]).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "jaxedit" / "weights"


def path_of(name: str, weights_dir: str | Path | None = None) -> Path:
    """Returns where the converted weights `name` are, or would be."""
    return Path(weights_dir or default_dir()).expanduser() / f"{name}.safetensors"


def is_here(name: str, weights_dir: str | Path | None = None) -> bool:
    """Whether the weights `name` come with the package or are in the weights folder."""
    return name in shipped.names() or path_of(name, weights_dir).is_file()


def how_to_get(name: str, weights_dir: str | Path | None = None) -> str:
    """Returns the line that says how to obtain the weights `name`.

    Raises:
      UserError: there are no such weights.
    """
    if name in manifest.trained():
        return manifest.how_to_train([name])
    entry = manifest.get(name)
    folder = path_of(name, weights_dir).parent
    setting = "" if folder == default_dir() else f"JAXEDIT_WEIGHTS={shlex.quote(str(folder))} "
    line = f"The weights {name!r} are not in {folder}. "
    if entry.by_hand:
        return line + by_hand(entry, setting)
    words = by_hand(entry, setting)
    return f"{line}Run: {setting}jaxedit weights get {name}. Or by hand: d{words[1:]}"


def how_to_get_all(names: Sequence[str], weights_dir: str | Path | None = None) -> str:
    """Returns what `how_to_get` says of each of `names`; what one command trains is said once.

    Raises:
      UserError: there are no such weights.
    """
    own = [name for name in names if name in manifest.trained()]
    lines = [how_to_get(name, weights_dir) for name in names if name not in own]
    return ". ".join(lines + ([manifest.how_to_train(own)] if own else []))


def by_hand(entry: Published | Bundle, setting: str = "") -> str:
    """Returns what a person does to obtain `entry`: where to go, what to take, what to run then.

    Args:
      entry: of the manifest.
      setting: stands before the command, such as "JAXEDIT_WEIGHTS=/data ".
    """
    details = []
    if len(entry.files) > 1:
        names = ", ".join(file.path for file in entry.files)
        details.append(f"into a folder, under these names: {names}")
    elif isinstance(entry, Published) and entry.file:
        details.append(f"the file {entry.file} in it")
    if entry.bytes:
        large = entry.bytes >= 100_000
        details.append(f"{entry.bytes / (1e6 if large else 1e3):,.1f} {'MB' if large else 'kB'}")
    if entry.by_hand:
        details.append(entry.by_hand)
    note = f" ({'; '.join(details)})" if details else ""
    word = "FOLDER" if len(entry.files) > 1 else "FILE"
    return (
        f"Download {entry.address}{note}, then run: "
        f"{setting}jaxedit weights convert {entry.name} {word}"
    )


def list_rows(weights_dir: str | Path | None = None) -> list[dict[str, str]]:
    """Returns one row per known weights, for `jaxedit weights list`.

    Keys: name, state ("shipped", "ready" or "absent"), what, path (ours), address, file, size,
    licence, digest, get (what to do to have them).
    """
    rows = []
    for name in shipped.names():
        ours = shipped.get(name)
        rows.append(
            {
                "name": name,
                "state": "shipped",
                "what": ours.what,
                "path": str(ours.file),
                "address": "this package",
                "file": "",
                "size": f"{ours.card['bytes']:,} bytes",
                "licence": ours.licence,
                "digest": f"SHA-256 {ours.card['sha256']}",
                "get": "comes with jaxedit",
            }
        )
    for name, entry in manifest.entries().items():
        path = path_of(name, weights_dir)
        several = isinstance(entry, Bundle)
        rows.append(
            {
                "name": name,
                "state": "ready" if path.is_file() else "absent",
                "what": entry.what,
                "path": str(path),
                "address": entry.address,
                "file": ", ".join(f.path for f in entry.files) if several else entry.file,
                "size": f"{entry.bytes:,} bytes" if entry.bytes else "not published",
                "licence": entry.licence,
                "digest": ", ".join(dict.fromkeys(_digest(file) for file in entry.files)),
                "get": entry.by_hand or f"jaxedit weights get {name}",
            }
        )
    folder = Path(weights_dir or default_dir()).expanduser()
    for one in manifest.as_published():
        here = bool(one.place) and (folder / one.place).is_file()
        rows.append(
            {
                "name": one.name,
                "state": "ready" if here else "absent",
                "what": one.what,
                "path": str(folder / one.place) if one.place else "wherever you name it",
                "address": one.address,
                "file": one.file,
                "size": "not published",
                "licence": one.licence,
                "digest": "not published",
                "get": one.use,
            }
        )
    return rows


def _digest(file: File) -> str:
    if file.sha256:
        return f"SHA-256 {file.sha256}"
    if file.sha256_prefix:
        return f"SHA-256 begins with {file.sha256_prefix}"
    return "not published"
