"""Downloads beside nginx, which serves the same files in the same run; writes docs/reference/speed/downloads.md.

    python -m benchmarks.downloads FOLDER        (a folder on tmpfs; needs nginx and wrk)

Rivals take turns within each round, so that another load meets all of them.
"""

from __future__ import annotations

import os
import platform
import re
import secrets
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx

from benchmarks import crowds
from benchmarks.crowds import Served
from benchmarks.figures_page import write_figures
from stager.records.migrate import migrate

ROUNDS = 7
GIB, KIB = 1024**3, 1024
SMALL_FILES, CONNECTIONS, SECONDS = 200, 8, 3
PARTS = 8
SECRET = secrets.token_hex(16)
BEHIND_NGINX = {"STAGER_NGINX_FILES": "/stager-files", "STAGER_NGINX_SECRET": SECRET}
CHECKOUT = Path(__file__).parents[1]
PAGE = CHECKOUT / "docs" / "reference" / "speed" / "downloads.md"
STATIC = """
worker_processes {workers}; daemon off; pid {folder}/static.pid; error_log {folder}/static.log;
user root;
events {{ worker_connections 1024; }}
http {{ access_log off; sendfile on; tcp_nopush on; server {{ listen 127.0.0.1:{port}; root {storage}; }} }}
"""

Rival = tuple[str, str]  # its name, and the address that a file's name follows


def free_port() -> int:
    """Return a TCP port of the loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def running(command: list[str], url: str, **env: str) -> Iterator[int]:
    """Run a server until the body ends."""
    with subprocess.Popen(
        command, env={**os.environ, **env}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as it:
        try:
            deadline = time.monotonic() + 60
            while True:
                try:
                    httpx.get(url)
                    break
                except httpx.HTTPError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.1)
            yield it.pid
        finally:
            it.terminate()


@contextmanager
def door(folder: Path, storage: Path, **settings: str) -> Iterator[Served]:
    """Serve the service as it is served in earnest, with records in SQLite on the disk."""
    folder.mkdir()
    port, database = free_port(), f"sqlite:///{folder}/records.db"
    migrate(database)
    env = {
        "SOURCE_STORAGE_PATH": str(storage),
        "TARGET_STORAGE_PATH": str(folder),
        "STAGER_DATABASE_URL": database,
        "STAGER_LOG_FILE": str(folder / "log"),
        "PREFECT_API_URL": f"http://127.0.0.1:{free_port()}/api",
        "PREFECT_HOME": str(folder),
        **settings,
    }
    command = [sys.executable, "-m", "granian", "--interface", "asgi", "--factory", "stager.app:create_app"]
    options = ["--http", "1", "--host", "127.0.0.1", "--port", str(port), "--no-access-log", "--log-level", "warning"]
    options += ["--workers-kill-timeout", "10"]
    with running([*command, *options], f"http://127.0.0.1:{port}/config", **env) as pid:
        yield f"http://127.0.0.1:{port}", pid


@contextmanager
def nginx(folder: Path, text: str, port: int) -> Iterator[str]:
    """Serve by an nginx with a configuration."""
    config = folder / f"nginx-{port}.conf"
    config.write_text(text)
    with running(
        [shutil.which("nginx", path="/usr/sbin:/usr/bin") or "nginx", "-c", str(config)], f"http://127.0.0.1:{port}/"
    ):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def rivals(folder: Path, storage: Path) -> Iterator[list[Rival]]:
    """Serve the same files by each rival: nginx alone, the service, the service behind the shipped nginx."""
    shipped = (CHECKOUT / "deployments" / "nginx" / "nginx.conf").read_text()
    with ExitStack() as stack:
        ports = [free_port() for _ in range(2)]
        static = STATIC.format(workers=1, folder=folder, port=ports[0], storage=storage)
        alone = stack.enter_context(nginx(folder, static, ports[0]))
        ours, _ = stack.enter_context(door(folder / "alone", storage))
        behind, _ = stack.enter_context(door(folder / "behind", storage, **BEHIND_NGINX))
        text = shipped.replace("SERVICE;", f"{behind.removeprefix('http://')};").replace(
            "LISTEN;", f"127.0.0.1:{ports[1]};"
        )
        text = f"user root;\ndaemon off;\n{text}".replace("/tmp/nginx", f"{folder}/shipped")  # noqa: S108 - replaced
        (folder / "secret.conf").write_text(f"proxy_set_header X-Stager-Secret {SECRET};")
        front = stack.enter_context(nginx(folder, text, ports[1]))
        yield [
            ("nginx", f"{alone}/"),
            ("the service", f"{ours}/files/source/"),
            ("the service behind nginx", f"{front}/files/source/"),
        ]


def seconds_of(*commands: list[str]) -> float:
    """Return how long some commands take that run side by side."""
    began = time.perf_counter()
    processes = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for command in commands]
    for process in processes:
        if process.wait():
            raise subprocess.CalledProcessError(process.returncode, process.args)
    return time.perf_counter() - began


def _curl(url: str, *options: str) -> list[str]:
    return ["curl", "--silent", "--fail", "--output", "/dev/null", *options, url]


def whole(base: str) -> float:
    """Return the seconds of one file of 1 GiB."""
    return seconds_of(_curl(f"{base}large"))


def parts_in_turn(base: str) -> float:
    """Return the seconds of the same file by ranges, one after the other on one connection."""
    step = GIB // PARTS
    ranges = [part for n in range(PARTS) for part in ("--range", f"{n * step}-{(n + 1) * step - 1}")]
    commands = [
        word
        for n in range(PARTS)
        for word in (*(["--next"] if n else []), *_curl(f"{base}large", *ranges[2 * n : 2 * n + 2])[1:])
    ]
    return seconds_of(["curl", *commands])


def parts_at_once(base: str) -> float:
    """Return the seconds of the same file by two halves side by side."""
    return seconds_of(
        _curl(f"{base}large", "--range", f"0-{GIB // 2 - 1}"), _curl(f"{base}large", "--range", f"{GIB // 2}-")
    )


def small_files(base: str) -> float:
    """Return the seconds of one of many files of 64 KiB, asked for by several connections."""
    path = "/" + base.split("/", 3)[3]
    asks = f'n = (n + 1) % {SMALL_FILES}\nreturn wrk.format("GET", "{path}small/" .. n)'
    script = f"local n = 0\nrequest = function() {asks} end\n"
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(script)
        file.flush()
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "-s", file.name, "/".join(base.split("/", 3)[:3])]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in said:
        raise RuntimeError(said)
    return 1 / float(re.findall(r"Requests/sec:\s+([\d.]+)", said)[0])


def compared(title: str, measure: Callable[[str], float], contenders: list[Rival], *, as_rate: bool) -> Iterator[str]:
    """Yield a table of medians, and of each rival's speed by nginx's within the same round."""
    for _, base in contenders:
        measure(base)
    rounds = [[measure(base) for _, base in contenders] for _ in range(ROUNDS)]
    yield f"\n### {title}\n"
    unit, beside = "files/s" if as_rate else "s", "its speed / nginx's in the same round"
    yield f"| | median {unit} | range | {beside}: median | range |\n|---|---|---|---|---|"
    for place, (name, _) in enumerate(contenders):
        taken = [1 / row[place] if as_rate else row[place] for row in rounds]
        speed = [row[0] / row[place] for row in rounds]
        figure = "{:,.0f}" if as_rate else "{:.3f}"
        median, least, most = (figure.format(value) for value in (statistics.median(taken), min(taken), max(taken)))
        ratio = f"{statistics.median(speed):.2f} | {min(speed):.2f} to {max(speed):.2f}"
        yield f"| {name} | {median} | {least} to {most} | {ratio} |"


def figures(memory: Path) -> Iterator[str]:
    """Yield all tables, and what they were measured on."""
    yield (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, Linux {platform.release()}, "
        f"Python {platform.python_version()}, load {os.getloadavg()[0]:.1f} before.\n"
        f"Medians of {ROUNDS} rounds in turns, after one to warm up."
    )
    with tempfile.TemporaryDirectory(dir=memory) as name, tempfile.TemporaryDirectory() as folder:
        storage = Path(name)
        for one in (name, folder):
            Path(one).chmod(0o755)  # as a site's areas are: users may enter
        _fill(storage)
        with rivals(Path(folder), storage) as contenders:
            yield from compared("1 GiB, whole", whole, contenders, as_rate=False)
            yield from compared(f"1 GiB by {PARTS} ranges in turn", parts_in_turn, contenders, as_rate=False)
            yield from compared("1 GiB by two ranges at once", parts_at_once, contenders, as_rate=False)
            title = f"Files of 64 KiB, {CONNECTIONS} connections"
            yield from compared(title, small_files, contenders, as_rate=True)
        yield from crowds.beside_them(lambda name: door(Path(folder) / name, storage))
        with door(Path(folder) / "listing", storage) as (url, _):
            yield from crowds.listing(url, storage / "many", ROUNDS)


def _fill(storage: Path) -> None:
    block = os.urandom(1024 * KIB)
    with (storage / "large").open("wb") as stream:
        for _ in range(GIB // len(block)):
            stream.write(block)
    (storage / "small").mkdir()
    for number in range(SMALL_FILES):
        (storage / "small" / str(number)).write_bytes(os.urandom(64 * KIB))
    crowds.fill(storage / "many")
    time.sleep(3)  # what is being written has no checksum that counts


def main() -> None:
    """Measure, print, and write between the marks of the page."""
    write_figures(PAGE, figures(Path(sys.argv[1])))


if __name__ == "__main__":
    main()
