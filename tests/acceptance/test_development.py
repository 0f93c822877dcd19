"""`make dev`, on a copy of the code: what is saved is seen within seconds, by the web process and by the workers."""

import pytest

from marketplace.middleware import PAGES
from tests.servers.stack import alive, copy_code

SETDEFAULT = 'response.headers.setdefault("Content-Security-Policy", PAGES)'


@pytest.fixture
def code(tmp_path):
    """The project's own code, to be changed."""
    return copy_code(tmp_path / "code")


def replace_in(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_what_is_saved_is_seen_within_seconds_and_nothing_is_left_at_the_end(new_stack, code):
    stack = new_stack(root=code, development=True)
    stack.start()
    visitor = stack.visitor()
    page = visitor.get("/").expect(200)
    assert 'id="djDebug"' in page.text
    assert page.headers["Content-Security-Policy"] == PAGES
    before, everything = stack.pids(), stack.all_pids()

    replace_in(code / "listings" / "templates" / "listings" / "home.html", "Find it by how it looks<", "Saved<")
    assert "Saved<" in visitor.get("/").expect(200).text
    assert stack.pids() == before

    replace_in(code / "marketplace" / "middleware.py", SETDEFAULT, f'{SETDEFAULT}; response.headers["X-Saved"] = "yes"')
    stack.wait_for(lambda: visitor.get("/").expect(200).headers["X-Saved"], "the web process has loaded what was saved")
    for name in ("embedding-1", "indexing", "default"):
        stack.wait_for_restart(name, before[name])
    assert (stack.pids()["broker"], stack.pids()["web"]) == (before["broker"], before["web"])

    everything |= stack.all_pids()
    assert stack.stop() == 0
    assert not any(alive(pid) for pid in everything)
