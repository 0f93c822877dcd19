"""The folders of temporary files: a living process keeps its own, a killed one's is deleted by whoever looks next."""

import subprocess
import sys
import tempfile

from marketplace.serving.temporary import delete_left_folders

HOLD = """
import sys, tempfile
from pathlib import Path
from marketplace.serving.temporary import use_own_folder
lock = use_own_folder(Path(sys.argv[1]))
upload = tempfile.NamedTemporaryFile(suffix=".upload.jpg")
print(upload.name, flush=True)
sys.stdin.read()
"""


def test_a_killed_process_leaves_no_upload_and_a_living_one_loses_none(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        upload = process.stdout.readline().strip()
        assert upload.startswith(f"{tmp_path}/web-{process.pid}/")
        delete_left_folders(tmp_path)
        assert len(list(tmp_path.glob("web-*/*"))) == 1
        process.kill()
    (tmp_path / "web-0").symlink_to(tmp_path / "web-0")
    delete_left_folders(tmp_path)
    (tmp_path / "web-0").unlink()
    assert list(tmp_path.iterdir()) == []
    assert not tempfile.gettempdir().startswith(str(tmp_path))
