"""A child leaves after its parent, even in the middle of a picture and while a fork of the parent holds its pipes."""

import subprocess
import sys
import time

from tests.ml.images.conftest import SERVE
from tests.ml.images.test_decoder_process import ROOT, is_there, wait_until_gone
from tests.ml.pictures import FIXTURES

PARENT = f"""
import os, sys, time
from ml.images import decoder_process
serve = {SERVE!r}
impatient = "from ml.images import decoder_child as child; child.IDLE_SECONDS = 0.1\\n"
decoder_process.PROGRAM = decoder_process.PROGRAM.replace(serve, impatient + serve)
child = decoder_process.DecoderProcess()
child.open(open(sys.argv[1], "rb").read(), None, to_decode=True)
if fork := os.fork():
    print(child.pid, fork, flush=True)
    sys.stdin.read()
    os._exit(0)
while True:
    time.sleep(0.1)
"""


def test_a_picture_that_is_open_keeps_no_child_from_leaving_after_its_parent():
    command = [sys.executable, "-c", PARENT, str(FIXTURES / "quarters.heic")]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        child, fork = map(int, parent.stdout.readline().split())
        try:
            time.sleep(0.3)
            assert is_there(child)  # while its parent is there it waits as long as it must
            parent.kill()
            wait_until_gone(child)
        finally:
            subprocess.run(["kill", "-9", str(fork)], check=True)
