"""Builds what a disk may hold after each call of a recorded run, for Tests/System/power-loss.

usage: disk_states.py KEDGE WORK      WORK/trace: the calls as strace records them; WORK/runs: the folder of the run

For every prefix of the calls there are three states: everything (a killed process), names without the bytes that were not
flushed, and neither names nor bytes that were not flushed. In each of them the newest published checkpoint must be usable, and
no checkpoint that is newer may be damaged. Prints a line for each state: "held", or what is wrong.
"""
import os
import re
import shutil
import subprocess
import sys


def read_calls(trace):
    """The calls that succeeded, in order: (name, arguments, result)."""
    unfinished, calls = {}, []
    with open(trace, encoding="ascii") as lines:
        for line in lines:
            process, _, text = line.rstrip("\n").partition(" ")
            text = text.strip()
            if text.endswith("<unfinished ...>"):
                unfinished[process] = text[: -len("<unfinished ...>")]
                continue
            resumed = re.match(r"<\.\.\. \w+ resumed>(.*)", text)
            if resumed:
                text = unfinished.pop(process) + resumed.group(1)
            call = re.match(r"(\w+)\((.*)\)\s+= (-?\d+)", text)
            if call and int(call.group(3)) >= 0:
                calls.append((call.group(1), call.group(2), int(call.group(3))))
    return calls


def decode(text):
    """A string of strace -xx as bytes."""
    return bytes.fromhex(text.replace("\\x", ""))


class Disk:
    """Names and bytes as the running system sees them, and those that are certainly on the disk."""

    def __init__(self, root):
        self.root = root
        self.tree = {"": "folder"}  # path below the root -> "folder" or the number of a file
        self.durable_tree = {"": "folder"}
        self.bytes, self.durable_bytes, self.next = {}, {}, 0

    def below(self, path):
        path = os.path.normpath(path)
        if path == self.root:
            return ""
        return path[len(self.root) + 1:] if path.startswith(self.root + "/") else None

    def apply(self, name, arguments, result):
        """Whether the call changes the folder; if so, it is done."""
        texts = strings(arguments) if name not in ("write", "pwrite64") else []
        folders = open_files(arguments)
        if name in ("openat", "mkdirat", "unlinkat", "renameat", "renameat2") and folders:
            # Relative to an open folder.
            texts = [t if t.startswith("/") else os.path.join(folders[min(i, len(folders) - 1)], t)
                     for i, t in enumerate(texts)]
        paths = [self.below(text) for text in texts]
        handle = self.below(folders[0]) if folders else None
        if name in ("open", "openat", "creat"):
            path = paths[0]
            if path is None or not ("O_CREAT" in arguments or "O_TRUNC" in arguments or name == "creat"):
                return False
            if path not in self.tree:
                self.next += 1
                self.tree[path], self.bytes[self.next], self.durable_bytes[self.next] = self.next, b"", b""
            elif "O_TRUNC" in arguments:
                self.bytes[self.tree[path]] = b""
            return True
        if name in ("mkdir", "mkdirat"):
            if paths[0] is None:
                return False
            self.tree[paths[0]] = "folder"
        elif name in ("write", "pwrite64"):
            if handle is None or handle not in self.tree:
                return False
            number = self.tree[handle]
            data = re.search(r'"((?:\\x[0-9a-f]{2})*)"', arguments)
            self.bytes[number] += decode(data.group(1))[:result]
        elif name == "ftruncate":
            if handle is None or handle not in self.tree:
                return False
            self.bytes[self.tree[handle]] = self.bytes[self.tree[handle]][: int(arguments.rsplit(",", 1)[1])]
        elif name in ("fsync", "fdatasync"):
            if handle is None or handle not in self.tree:
                return False
            self.flush(handle)
        elif name.startswith("rename"):
            if None in paths or len(paths) != 2:
                return False
            self.move(paths[0], paths[1])
        elif name in ("unlink", "unlinkat", "rmdir"):
            if paths[0] is None or paths[0] not in self.tree:
                return False
            del self.tree[paths[0]]
        return True

    def move(self, old, new):
        for path in sorted(self.tree):
            if path == new or path.startswith(new + "/"):
                del self.tree[path]
        for path in sorted(self.tree):
            if path == old or path.startswith(old + "/"):
                self.tree[new + path[len(old):]] = self.tree.pop(path)

    def flush(self, path):
        if self.tree[path] != "folder":
            self.durable_bytes[self.tree[path]] = self.bytes[self.tree[path]]
            return
        # The names in the folder. What lies below a name moves with it if the disk has it under its former name.
        def within(entry):
            return os.path.dirname(entry) == path if path else "/" not in entry
        for entry in [e for e in self.durable_tree if e and within(e) and e not in self.tree]:
            for below in [e for e in self.durable_tree if e == entry or e.startswith(entry + "/")]:
                del self.durable_tree[below]
        for entry in [e for e in self.tree if e and within(e)]:
            for below in [e for e in self.tree if e == entry or e.startswith(entry + "/")]:
                # A folder that was flushed under its former name keeps what was flushed in it.
                if below == entry or self.tree[below] in self.flushed_numbers or self.tree[below] == "folder":
                    self.durable_tree[below] = self.tree[below]

    @property
    def flushed_numbers(self):
        return {number for number, data in self.durable_bytes.items() if data}

    def states(self):
        yield "everything", self.tree, self.bytes
        yield "names without bytes that were not flushed", self.tree, self.durable_bytes
        yield "what was flushed", self.durable_tree, self.durable_bytes


def build(folder, tree, contents):
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    for path in sorted(tree):
        if path and tree[path] == "folder":
            os.makedirs(os.path.join(folder, path), exist_ok=True)
        elif path:
            os.makedirs(os.path.dirname(os.path.join(folder, path)), exist_ok=True)
            with open(os.path.join(folder, path), "wb") as file:
                file.write(contents[tree[path]])


def strings(arguments):
    """The quoted strings among a call's arguments."""
    return [decode(text).decode(errors="replace") for text in re.findall(r'"((?:\\x[0-9a-f]{2})*)"', arguments)]


def open_files(arguments):
    """The paths that strace -y shows for file descriptors."""
    return [decode(path).decode() if path.startswith("\\x") else path for path in re.findall(r"<([^>]*)>", arguments)]


def fault_of(kedge, folder, published):
    """What is wrong with the checkpoints that kedge finds in a folder; None if the published one is usable."""
    answer = subprocess.run([kedge, "checkpoint", "list", folder], capture_output=True, text=True)
    lines = [line for line in answer.stdout.splitlines() if "/step-" in line]
    steps = [(int(re.search(r"/step-(\d+)", line).group(1)), "UNUSABLE" not in line) for line in lines]
    newest = max((step for step, usable in steps if usable), default=-1)
    damaged = [step for step, usable in steps if not usable and step >= published and step != -1]
    return f"step {published} was published, found {lines}" if newest < published or damaged else None


def main():
    kedge, work = sys.argv[1:]
    disk, published, seen = Disk(f"{work}/runs"), -1, set()
    renamed = None  # the step whose folder has its final name but is not flushed yet
    for number, (name, arguments, result) in enumerate(read_calls(f"{work}/trace")):
        if not disk.apply(name, arguments, result):
            continue
        if name.startswith("rename"):
            target = re.fullmatch(r".*/checkpoints/step-(\d+)", strings(arguments)[1])
            renamed = int(target.group(1)) if target else renamed
        if name == "fsync" and renamed is not None and disk.below(open_files(arguments)[0]) == "run/checkpoints":
            published, renamed = renamed, None
        for title, tree, contents in disk.states():
            kept = {p: v for p, v in tree.items() if p.startswith("run/checkpoints")}
            key = repr([(p, v if v == "folder" else hash(contents[v])) for p, v in sorted(kept.items())])
            if (key, published) in seen:
                continue
            seen.add((key, published))
            build(f"{work}/disk", kept, contents)
            fault = fault_of(kedge, f"{work}/disk/run", published)
            print(f"power lost after call {number} ({name}), {title}: {fault}" if fault else "held")
    print("held" if published == 4 else f"the last published checkpoint is of step {published}, not 4")


main()
