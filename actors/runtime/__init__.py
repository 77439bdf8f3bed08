"""Actors on a shared dispatcher, supervised. The messaging rules in ten lines:

1. Actors `ref.tell(message)` each other and never block; an answer is another message. `tell` to a dead actor is a
   counted dead letter, not an error; `ref.offer(message)` says whether the mailbox took it.
2. `system.ask(ref_or_name, message, timeout_s)` only from outside (HTTP, CLI, tests); `get()` in a handler raises.
3. One actor's messages never overlap and are handled in send order; control messages (`ref.signal`) go first.
4. A mailbox holds `mailbox_capacity` messages. Beyond it: dead letter "full", an asker fails at once; a spec with
   `conflate` first drops the queued message of the same class and `conflation_key`, keeping the newest.
5. An exception in `receive` freezes the mailbox, and the supervisor decides: resume, restart, stop, escalate. The
   message that raised is not handled again; the rest of the mail, the name and the ref survive a restart.
6. Blocking work is `ctx.call(fn, reply, failed)`, coroutines are `ctx.run(co, reply, failed, timeout_s)`; both answer
   with a message. Coroutines sleep with `system.effects.sleep(seconds)` only.
7. Time is `ctx.clock`; delays are `ctx.at(market_time, message)` and `ctx.after(process_seconds, message, every)`.
   Timers and effect replies of an earlier incarnation never reach a later one.
8. Stop now, drain (finish open work, then `ctx.stop()`) and pause are three things; stops run in reverse start order,
   each with its deadline; a handler that overstays is abandoned and can send no answer.
9. Children: `ChildSpec(id, factory, ...)` under a `Supervisor`; subclass it to own dynamic children (`start_child`,
   `terminate_child`, `pause_child`, ...) and override `child_gave_up`, `child_paused`, `handle`.
10. `ActorSystem.live(clock)` runs on threads; `ActorSystem.deterministic(VirtualClock(start))` runs the same
    behaviours in one thread, and replays exactly.
"""

from __future__ import annotations

from actors.runtime.actor import DispatchedActor
from actors.runtime.admin import (
    ChildCounts,
    CountChildren,
    DeleteChild,
    PauseChild,
    RestartChild,
    ResumeChild,
    StartChild,
    TerminateChild,
)
from actors.runtime.behaviour import Behaviour, Context
from actors.runtime.deterministic import VirtualClock
from actors.runtime.effects import EffectCancelled, Effects
from actors.runtime.errors import (
    AlreadyPresent,
    AlreadyStarted,
    AskTimeout,
    BadSpec,
    BlockingOnWorker,
    ChildNotFound,
    ChildRunning,
    GaveUp,
    MailboxFull,
    Overloaded,
    StartFailed,
    SupervisionRefusal,
)
from actors.runtime.letter import Terminated
from actors.runtime.ref import ShellRef
from actors.runtime.reply import Reply
from actors.runtime.spec import (
    AutoShutdown,
    ChildSpec,
    Directive,
    Intensity,
    Policy,
    Restart,
    Shutdown,
    StopMode,
    Strategy,
    Supervision,
)
from actors.runtime.supervisor import Supervisor
from actors.runtime.system import ActorInfo, ActorSystem
from actors.runtime.timer import TimerHandle, Timers
from core.backoff import Backoff

__all__ = [
    "ActorInfo",
    "ActorSystem",
    "AlreadyPresent",
    "AlreadyStarted",
    "AskTimeout",
    "AutoShutdown",
    "Backoff",
    "BadSpec",
    "Behaviour",
    "BlockingOnWorker",
    "ChildCounts",
    "ChildNotFound",
    "ChildRunning",
    "ChildSpec",
    "Context",
    "CountChildren",
    "DeleteChild",
    "Directive",
    "DispatchedActor",
    "EffectCancelled",
    "Effects",
    "GaveUp",
    "Intensity",
    "MailboxFull",
    "Overloaded",
    "PauseChild",
    "Policy",
    "Reply",
    "Restart",
    "RestartChild",
    "ResumeChild",
    "ShellRef",
    "Shutdown",
    "StartChild",
    "StartFailed",
    "StopMode",
    "Strategy",
    "Supervision",
    "SupervisionRefusal",
    "Supervisor",
    "TerminateChild",
    "Terminated",
    "TimerHandle",
    "Timers",
    "VirtualClock",
]
