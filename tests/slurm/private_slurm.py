"""A real Slurm on this machine: nodes with fake GPUs, in a folder, on loopback only.

No systemd, no cgroups, no root needed; ended by the process ids in its own pid files.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

NODES = ("n1", "n2", "n3")
DAEMONS = ("munged", "slurmctld", "slurmd", "sbatch")
ACCOUNTING = ("slurmdbd", "mariadbd", "mariadb-install-db", "mariadb")
SBIN = "/usr/sbin:/sbin"


def missing() -> str:
    """Why there can be no Slurm here; empty where there can."""
    lacking = [name for name in DAEMONS if not _found(name)]
    if lacking:
        return f"no {', '.join(lacking)} on this machine (Debian: slurm-wlm, munge)"
    try:
        address = socket.gethostbyname(socket.gethostname())
    except OSError:
        address = "nothing"
    if not address.startswith("127."):
        return f"{socket.gethostname()} resolves to {address}: the daemons would leave loopback"
    return ""


def has_accounting() -> bool:
    """Whether slurmdbd and MariaDB are installed."""
    return all(_found(name) for name in ACCOUNTING)


def _found(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ['PATH']}:{SBIN}")


class PrivateSlurm:
    """The cluster.

    Args:
        root: Its folder; short, since the path of a socket has at most 107 characters.
        accounting: Whether slurmdbd and MariaDB run too.
    """

    def __init__(self, root: Path, accounting: bool) -> None:
        self.root, self.accounting = root, accounting
        self.host = socket.gethostname().partition(".")[0]
        self.user = subprocess.check_output(["id", "-un"], text=True).strip()
        self.ports = _free_ports(2 + len(NODES))
        self._database: subprocess.Popen | None = None
        self.conf = root / "etc" / "slurm.conf"
        path = f"{os.environ['PATH']}:{SBIN}"
        self.environment = os.environ | {"SLURM_CONF": str(self.conf), "PATH": path}

    def start(self) -> None:
        """Start everything and wait until all nodes are idle."""
        for name in ("etc", "log", "run", "state", *(f"spool/{node}" for node in NODES)):
            (self.root / name).mkdir(parents=True)
        for folder in (self.root, *self.root.iterdir()):
            folder.chmod(0o755)
        self._start_munge()
        if self.accounting:
            self._start_database()
        self._write_configuration()
        if self.accounting:
            self._start_accounting()
        self.start_controller()
        for node in NODES:
            self.start_node(node)

    def start_controller(self) -> None:
        """Start slurmctld, which goes on from its saved state, and wait until it answers."""
        self._run("slurmctld")
        self._until("scontrol", "ping", says="is UP")

    def kill_controller(self) -> None:
        """Kill slurmctld as a failing machine would; jobs run on, and nobody can ask or submit."""
        pid = self._pid("slurmctld")
        os.kill(pid, signal.SIGKILL)
        while Path(f"/proc/{pid}").exists():  # its port must be free for the next one
            time.sleep(0.05)

    def start_node(self, node: str) -> None:
        """Start a node's slurmd and wait for it to be of use."""
        self._run("slurmd", "-N", node)
        self._until("sinfo", "-h", "-n", node, "-t", "idle,mixed,allocated", "-No", "%N", says=node)

    def kill_node(self, node: str) -> None:
        """Kill a node's slurmd as a failing machine would; its jobs' processes live on."""
        os.kill(self._pid(f"slurmd-{node}"), signal.SIGKILL)

    def stop(self) -> None:
        """End all jobs and daemons."""
        self._try("scancel", "--user", self.user)
        deadline = time.monotonic() + 30
        while self._try("squeue", "-h") and time.monotonic() < deadline:
            time.sleep(0.2)
        # The last one keeps what the others write.
        nodes = [f"slurmd-{node}" for node in NODES]
        for name in (*nodes, "slurmctld", "slurmdbd", "my/my", "munged"):
            self._end(name)
        # Without cgroups, what has lost its parent outlives its job.
        for pid in self._processes():
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.root, ignore_errors=True)

    def ask(self, *command: str) -> str:
        """What a command of Slurm prints."""
        return self._run(*command)

    def _start_munge(self) -> None:
        key = self.root / "etc" / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(1024))
        run = self.root / "run"
        self._run(
            "munged", f"--key-file={key}", f"--socket={run}/munge.socket", "--num-threads=2",
            f"--pid-file={run}/munged.pid", f"--seed-file={run}/munge.seed",
            f"--log-file={self.root}/log/munged.log",
        )  # fmt: skip
        self._until("munge", "-n", "-S", f"{run}/munge.socket", says="MUNGE")

    def _start_database(self) -> None:
        owner = "mysql" if self.user == "root" else self.user
        data, run = self.root / "db", self.root / "run" / "my"
        for folder in (data, run):
            folder.mkdir()
            if self.user == "root":
                shutil.chown(folder, owner)
        common = ["--no-defaults", f"--user={owner}", f"--datadir={data}"]
        self._run("mariadb-install-db", *common, "--skip-test-db")
        # Without a session of its own it would die with the shell of the tests.
        self._database = subprocess.Popen(
            [
                _found("mariadbd"), *common, f"--socket={run}/my.sock", f"--pid-file={run}/my.pid",
                "--skip-networking", "--innodb-buffer-pool-size=64M",
                "--innodb-lock-wait-timeout=900", f"--log-error={self.root}/log/mariadb.log",
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        client = ["mariadb", "--no-defaults", "-S", f"{run}/my.sock", "-e"]
        self._until(*client, "SELECT 'ready'", says="ready")
        self._run(
            *client,
            "CREATE DATABASE slurm_acct_db; CREATE USER 'slurm'@'localhost' IDENTIFIED BY 'slurm';"
            "GRANT ALL ON slurm_acct_db.* TO 'slurm'@'localhost'",
        )

    def _start_accounting(self) -> None:
        socket_file = self.root / "run" / "my" / "my.sock"
        self._run("slurmdbd", MYSQL_UNIX_PORT=str(socket_file))
        self._until("sacctmgr", "-n", "show", "configuration", says="DbdHost")
        for what in ("cluster test", "account test Cluster=test", f"user {self.user} Account=test"):
            self._try("sacctmgr", "-i", "-n", "add", *what.split())

    def _write_configuration(self) -> None:
        here = Path(__file__).parent
        values = {
            "root": self.root, "host": self.host, "user": self.user, "ctld": self.ports[0],
            "dbd": self.ports[1], **dict(zip(NODES, self.ports[2:], strict=True)),
        }  # fmt: skip
        names = ["slurm.conf", "gres.conf"] + ["slurmdbd.conf"] * self.accounting
        for name in names:
            text = (here / "etc" / name).read_text()
            if name == "slurm.conf" and self.accounting:
                text += (here / "etc" / "accounting.conf").read_text()
            file = self.root / "etc" / name
            file.touch(mode=0o600 if name == "slurmdbd.conf" else 0o644)
            file.write_text(text.format(**values))

    def _run(self, *command: str, **environment: str) -> str:
        done = subprocess.run(
            command, capture_output=True, text=True, env=self.environment | environment, timeout=120
        )
        assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
        return done.stdout

    def _try(self, *command: str) -> str:
        """The same where failing is an answer too."""
        done = subprocess.run(command, capture_output=True, text=True, env=self.environment)
        return done.stdout

    def _until(self, *command: str, says: str) -> None:
        deadline = time.monotonic() + 60
        while says not in self._try(*command):
            assert time.monotonic() < deadline, f"{' '.join(command)} never said {says}"
            time.sleep(0.1)

    def _pid(self, name: str) -> int:
        return int((self.root / "run" / f"{name}.pid").read_text())

    def _processes(self) -> Iterator[int]:
        """What still runs of jobs: they were told where this cluster's configuration is."""
        ours = f"SLURM_CONF={self.conf}".encode()
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    if ours in (entry / "environ").read_bytes().split(b"\0"):
                        yield int(entry.name)
                except OSError:
                    continue  # ended meanwhile

    def _end(self, name: str) -> None:
        try:
            pid = self._pid(name)
            os.kill(pid, signal.SIGTERM)
        except (OSError, ValueError):
            return  # it never started, or a test ended it
        deadline = time.monotonic() + 20
        while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
            if self._database:
                self._database.poll()  # our own child: else it would stay in the list of processes
            time.sleep(0.1)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
