import gzip
import re

import pytest

from model.file_kinds import foreign_kind

SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><circle r="4"/></svg>'
KINDS = [
    (SVG, "SVG.*PNG"),
    (b'<?xml version="1.0"?>\n<!-- drawn -->\n' + SVG, "SVG.*PNG"),
    (b"\xef\xbb\xbf  " + SVG, "SVG.*PNG"),
    (gzip.compress(SVG), "gzip.*unpack.*SVG"),
    (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "HEIC.*JPEG or PNG"),
    (b"\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00mif1heic", "HEIC.*JPEG or PNG"),
    (b"\x00\x00\x00\x20ftypavif\x00\x00\x00\x00avifmif1", "AVIF.*truncated.*uploaded whole"),
    (b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomavc1", "video.*JPEG or PNG"),
    (b"\xff\x0a\xfa\x1f", "JPEG XL.*JPEG or PNG"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "JPEG XL.*JPEG or PNG"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG 2000.*JPEG or PNG"),
    (b"%PDF-1.7", "PDF.*PNG"),
    (bytes(128) + b"DICM", "DICOM.*PNG"),
    (b"PK\x03\x04", "zip"),
    (b"II*\x00\x10\x00\x00\x00CR\x02\x00", "TIFF.*raw.*JPEG or PNG"),
    (b"II+\x00\x08\x00\x00\x00", "BigTIFF.*JPEG or PNG"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS.*git lfs pull"),
    (b'<?xml version="1.0"?><!DOCTYPE html PUBLIC "-//W3C"><html>', "web page and no image"),
    (b"\n<!DOCTYPE html><html><title>Log in</title>", "web page.*login"),
]


@pytest.mark.parametrize(("data", "sentence"), KINDS, ids=[sentence for _, sentence in KINDS])
def test_each_kind_is_named_with_what_to_do(data, sentence):
    assert re.search(sentence, foreign_kind(data) or "")


@pytest.mark.parametrize("data", [b"", b"hello", b"<?xml version='1.0'?><note/>", bytes(500)])
def test_nothing_is_said_of_what_is_not_known(data):
    assert foreign_kind(data) is None
