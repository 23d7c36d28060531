"""A PostgreSQL server of one's own: temporary, reached over a Unix socket only, never run by root."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2

_PATIENCE_SECONDS = 60.0
_USER = "airflow"
_UNPRIVILEGED = ("postgres", "nobody")
_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "200",
    # Nobody needs the data after the server is gone.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
}


def binaries() -> Path | None:
    """Folder of PostgreSQL's server programs, which Debian keeps off the PATH; None: not installed."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    found = shutil.which("postgres")
    candidates = [*([Path(found).resolve().parent] if found else []), *reversed(debian)]
    return next(
        (path for path in candidates if all((path / n).exists() for n in ("initdb", "postgres"))), None
    )


@dataclass
class PostgreSQL:
    """
    One server with an empty database; a context manager.

    Who may enter its folder may connect, so there is no password: nobody but its owner and root may.
    """

    programs: Path
    folder: Path = field(init=False)
    _owner: dict[str, Any] = field(init=False, default_factory=dict)
    _process: subprocess.Popen[bytes] | None = field(init=False, default=None)

    @property
    def url(self) -> str:
        """The database as Airflow's `sql_alchemy_conn` names it."""
        # The driver is named: which one is meant by default depends on SQLAlchemy's version.
        return f"postgresql+psycopg2://{_USER}@/postgres?host={self.folder}"

    def __enter__(self) -> PostgreSQL:
        self.folder = Path(tempfile.mkdtemp(prefix="airflow-spark-k8s-db-"))
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the server and remove its folder; safe to call twice."""
        self.halt()
        self._process = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def halt(self) -> None:
        """End the server, and with it every connection; its data stays."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)  # "fast": connections are cut
            self._process.wait()

    def resume(self) -> None:
        """Start the server if it does not run."""
        if self._process is not None and self._process.poll() is None:
            return
        settings = {**_SETTINGS, "unix_socket_directories": str(self.folder)}
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self.programs / "postgres"), "-D", str(self.folder / "data"), *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C goes to the whole foreground group; the tests decide when the server ends.
                start_new_session=True,
                cwd=self.folder,
                **self._owner,
            )
        self._wait_until_ready()

    def execute(self, statement: str, values: tuple[Any, ...] = ()) -> int:
        """Run and commit one statement; returns the number of rows it touched."""
        connection = psycopg2.connect(user=_USER, dbname="postgres", host=str(self.folder))
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(statement, values)
                return cursor.rowcount
        finally:
            connection.close()

    def _start(self) -> None:
        owner = self._owner = _owner(self.folder)
        data = str(self.folder / "data")
        create = [str(self.programs / "initdb"), "-D", data, "-U", _USER, "-A", "trust", "-E", "UTF8"]
        done = subprocess.run(
            [*create, "--no-locale", "--no-sync"],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            **owner,
        )
        if done.returncode != 0:
            raise RuntimeError(f"initdb failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        self.resume()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                self.execute("SELECT 1")
                return
            except psycopg2.OperationalError as error:
                ended = self._process is None or self._process.poll() is not None
                if ended or time.monotonic() > deadline:
                    log = (self.folder / "server.log").read_text(errors="replace")
                    raise RuntimeError(f"PostgreSQL did not start: {error}\n{log[-2000:]}") from error
                time.sleep(0.1)


def _owner(folder: Path) -> dict[str, Any]:
    """Arguments of `subprocess` for the user that the server runs as, who owns `folder` afterwards."""
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    user = next(names[name] for name in _UNPRIVILEGED if name in names)
    os.chown(folder, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
