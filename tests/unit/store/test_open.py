"""Opening a store: what is there is never recreated, and what is wrong is said."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from evalkit.clock import SystemClock
from evalkit.errors import InputError, StoreError
from evalkit.store.open import open_store
from evalkit.testing.builders import a_run, an_outcome

_URL = "sqlite:///.evalkit/evalkit.db"


def _filled(root: Path) -> Path:
    with closing(open_store(_URL, root=root)) as store:
        store.open_run(a_run())
        store.append("run-1", [an_outcome(f"case-{n}", sequence=n) for n in range(50)])
    return root / ".evalkit" / "evalkit.db"


def test_relative_path_is_under_the_root(tmp_path):
    """The folder is made, and nothing but the database is left in it."""
    path = _filled(tmp_path)
    assert [found.name for found in path.parent.iterdir()] == ["evalkit.db"]


def test_absolute_path_is_taken_as_it_is(tmp_path):
    """Four slashes name a file anywhere."""
    open_store(f"sqlite:///{tmp_path}/elsewhere.db", root=Path("/nowhere")).close()
    assert (tmp_path / "elsewhere.db").is_file()


def test_store_is_in_wal_mode_with_foreign_keys(tmp_path):
    """Readers do not wait for the writer, waiting has an end, and no row outlives its outcome."""
    _filled(tmp_path)
    with closing(open_store(_URL, root=tmp_path)) as store, store._engine.connect() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 1, "foreign_keys": 1, "busy_timeout": 30_000}


def test_what_was_stored_is_there_when_opened_again(tmp_path):
    """Closing and opening loses nothing, payload dictionaries and words included."""
    _filled(tmp_path)
    with closing(open_store(_URL, root=tmp_path)) as store:
        assert list(store.outcomes("run-1")) == [an_outcome(f"case-{n}", sequence=n) for n in range(50)]


def test_clock_is_the_machines_unless_given(tmp_path):
    """Leases end by real time outside tests."""
    with closing(open_store(_URL, root=tmp_path)) as store:
        assert isinstance(store._clock, SystemClock)


@pytest.mark.parametrize(
    "url",
    ["mysql://user:hunter2@host/db", "sqlite+aiosqlite:///x.db", "postgresql://host/db", "nonsense", ""],
)
def test_unknown_kind_of_store_is_refused(tmp_path, url):
    """Only the two kinds there are; a password in the URL is not repeated."""
    with pytest.raises(InputError, match="not a kind of store") as caught:
        open_store(url, root=tmp_path)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:x?mode=ro", "sqlite:///x.db?a=b"])
def test_store_must_be_a_plain_file(tmp_path, url):
    """A store in memory would forget the run at its end."""
    with pytest.raises(InputError, match="plain file"):
        open_store(url, root=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"x", b"# not a database\n" * 400, b"PK\x03\x04" + 4092 * b"\0"])
def test_file_of_another_kind_is_left_alone(tmp_path, content):
    """A file that is no database keeps its bytes."""
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match="not a database"):
        open_store("sqlite:///notes.txt", root=tmp_path)
    assert path.read_bytes() == content


def test_database_of_somebody_else_is_left_alone(tmp_path):
    """Tables of another program are not mixed with ours."""
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    before = path.read_bytes()
    with pytest.raises(InputError, match="not one of evalkit's"):
        open_store("sqlite:///other.db", root=tmp_path)
    assert path.read_bytes() == before


def test_empty_file_is_not_taken_for_a_new_store(tmp_path):
    """A file that lost everything is not silently begun again."""
    path = _filled(tmp_path)
    path.write_bytes(b"")
    with pytest.raises(InputError, match="is empty"):
        open_store(_URL, root=tmp_path)
    assert path.read_bytes() == b""


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated_store_is_refused(tmp_path, share):
    """A file that was cut short is damaged, and is left as it is."""
    path = _filled(tmp_path)
    cut = path.read_bytes()[: int(share * path.stat().st_size)]
    path.write_bytes(cut)
    with pytest.raises((StoreError, InputError), match="next:"):
        open_store(_URL, root=tmp_path)
    assert path.read_bytes() == cut


def test_log_without_its_database_is_refused(tmp_path):
    """A store that was moved away without its log is not begun again over it."""
    path = tmp_path / ".evalkit" / "evalkit.db"
    path.parent.mkdir()
    path.with_name("evalkit.db-wal").write_bytes(b"frames")
    with pytest.raises(StoreError, match="write-ahead log"):
        open_store(_URL, root=tmp_path)


def test_folder_is_not_a_store(tmp_path):
    """A folder under the name is said to be one."""
    (tmp_path / ".evalkit" / "evalkit.db").mkdir(parents=True)
    with pytest.raises(InputError, match="is not a file"):
        open_store(_URL, root=tmp_path)


def test_file_on_the_way_is_said(tmp_path):
    """The store's folder cannot be made where a file stands."""
    (tmp_path / ".evalkit").write_text("")
    with pytest.raises(InputError, match="evalkit"):
        open_store(_URL, root=tmp_path)


_AS_ANOTHER_USER = """
import os, sys, tempfile
from pathlib import Path
from evalkit.errors import InputError
from evalkit.store.open import open_store
with tempfile.TemporaryDirectory() as elsewhere:
    open_store("sqlite:///warm.db", root=Path(elsewhere)).close()  # all modules are loaded while root may read them
if os.geteuid() == 0:
    os.setuid(65534)
try:
    open_store("sqlite:///evalkit.db", root=Path(sys.argv[1]))
except InputError as error:
    sys.exit(str(error))
"""


@pytest.mark.skipif(os.name != "posix", reason="file rights are POSIX")
@pytest.mark.parametrize(("file_mode", "folder_mode"), [(0o444, 0o555), (0o444, 0o777), (0o000, 0o777), (None, 0o555)])
def test_store_that_cannot_be_written_is_refused(file_mode, folder_mode):
    """Missing rights are an input error with a next step, whether the store is there or not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if file_mode is not None:
            open_store("sqlite:///evalkit.db", root=folder).close()
            (folder / "evalkit.db").chmod(file_mode)
        folder.chmod(folder_mode)
        command = [sys.executable, "-c", _AS_ANOTHER_USER, name]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        folder.chmod(0o755)
    assert done.returncode == 1, done.stderr
    assert "evalkit.db cannot be" in done.stderr
    assert "next: give this user" in done.stderr


def test_missing_postgres_driver_is_said(monkeypatch):
    """Without the extra, the message names it and hides the password."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(InputError, match="gateway-evalkit\\[postgres\\]") as caught:
        open_store("postgresql+psycopg://user:hunter2@host/db", root=Path())
    assert "hunter2" not in str(caught.value)


def test_opening_twice_keeps_the_locks_of_the_first(tmp_path):
    """Another process that comes and goes does not take the log of a store that is open twice here."""
    code = "from evalkit.store.open import open_store; from pathlib import Path; import sys\n"
    code += f"open_store({_URL!r}, root=Path(sys.argv[1])).close()"
    with closing(open_store(_URL, root=tmp_path)) as first:
        first.open_run(a_run())
        open_store(_URL, root=tmp_path).close()
        first.open_run(a_run("run-2"))
        subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
        first.open_run(a_run("run-3"))
        assert len(first.runs(project="demo", environment="test")) == 3
