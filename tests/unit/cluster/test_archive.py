import io
import json
import tarfile
from pathlib import Path

import pytest

from cluster.archive import Archive


def tar(files: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            if name.endswith("/"):
                entry.type = tarfile.DIRTYPE
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return target.getvalue()


def archive(folder: Path, *layers: dict[str, bytes]) -> Archive:
    """An image of these layers."""
    names = [f"{number}.tar" for number in range(len(layers))]
    content = {name: tar(layer) for name, layer in zip(names, layers, strict=True)}
    content["c.json"] = json.dumps({"config": {"User": "1:1"}}).encode()
    content["manifest.json"] = json.dumps([{"Config": "c.json", "Layers": names}]).encode()
    (folder / "image.tar").write_bytes(tar(content))
    return Archive(folder / "image.tar")


def test_a_later_layer_lies_over_an_earlier_one(tmp_path: Path):
    image = archive(tmp_path, {"./usr/": b"", "./usr/a": b"old", "./usr/b": b"b"}, {"usr/a": b"new"})
    assert image.paths() == ["usr/a", "usr/b"]
    assert (image.read("usr/a"), image.read("usr/b")) == (b"new", b"b")


def test_what_a_later_layer_deletes_is_gone(tmp_path: Path):
    first = {"usr/lib/": b"", "usr/lib/a": b"", "usr/lib/more/b": b"", "usr/lib64/c": b"", "usr/d": b"", "e": b""}
    image = archive(tmp_path, first, {"usr/.wh.lib": b"", ".wh.e": b""})
    assert image.paths() == ["usr/d", "usr/lib64/c"]


def test_a_folder_that_is_made_anew_holds_only_what_is_new(tmp_path: Path):
    image = archive(tmp_path, {"opt/a": b"", "opt/sub/b": b""}, {"opt/.wh..wh..opq": b"", "opt/c": b""})
    assert image.paths() == ["opt/c"]


def test_what_comes_again_is_there_again(tmp_path: Path):
    image = archive(tmp_path, {"a": b"1"}, {".wh.a": b""}, {"a": b"2"})
    assert image.read("a") == b"2"


def test_the_config_and_what_is_missing(tmp_path: Path):
    image = archive(tmp_path, {"a": b""})
    assert image.config() == {"User": "1:1"}
    with pytest.raises(KeyError):
        image.read("b")
