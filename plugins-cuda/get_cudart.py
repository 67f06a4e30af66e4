#!/usr/bin/env python3
"""Puts libcudart.so.12, which the JavaCPP presets are linked with, into a folder.

    get_cudart.py FOLDER

It is one file of 0.7 MB in the presets' jar of CUDA's libraries, which has 2 GB. The jar is where Maven takes
its artifacts from; only the parts that are needed are read. CUDA_PRESETS_VERSION names another version than
pom.xml.
"""

import io
import os
import pathlib
import re
import subprocess
import sys
import urllib.request
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
PLATFORM = "linux-x86_64"


class RemoteFile(io.RawIOBase):
    """A file at a URL, read in ranges."""

    def __init__(self, url):
        self.url = url
        self.position = 0
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD")) as answer:
            self.size = int(answer.headers["Content-Length"])

    def seekable(self):
        return True

    def readable(self):
        return True

    def tell(self):
        return self.position

    def seek(self, offset, whence=io.SEEK_SET):
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: self.size}[whence]
        self.position = start + offset
        return self.position

    def readinto(self, buffer):
        count = min(len(buffer), self.size - self.position)
        if count <= 0:
            return 0
        span = f"bytes={self.position}-{self.position + count - 1}"
        request = urllib.request.Request(self.url, headers={"Range": span})
        with urllib.request.urlopen(request) as answer:
            if answer.status != 206:
                sys.exit(f"{self.url}: the server gives no part of it; take libcudart from a CUDA toolkit")
            data = answer.read()
        buffer[: len(data)] = data
        self.position += len(data)
        return len(data)


def evaluate(expression):
    """What Maven makes of an expression in the project."""
    command = ["mvn", "-q", "-B", "-N", "-Dstyle.color=never", "help:evaluate", "-DforceStdout"]
    done = subprocess.run(
        [*command, "-Dexpression=" + expression], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return re.sub("\x1b\\[[0-9;]*m", "", done.stdout).strip()


def main(folder):
    version = os.environ.get("CUDA_PRESETS_VERSION") or evaluate("cuda.presets.version")
    repository = evaluate("project.repositories[0].url").rstrip("/")
    jar = f"{repository}/org/bytedeco/cuda/{version}/cuda-{version}-{PLATFORM}-redist.jar"
    name = "libcudart.so." + version.split(".")[0]
    with zipfile.ZipFile(io.BufferedReader(RemoteFile(jar), 1 << 20)) as members:
        data = members.read(f"org/bytedeco/cuda/{PLATFORM}/{name}")
    target = pathlib.Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    (target / name).write_bytes(data)
    print(target / name)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
