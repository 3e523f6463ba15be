"""The processes of a benchmark: started under one schedule, each ended by its own id, with their mounts and folders."""
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("KV_BIN", os.path.join(TOP, "build/bin"))
PASSTHROUGH = "/usr/share/doc/libfuse3-dev/examples/passthrough_ll.c"
START_SECONDS = 10


def tool(name):
    """A program of tests/bench, which `make bench` has built."""
    return os.path.join(os.path.dirname(BIN), "tests/bench", name)


class Subject:
    """A place to run a load in, and the daemon behind it."""

    def __init__(self, path, pid=None, scale=1.0):
        self.path, self.pid, self.scale = path, pid, scale

    def counts(self):
        """What the daemon has done so far: (write calls, waits). It writes once for each request that it answers; one
        of a server also for what it sends on. A wait is a switch to another process because there was nothing to do."""
        if not self.pid:
            return 0, 0
        with open(f"/proc/{self.pid}/io", encoding="ascii") as file:
            writes = next(int(line.split()[1]) for line in file if line.startswith("syscw"))
        waits = 0
        for thread in os.listdir(f"/proc/{self.pid}/task"):
            with open(f"/proc/{self.pid}/task/{thread}/status", encoding="ascii") as file:
                waits += next(int(line.split()[1]) for line in file if line.startswith("voluntary"))
        return writes, waits


class Rig:
    def __init__(self, pinned):
        self.pinned = pinned
        self.temp = tempfile.mkdtemp(prefix="kvfs-bench.", dir="/dev/shm")
        self.processes, self.mounts, self.made_folders = [], [], []

    def command(self, words):
        return (["taskset", "-c", "0"] if self.pinned else []) + list(words)

    def start(self, *command):
        process = subprocess.Popen(self.command(command), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                   stdin=subprocess.DEVNULL, text=True)
        self.processes.append(process)
        return process

    def run(self, *command):
        done = subprocess.run(self.command(command), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              check=False)
        if done.returncode:
            raise SystemExit(f"bench: {' '.join(command)}: {done.stderr.strip() or done.returncode}")
        return done.stdout

    def build(self, source, *flags):
        output = os.path.join(self.temp, os.path.basename(source)[:-2])
        libraries = subprocess.run(["pkg-config", "--cflags", "--libs", "fuse3"], check=True, text=True,
                                   stdout=subprocess.PIPE).stdout.split()
        subprocess.run(["cc", "-O2", "-std=gnu11", *flags, source, "-o", output] + libraries, check=True)
        return output

    def folder(self, name):
        path = os.path.join(self.temp, name)
        os.makedirs(path)
        return path

    def mount(self, name, *command, scale=1.0):
        """Starts command with a new mount point as its last word, and waits until something is mounted there."""
        path = self.folder(name + ".mnt")
        process = self.start(*command, path)
        device = os.stat(self.temp).st_dev
        await_for(lambda: os.stat(path).st_dev != device, process, f"nothing was mounted by {command[0]}")
        self.mounts.append(path)
        return Subject(path, process.pid, scale)

    def unmount(self, subject):
        """Ends one mount before the others."""
        subprocess.run(["umount", "-l", subject.path], check=False)
        self.mounts.remove(subject.path)
        process = next(process for process in self.processes if process.pid == subject.pid)
        self.processes.remove(process)
        end(process)

    def kvcored(self):
        process = self.start(os.path.join(BIN, "kvcored"), "--listen", "127.0.0.1:0")
        return process.stdout.readline().split()[-1], process

    def redis(self):
        port = free_port()
        process = self.start("redis-server", "--port", str(port), "--save", "", "--appendonly", "no")
        await_for(lambda: answers(port), process, "redis-server does not listen")
        return port

    def sshd(self):
        """An ssh server of our own: its port, keys and configuration end with the benchmark. Returns what sshfs needs."""
        where, port = self.folder("sshd"), free_port()
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{where}/{name}"], check=True)
        if not os.path.isdir("/run/sshd"): # where sshd parts from its privileges; Debian's service makes it
            os.mkdir("/run/sshd", 0o755)
            self.made_folders.append("/run/sshd")
        with open(f"{where}/config", "w", encoding="ascii") as file:
            file.write(f"Port {port}\nListenAddress 127.0.0.1\nHostKey {where}/host\nPidFile none\nUsePAM no\n"
                       f"AuthorizedKeysFile {where}/user.pub\nStrictModes no\nPasswordAuthentication no\n"
                       "PermitRootLogin prohibit-password\nSubsystem sftp /usr/lib/openssh/sftp-server\n")
        process = self.start("/usr/sbin/sshd", "-D", "-f", f"{where}/config")
        await_for(lambda: answers(port), process, "sshd does not listen")
        return ["-p", str(port), "-o", f"IdentityFile={where}/user", "-o", "StrictHostKeyChecking=no",
                "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]

    def close(self):
        for path in self.mounts:
            subprocess.run(["umount", "-l", path], check=False)
        for process in reversed(self.processes):
            end(process)
        for path in self.made_folders:
            os.rmdir(path)
        shutil.rmtree(self.temp, ignore_errors=True)


def end(process):
    process.terminate()
    try:
        process.wait(START_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def await_for(condition, process, failure):
    give_up = time.monotonic() + START_SECONDS
    while not condition():
        if process.poll() is not None or time.monotonic() > give_up:
            raise SystemExit(f"bench: {failure}")
        time.sleep(0.01)


def progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
