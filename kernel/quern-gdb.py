# SPDX-License-Identifier: BSD-2-Clause
"""
gdb commands for programs that have Quern kernels in them.

    (gdb) source quern-gdb.py
    (gdb) quern-threads k           # an expression of type struct quern *
    (gdb) quern-threads k1 k2       # several; each a word, or in quotes

lists the threads of a kernel: name, state, vCPU, what it waits for, and a
backtrace.  That of a client's call goes on into the client's own frames.  It
changes nothing in the program and works on core files too.

How: a thread that does not run has its registers on its stack, at t_sp, as
<quern/san.h> says.  While a backtrace is taken, an unwinder claims that the
selected host thread's innermost frame was called from there.
"""

import gdb
import gdb.unwinder

STATES = ("free", "running", "ready", "sleeping", "done")

# What a saved context holds, lowest address first.
SAVED = ("r15", "r14", "r13", "r12", "rbx", "rbp", "rip")

FRAMES_MAX = 100


def word(address):
    t = gdb.lookup_type("unsigned long").pointer()
    return int(gdb.Value(address).cast(t).dereference())


class FrameId:
    def __init__(self, sp, pc):
        self.sp = sp
        self.pc = pc


class ContextUnwinder(gdb.unwinder.Unwinder):
    """From the innermost frame of the selected host thread to a context."""

    def __init__(self):
        super().__init__("quern-context")
        self.context = None

    def begin(self, sp):
        frame = gdb.newest_frame()
        self.here = (int(frame.read_register("rsp")), int(frame.pc()))
        self.context = sp
        gdb.invalidate_cached_frames()

    def end(self):
        self.context = None
        gdb.invalidate_cached_frames()

    def __call__(self, pending):
        if self.context is None:
            return None
        sp = int(pending.read_register("rsp"))
        pc = int(pending.read_register("rip"))
        if (sp, pc) != self.here:
            return None
        # Deeper than anything on the other stack, or gdb gives up.
        info = pending.create_unwind_info(
            FrameId(gdb.Value(self.context - 128), gdb.Value(pc)))
        registers = {name: word(self.context + 8 * i)
                     for i, name in enumerate(SAVED)}
        registers["rsp"] = self.context + 8 * len(SAVED)
        for name, value in registers.items():
            kind = pending.read_register(name).type
            info.add_saved_register(name, gdb.Value(value).cast(kind))
        return info


def print_frames(frame):
    n = 0
    while frame is not None and frame.is_valid() and n < FRAMES_MAX:
        sal = frame.find_sal()
        where = ""
        if sal.symtab is not None:
            where = " at %s:%d" % (sal.symtab.filename, sal.line)
        print("    #%-2d 0x%016x in %s ()%s" %
              (n, frame.pc(), frame.name() or "??", where))
        frame = frame.older()
        n += 1


def symbol_at(address):
    text = gdb.execute("info symbol 0x%x" % address, to_string=True)
    if text.startswith("No symbol"):
        return ""
    return " <%s>" % text.split(" in section")[0]


def list_of(head, kind, member):
    """The elements of a struct qlist."""
    field = next(f for f in kind.fields() if f.name == member)
    offset = field.bitpos // 8
    link = head["l_next"]
    while int(link) != int(head.address):
        yield gdb.Value(int(link) - offset).cast(kind.pointer())
        link = link.dereference()["l_next"]


class Threads(gdb.Command):
    """List the threads of Quern kernels that do something, with backtraces.

Usage: quern-threads KERNEL...
Each KERNEL is an expression of type struct quern *."""

    def __init__(self, unwinder):
        super().__init__("quern-threads", gdb.COMMAND_STACK,
                         gdb.COMPLETE_EXPRESSION)
        self.unwinder = unwinder

    def invoke(self, argument, from_tty):
        arguments = gdb.string_to_argv(argument)
        if not arguments:
            raise gdb.GdbError("quern-threads: which kernel?")
        for a in arguments:
            value = gdb.parse_and_eval(a)
            kind = gdb.lookup_type("struct quern").pointer()
            self.kernel(value.cast(kind))

    def kernel(self, k):
        print("kernel %s at 0x%x: %d vCPUs, %d runners%s" %
              (k["k_name"].string(), int(k), int(k["k_ncpu"]),
               int(k["k_nrunner"]), ", dead: " + k["k_panicmsg"].string()
               if int(k["k_dead"]) else ""))
        kind = gdb.lookup_type("struct qthread")
        chosen = gdb.selected_thread()
        try:
            running = self.host_threads()
            for t in list_of(k["k_threads"], kind, "t_all"):
                if int(t["t_state"]) != 0:
                    self.thread(t, running)
        finally:
            if chosen is not None:
                chosen.switch()

    @staticmethod
    def host_threads():
        """Stack pointers of the process's threads."""
        found = []
        for host in gdb.selected_inferior().threads():
            host.switch()
            sp = int(gdb.newest_frame().read_register("rsp"))
            found.append((sp, host))
        return found

    def thread(self, t, running):
        state = int(t["t_state"])
        cpu = t["t_cpu"]
        # The stack ends where the thread lies; it is aligned to its size.
        low = int(t["t_san"]["sn_bottom"])
        hosts = [host for sp, host in running if low <= sp < int(t)]
        if not hosts and int(cpu) != 0 and int(cpu["v_spare"]) == int(t):
            return  # waits for the next client
        line = "  0x%x %-10s %s" % (
            int(t), t["t_name"].string(),
            STATES[state] if state < len(STATES) else "state %d" % state)
        if int(cpu) != 0:
            line += ", vCPU %d" % int(cpu["v_id"])
        if int(t["t_wq"]) != 0:
            wq = int(t["t_wq"])
            line += ", waits on 0x%x%s" % (wq, symbol_at(wq))
        print(line)
        if hosts:
            print("    run by host thread %d" % hosts[0].num)
            hosts[0].switch()
            print_frames(gdb.newest_frame())
            return
        if int(t["t_sp"]) == 0 or state == 4:
            return
        running[0][1].switch()
        self.unwinder.begin(int(t["t_sp"]))
        try:
            print_frames(gdb.newest_frame().older())
        finally:
            self.unwinder.end()


context_unwinder = ContextUnwinder()
gdb.unwinder.register_unwinder(None, context_unwinder, True)
Threads(context_unwinder)
