from pathlib import Path

import pytest

from cluster.images import Image


@pytest.fixture
def image(tmp_path: Path) -> Image:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    source = tmp_path / "source"
    source.mkdir()
    (source / "a.py").write_text("a = 1\n")
    return Image(name="it", dockerfile=tmp_path / "Dockerfile", sources=lambda: {"source": source})


def test_the_tag_follows_the_content(image: Image, tmp_path: Path):
    before = image.reference
    (tmp_path / "source/a.py").write_text("a = 2\n")
    assert image.reference != before
    (tmp_path / "source/a.py").write_text("a = 1\n")
    assert image.reference == before


def test_a_renamed_file_and_another_dockerfile_change_the_key(image: Image, tmp_path: Path):
    before = image.key()
    (tmp_path / "source/a.py").rename(tmp_path / "source/b.py")
    renamed = image.key()
    (tmp_path / "Dockerfile").write_text("FROM other\n")
    assert len({before, renamed, image.key()}) == 3


def test_compiled_files_do_not_count(image: Image, tmp_path: Path):
    before = image.key()
    cache = tmp_path / "source/__pycache__"
    cache.mkdir()
    (cache / "a.cpython-311.pyc").write_bytes(b"x")
    assert image.key() == before


def test_another_base_is_another_image(image: Image):
    def on(name: str) -> str:
        base = Image(name=name, dockerfile=image.dockerfile, sources=lambda: {name: image.dockerfile})
        return Image(name="it", dockerfile=image.dockerfile, bases={"BASE": base}).key()

    assert on("one") != on("two")
