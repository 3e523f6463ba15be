"""Who may do what, and what becomes of modes and owners: umask, sticky, set-user-id, set-group-id, chown."""
import os
import stat

from differ import *

KINDS = {"file": lambda path: touch(path), "dir": os.mkdir, "fifo": os.mkfifo,
         "socket": lambda path: os.mknod(path, stat.S_IFSOCK | 0o666),
         "char": lambda path: os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))}


def masks():
    """umask and the modes that calls ask for."""
    for mask in (0, 0o022, 0o077, 0o777, 0o137):
        os.umask(mask)
        for mode in (0, 0o644, 0o777, 0o1777, 0o4755, 0o2755, 0o6777, 0o7777):
            name = f"{mask:o}-{mode:o}"
            call(f"file {name}", opened, f"f-{name}", os.O_CREAT | os.O_RDWR | os.O_EXCL, mode)
            show(f"f-{name}")
            os.mkdir(f"d-{name}", mode)
            show(f"d-{name}")
            os.mknod(f"n-{name}", stat.S_IFIFO | mode)
            show(f"n-{name}")
            os.symlink("x", f"l-{name}")
            show(f"l-{name}")
            os.chmod(f"f-{name}", mode)
            show(f"f-{name}")


def setgid_directories():
    """What is made in a set-group-id directory, by root, by a member of its group, by a stranger."""
    os.mkdir("plain", 0o777)
    os.chmod("plain", 0o777)
    os.mkdir("team")
    os.chown("team", 0, TEAM)
    os.chmod("team", 0o2777)

    def make(who):
        for folder in ("plain", "team"):
            for kind, maker in KINDS.items():
                if kind == "char" and os.getuid():
                    continue
                path = f"{folder}/{who}-{kind}"
                call(path, maker, path)
                show(path)
            path = f"{folder}/{who}-sgid"
            call(path, opened, path, os.O_CREAT | os.O_WRONLY, 0o2775)
            show(path)
            call(f"{path} chmod", os.chmod, path, 0o6775)
            show(path)
            call(f"{path} dir", os.mkdir, path + "-dir", 0o2770)
            show(path + "-dir")
            os.symlink("x", path + "-link")
            show(path + "-link")
    make("root")
    as_user(ALICE, ALICE, lambda: make("alice"), [TEAM])
    as_user(BOB, BOB, lambda: make("bob"))


def setid():
    """Set-user-id and set-group-id go when somebody writes, truncates or changes the owner."""
    modes = (0o6777, 0o6711, 0o4777, 0o2777, 0o2767, 0o6766, 0o7777)

    def write(path):
        descriptor = os.open(path, os.O_WRONLY)
        os.write(descriptor, b"x")
        os.close(descriptor)

    def write_nothing(path):
        descriptor = os.open(path, os.O_WRONLY)
        os.write(descriptor, b"")
        os.close(descriptor)

    def ftruncate(path):
        descriptor = os.open(path, os.O_WRONLY)
        os.ftruncate(descriptor, 1)
        os.close(descriptor)
    actions = {"write": write, "write nothing": write_nothing, "ftruncate": ftruncate,
               "truncate": lambda path: os.truncate(path, 2),
               "truncate to the same": lambda path: os.truncate(path, os.stat(path).st_size),
               "open and truncate": lambda path: opened(path, os.O_WRONLY | os.O_TRUNC),
               "chown to oneself": lambda path: os.chown(path, os.getuid(), -1),
               "chgrp": lambda path: os.chown(path, -1, TEAM), "chown nothing": lambda path: os.chown(path, -1, -1),
               "chmod": lambda path: os.chmod(path, 0o6755), "utime": lambda path: os.utime(path),
               "read": read, "link": lambda path: os.link(path, path + "-2"),
               "rename": lambda path: (os.rename(path, path + "-2"), os.rename(path + "-2", path)),
               "setxattr": lambda path: os.setxattr(path, "user.x", b"v")}
    os.mkdir("d", 0o777)
    os.chmod("d", 0o777)
    owners = {"root's": (0, 0), "alice's": (ALICE, ALICE), "alice's for the team": (ALICE, TEAM),
              "alice's for a stranger": (ALICE, BOB), "root's for alice": (0, ALICE)}
    for who, enter in (("root", lambda function: function()),
                       ("alice", lambda function: as_user(ALICE, ALICE, function, [TEAM]))):
        for whose, (uid, gid) in owners.items():
            for action, function in actions.items():
                if action == "chown nothing" and who == "alice" and uid != ALICE:
                    continue  # kvfs(8), LIMITS
                paths = {mode: f"d/{who}-{whose}-{action}-{mode:o}" for mode in modes}
                for mode, path in paths.items():
                    touch(path, b"content")
                    os.chown(path, uid, gid)
                    os.chmod(path, mode)
                    os.stat(path)
                enter(lambda: [call(f"{action} by {who}, {whose} {mode:o}", quiet, function, path)
                               for mode, path in paths.items()])
                for mode, path in paths.items():
                    show(path, f"  then {mode:o}")
                    os.unlink(path)
    for kind, maker in KINDS.items():
        for mode in (0o6777, 0o2767, 0o4644):
            maker(f"{kind}-{mode:o}")
            os.chmod(f"{kind}-{mode:o}", mode)
            call(f"chown {kind} {mode:o}", os.chown, f"{kind}-{mode:o}", ALICE, TEAM)
            show(f"{kind}-{mode:o}")
            as_user(ALICE, ALICE, lambda: call("  chgrp", os.chown, f"{kind}-{mode:o}", -1, ALICE), [TEAM])
            show(f"{kind}-{mode:o}")


def owners():
    """The rules of chown(2) and chmod(2) for those who are not root."""
    for kind, maker in KINDS.items():
        maker(kind)
        os.chown(kind, ALICE, ALICE)
        os.chmod(kind, 0o644)

        def attempts():
            for uid, gid in ((-1, -1), (ALICE, -1), (BOB, -1), (0, -1), (-1, ALICE), (-1, TEAM), (-1, BOB), (-1, 0),
                             (ALICE, TEAM), (BOB, TEAM)):
                call(f"{kind} chown {uid}:{gid}", os.chown, kind, uid, gid)
                show(kind)
            for mode in (0o600, 0o777, 0o1777, 0o2777, 0o4777, 0):
                call(f"{kind} chmod {mode:o}", os.chmod, kind, mode)
                show(kind)
            call(f"{kind} utime", os.utime, kind, (1, 1))
            call(f"{kind} utime now", os.utime, kind)
        as_user(ALICE, ALICE, attempts, [TEAM])
        os.chown(kind, ALICE, ALICE)
        as_user(BOB, BOB, attempts, [TEAM])
    os.symlink("file", "link")
    os.lchown("link", ALICE, TEAM)
    show("link")
    show("file")
    as_user(BOB, BOB, lambda: call("lchown another's", os.lchown, "link", BOB, -1))
    as_user(ALICE, ALICE, lambda: call("lchown one's own", os.lchown, "link", -1, ALICE))
    show("link")
    os.chown("file", 4294967294, 4294967294)
    show("file")


def sticky():
    """In a sticky directory only the owner of a name, of the directory, or root takes it away."""
    for mode in (0o777, 0o1777):
        for whose in (0, ALICE, BOB):
            for owner in (ALICE, BOB):
                folder = f"{mode:o}-{whose}-{owner}"
                os.mkdir(folder)
                os.mkdir(folder + "-from")
                for name in ("file", "file2", "file3", "dir", "full"):
                    (os.mkdir if name in ("dir", "full") else touch)(f"{folder}/{name}")
                    os.chown(f"{folder}/{name}", owner, owner)
                for path in (folder, folder + "-from"):
                    os.chown(path, whose, whose)
                    os.chmod(path, mode)

                def attempts():
                    call(f"{folder} unlink", os.unlink, f"{folder}/file")
                    call(f"{folder} rmdir", os.rmdir, f"{folder}/dir")
                    call(f"{folder} rename", os.rename, f"{folder}/file2", f"{folder}/renamed")
                    call(f"{folder} create", touch, f"{folder}/new")
                    call(f"{folder} rename over", os.rename, f"{folder}/new", f"{folder}/file3")
                    call(f"{folder} move a directory", os.rename, f"{folder}/full", f"{folder}-from/full")
                    call(f"{folder} link", os.link, f"{folder}/file3", f"{folder}/linked")
                    call(f"{folder} list", lambda: sorted(os.listdir(folder)))
                as_user(ALICE, ALICE, attempts)


def access():
    """EACCES and EPERM: each class of user, each set of bits, each call."""
    os.chmod(".", 0o777)
    for bits in range(8):
        for shift, (uid, gid, groups) in ((6, (ALICE, ALICE, [])), (3, (BOB, TEAM, [])), (3, (BOB, BOB, [TEAM])),
                                          (0, (BOB, BOB, []))):
            label = f"{bits << shift:03o} {uid}:{gid} {groups}"
            os.mkdir("d")
            touch("d/file", b"content")
            os.mkdir("d/dir")
            os.symlink("file", "d/link")
            for path in ("d/file", "d/dir", "d"):
                os.chown(path, ALICE, TEAM)
                os.chmod(path, bits << shift)

            def attempts():
                say = lambda what, *rest: call(f"{label} {what}", *rest)
                say("list", lambda: sorted(os.listdir("d")))
                say("stat", lambda: shown(os.stat("d/file")))
                say("readlink", os.readlink, "d/link")
                say("missing", os.stat, "d/missing")
                say("create", opened, "d/new", os.O_CREAT | os.O_WRONLY)
                say("mkdir", os.mkdir, "d/newdir")
                say("symlink", os.symlink, "x", "d/newlink")
                say("mkfifo", os.mkfifo, "d/newfifo")
                say("device", os.mknod, "d/newdev", stat.S_IFCHR | 0o666, 259)
                say("link", os.link, "d/file", "d/hard")
                say("rename", os.rename, "d/file", "d/renamed")
                say("rename back", os.rename, "d/renamed", "d/file")
                say("read", opened, "d/file", os.O_RDONLY)
                say("write", opened, "d/file", os.O_WRONLY)
                say("both", opened, "d/file", os.O_RDWR)
                say("truncate", os.truncate, "d/file", 3)
                say("utime", os.utime, "d/file", (1, 1))
                say("utime now", os.utime, "d/file")
                say("execute", lambda: os.access("d/file", os.X_OK))
                say("access", lambda: [os.access("d/file", way) for way in (0, 1, 2, 4, 7)])
                say("chdir", lambda: os.close(os.open("d/dir", os.O_PATH)))
                say("getxattr", os.getxattr, "d/file", "user.x")
                say("setxattr", os.setxattr, "d/file", "user.x", b"v")
                say("unlink", os.unlink, "d/link")
                say("rmdir", os.rmdir, "d/dir")
            as_user(uid, gid, attempts, groups)
            os.chmod("d", 0o700)
            for name in os.listdir("d"):
                (os.rmdir if os.path.isdir(f"d/{name}") else os.unlink)(f"d/{name}")
            os.rmdir("d")


if __name__ == "__main__":
    main(globals())
